//! Whether there is enough to learn from and to judge by: asked when the files have been read, before anything takes long, and again when
//! it is known what can be decoded.

use crate::dataset::Split;
use crate::features::Features;
use crate::photos::{Folds, Photo, Photos};
use crate::{Error, Recipe};

/// Of the classes: before it is asked what is none of them.
///
/// # Errors
/// [`Error::TooLittle`], as of the others.
pub(crate) fn classes(count: usize) -> Result<(), Error> {
    match count {
        0 | 1 => too_little("there is only one class: a model needs two folders of classes at least".into()),
        _ => Ok(()),
    }
}

/// Of the photos that were found.
///
/// # Errors
/// [`Error::TooLittle`], as of the others.
pub(crate) fn found(photos: &Photos, folds: &Folds, recipe: &Recipe) -> Result<(), Error> {
    for (class, name) in photos.kinds[..photos.classes].iter().enumerate() {
        let mut of_class = photos.all.iter().filter(|photo| photo.kind == class).peekable();
        if of_class.peek().is_none() {
            return too_little(format!(
                "{name} is a class, for a folder is named so, and there is no photo in it: remove the folder"
            ));
        }
        if !of_class.any(|photo| photo.part == Split::Train) {
            return too_little(format!("there is no photo of {name} to learn from: all are in val or test"));
        }
    }
    if photos.only_learned().is_some() {
        tracing::warn!(
            "all photos of the classes that are learned from are of one contributor, look alike or are copies: \
             only those in val judge, and choose thresholds"
        );
    }
    let all: Vec<_> = (0..photos.all.len()).collect();
    for (fold, class) in unknown(photos, folds, recipe, &all)? {
        tracing::warn!(
            class = photos.kinds[class],
            fold,
            "all photos of a class that can be learned from have a contributor in common or look alike: who judges them has \
             learned none of them, so that figures and thresholds are of little use"
        );
    }
    Ok(())
}

/// Of those that can be decoded.
pub(crate) fn decoded(
    photos: &Photos,
    folds: &Folds,
    recipe: &Recipe,
    features: &Features,
) -> Result<(), Error> {
    let plain = &features.photos[..features.plain];
    for (class, name) in photos.kinds[..photos.classes].iter().enumerate() {
        let is_learned = |photo: &Photo| photo.kind == class && photo.part == Split::Train;
        if plain.iter().any(|photo| is_learned(&photos.all[*photo])) {
            continue;
        }
        let mut learned = photos.all.iter().filter(|photo| is_learned(photo));
        let failed = learned.find_map(|photo| features.failed.iter().find(|(path, _)| *path == photo.path));
        let first = failed.map_or_else(String::new, |(path, why)| format!("{}: {why}", path.display()));
        return too_little(format!(
            "of the photos of {name} to learn from none can be decoded; the first: {first}"
        ));
    }
    unknown(photos, folds, recipe, plain).map(drop)
}

/// The classes that a fold's head judges and has learned nothing of, with the fold; of the photos that are usable.
fn unknown(
    photos: &Photos,
    folds: &Folds,
    recipe: &Recipe,
    usable: &[usize],
) -> Result<Vec<(usize, usize)>, Error> {
    let judges = |fold: usize, class: usize| {
        usable.iter().any(|photo| photos.all[*photo].kind == class && folds.judges(fold, *photo))
    };
    let learns = |fold: usize, class: usize| {
        let is_of_class = |photo: &Photo| photo.kind == class && photo.part == Split::Train;
        usable.iter().any(|photo| is_of_class(&photos.all[*photo]) && folds.learns(fold, *photo))
    };
    let classes = || 0..photos.classes;
    if (0..recipe.folds).any(|fold| !classes().any(|class| learns(fold, class))) {
        return too_little(
            "all photos of the classes that can be learned from are of one contributor, look alike or are \
             copies: nothing can be held out to judge by; add photos of others, to learn from or in val"
                .into(),
        );
    }
    let judged = recipe.tuning.judged;
    if recipe.tuning.steps > 0 && !(0..judged).any(|fold| classes().any(|class| judges(fold, class))) {
        return too_little(format!(
            "tuning.judged = {judged}, and among what is judged then there is no photo of a class: raise it"
        ));
    }
    let pairs = (0..recipe.folds).flat_map(|fold| classes().map(move |class| (fold, class)));
    Ok(pairs.filter(|(fold, class)| judges(*fold, *class) && !learns(*fold, *class)).collect())
}

fn too_little<T>(why: String) -> Result<T, Error> {
    Err(Error::TooLittle(why))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::Tuning;
    use crate::photos::tests::made;

    fn recipe() -> Recipe {
        Recipe { folds: 2, ..Recipe::default() }
    }

    /// Two shirts, two tops and a cap, of these groups.
    fn photos(groups: [usize; 5]) -> Photos {
        let kinds = [0, 0, 1, 1, 2].into_iter().zip(groups);
        made(&["shirts", "tops", "caps"], 2, &kinds.map(|(kind, group)| (kind, 0, group)).collect::<Vec<_>>())
    }

    fn refused(photos: &Photos) -> String {
        found(photos, &photos.folds(2), &recipe()).unwrap_err().to_string()
    }

    #[test]
    fn where_nothing_can_be_held_out_nothing_is_begun() {
        let each = photos([0, 1, 2, 3, 4]);
        found(&each, &each.folds(2), &recipe()).unwrap();
        for groups in [[0; 5], [0, 0, 0, 0, 4]] {
            let refused = refused(&photos(groups));
            assert!(refused.contains("nothing can be held out"), "{refused}");
        }
    }

    #[test]
    fn where_all_that_is_learned_from_is_one_contributor_s_val_may_judge_alone() {
        let mut photos = photos([0, 1, 0, 3, 4]);
        for photo in [1, 3] {
            photos.all[photo].part = Split::Val;
        }
        found(&photos, &photos.folds(2), &recipe()).unwrap();
        for photo in [1, 3] {
            photos.all[photo].group = 0;
        }
        assert!(refused(&photos).contains("nothing can be held out"), "{}", refused(&photos));
    }

    #[test]
    fn a_class_that_its_judge_has_never_seen_is_told() {
        let photos = photos([0, 0, 2, 3, 4]);
        let folds = photos.folds(2);
        let fold = usize::from(folds.judges(1, 0));
        assert_eq!(unknown(&photos, &folds, &recipe(), &[0, 1, 2, 3, 4]).unwrap(), [(fold, 0)]);
    }

    #[test]
    fn a_tuned_backbone_that_would_judge_no_class_is_refused() {
        // The caps are the largest group and so the first to be dealt; both classes are one group each.
        let all = [vec![(2, 0, 0); 9], vec![(0, 0, 9); 2], vec![(1, 0, 11); 2]].concat();
        let photos = made(&["shirts", "tops", "caps"], 2, &all);
        let folds = photos.folds(3);
        let tuning = |judged| Tuning { steps: 1, judged, ..Tuning::default() };
        let by = |judged| Recipe { folds: 3, tuning: tuning(judged), ..Recipe::default() };
        let refused = found(&photos, &folds, &by(1)).unwrap_err().to_string();
        assert!(refused.contains("tuning.judged = 1"), "{refused}");
        found(&photos, &folds, &by(2)).unwrap();
    }

    #[test]
    fn an_empty_class_and_one_that_isn_t_learned_from_are_told_apart() {
        let mut all = photos([0, 1, 2, 3, 4]);
        all.all[2].part = Split::Val;
        all.all[3].part = Split::Test;
        assert!(refused(&all).contains("no photo of tops to learn from: all are in val or test"));
        all.all.truncate(2);
        assert!(refused(&all).ends_with("there is no photo in it: remove the folder"), "{}", refused(&all));
    }

    #[test]
    fn a_class_of_which_nothing_can_be_decoded_is_refused() {
        let photos = photos([0, 1, 2, 3, 4]);
        let failed = [2, 3].map(|photo: usize| (photos.all[photo].path.clone(), format!("broken {photo}")));
        let features = Features {
            values: Array2::zeros((3, 1)),
            photos: vec![0, 1, 4],
            plain: 3,
            copies: 0,
            failed: failed.into(),
        };
        let refused = decoded(&photos, &photos.folds(2), &recipe(), &features).unwrap_err().to_string();
        assert!(refused.contains("tops") && refused.ends_with("2.jpg: broken 2"), "{refused}");
    }
}
