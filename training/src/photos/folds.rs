use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Photo, Photos};
use crate::dataset::Split;

/// What photos have in common that folds are to have as many of: what they show, and maybe the folder that they are in.
type Sort = (usize, Option<usize>);

/// Photos divided into parts, each with a head that judges it and hasn't learned from it.
#[derive(Debug)]
pub(crate) struct Folds {
    /// For each photo the number of the head that judges it, if one does.
    judges: Vec<Option<usize>>,
    /// For each photo the number of the head that must not know it, whoever judges it: the one that judges its kind as one that
    /// nobody has thought of, or a copy of it; if there is one.
    strange_to: Vec<Option<usize>>,
}

impl Folds {
    /// Whether this fold's head judges the photo.
    pub(crate) fn judges(&self, fold: usize, photo: usize) -> bool {
        self.judges[photo] == Some(fold)
    }

    /// Whether this fold's head may learn from the photo. A kind that it judges whole it mustn't know from contributors
    /// either, nor a photo from a copy.
    pub(crate) fn learns(&self, fold: usize, photo: usize) -> bool {
        ![self.judges[photo], self.strange_to[photo]].contains(&Some(fold))
    }

    /// Whether no photo is judged.
    pub(crate) fn is_empty(&self) -> bool {
        self.judges.iter().all(Option::is_none)
    }
}

impl Photos {
    /// Judges every photo that isn't for the test, groups as a whole; but not a group without which there would be
    /// nothing to learn a class from.
    pub(crate) fn folds(&self, folds: usize) -> Folds {
        let needed = self.only_learned();
        let is_judged = |photo: &&Photo| photo.part != Split::Test && Some(photo.group) != needed;
        let mut groups: BTreeMap<usize, Vec<&Photo>> = BTreeMap::new();
        for photo in self.all.iter().filter(is_judged) {
            groups.entry(photo.group).or_default().push(photo);
        }
        let dealt = self.deal(groups, folds);
        let fold = |photo: &Photo| dealt.get(&photo.group).copied().filter(|_| is_judged(&photo));
        let whole = self.all.iter().filter(|photo| self.is_of_whole_kind(photo));
        let whole: HashMap<_, _> = whole.filter_map(|photo| Some((photo.kind, fold(photo)?))).collect();
        Folds {
            judges: self.all.iter().map(fold).collect(),
            strange_to: self.all.iter().map(|photo| whole.get(&photo.kind).copied()).collect(),
        }
    }

    /// The group of all photos of the classes that are learned from, if it is one, and `val` has others of the
    /// classes to judge by.
    pub(crate) fn only_learned(&self) -> Option<usize> {
        let groups = |part: Split| -> BTreeSet<usize> {
            let photos = self.all.iter().filter(|photo| photo.part == part && self.is_of_class(photo));
            photos.map(|photo| photo.group).collect()
        };
        let (learned, judging) = (groups(Split::Train), groups(Split::Val));
        let group = learned.first().copied().filter(|_| learned.len() == 1)?;
        judging.iter().any(|it| *it != group).then_some(group)
    }

    /// The fold of each group. Groups go, largest first, to where what they show is the rarest, in their folders and in all;
    /// then to where the fewest photos are.
    fn deal(&self, groups: BTreeMap<usize, Vec<&Photo>>, folds: usize) -> HashMap<usize, usize> {
        let mut groups: Vec<_> = groups.into_iter().collect();
        // Of one size in the order of the folders as they were named, wherever they lie.
        groups.sort_by_key(|(group, photos)| (Reverse(photos.len()), self.all[*group].source));
        let totals = self.sorts(groups.iter().flat_map(|(_, photos)| photos.iter().copied()));
        let mut there: Vec<BTreeMap<Sort, f64>> = vec![BTreeMap::new(); folds];
        let (mut sizes, mut dealt) = (vec![0_usize; folds], HashMap::new());
        for (group, photos) in groups {
            let sorts = self.sorts(photos.iter().copied());
            let crowd = |fold: usize| -> f64 {
                let there = |sort: &Sort| there[fold].get(sort).copied().unwrap_or_default();
                sorts.iter().map(|(sort, photos)| photos * there(sort) / totals[sort]).sum()
            };
            let compare = |one: &usize, other: &usize| {
                crowd(*one).total_cmp(&crowd(*other)).then(sizes[*one].cmp(&sizes[*other]))
            };
            let fold = (0..folds).min_by(compare).unwrap_or_default();
            sizes[fold] += photos.len();
            dealt.insert(group, fold);
            for (sort, photos) in sorts {
                *there[fold].entry(sort).or_default() += photos;
            }
        }
        dealt
    }

    /// Only those whose kinds are held out whole by [`Self::folds`], one by one, so that the heads that judge them have learned
    /// others of their kinds, and no copies. A photo is left out if there is none of the kind that its head could have learned.
    pub(crate) fn folds_within_kinds(&self, folds: usize) -> Folds {
        let (mut next, mut dealt) = ((0..folds).cycle(), HashMap::new());
        let others = self.all.iter().map(|photo| {
            let fold = next.next();
            // Copies go where the first of them is.
            dealt.entry(photo.content).or_insert(fold).filter(|_| self.is_of_others(photo))
        });
        let others: Vec<Option<usize>> = others.collect();
        let mut unknown_to: HashMap<usize, HashSet<Option<usize>>> = HashMap::new();
        for (photo, fold) in self.all.iter().zip(self.of_copies(&others)) {
            if photo.part == Split::Train {
                unknown_to.entry(photo.kind).or_default().insert(fold);
            }
        }
        // Then its head has learned another of its kind: one that is held out from another head, or from none.
        let is_learned = |photo: &Photo| unknown_to.get(&photo.kind).is_some_and(|heads| heads.len() > 1);
        let judges = others.into_iter().zip(&self.all);
        let judges: Vec<_> = judges.map(|(fold, photo)| fold.filter(|_| is_learned(photo))).collect();
        Folds { strange_to: self.of_copies(&judges), judges }
    }

    /// For each photo the fold that judges it or a copy of it, wherever that lies and whoever has sent it; if one does.
    fn of_copies(&self, judges: &[Option<usize>]) -> Vec<Option<usize>> {
        let judged = self.all.iter().zip(judges);
        let folds: HashMap<_, _> =
            judged.filter_map(|(photo, fold)| Some((photo.content, (*fold)?))).collect();
        self.all.iter().map(|photo| folds.get(&photo.content).copied()).collect()
    }

    /// How many photos there are of each sort. Another article is just that.
    fn sorts<'a>(&self, photos: impl Iterator<Item = &'a Photo>) -> BTreeMap<Sort, f64> {
        let mut sorts: BTreeMap<Sort, f64> = BTreeMap::new();
        for photo in photos {
            let shows = if self.is_scene(photo) { self.kinds.len() } else { photo.kind.min(self.classes) };
            for sort in [(shows, None), (shows, Some(photo.source))] {
                *sorts.entry(sort).or_default() += 1.0;
            }
        }
        sorts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::photos::tests::made;

    /// How many photos of a kind a fold's head judges.
    fn judged(photos: &Photos, folds: &Folds, fold: usize, kind: usize) -> usize {
        let of_kind = photos.all.iter().enumerate().filter(|(_, photo)| photo.kind == kind);
        of_kind.filter(|(number, _)| folds.judges(fold, *number)).count()
    }

    #[test]
    fn a_group_is_in_one_fold_and_folds_are_alike() {
        let all: Vec<_> = (0..300).map(|number| (number % 2, 0, number % 37)).collect();
        let photos = made(&["shirts", "tops"], 2, &all);
        let folds = photos.folds(5);
        for (number, photo) in photos.all.iter().enumerate() {
            assert!(folds.judges[number].is_some() && folds.judges[number] == folds.judges[photo.group]);
        }
        let sizes: Vec<_> =
            (0..5).flat_map(|fold| [0, 1].map(|kind| judged(&photos, &folds, fold, kind))).collect();
        assert!(sizes.iter().all(|size| (25..=35).contains(size)), "{sizes:?}");
    }

    #[test]
    fn folders_of_one_group_each_are_dealt_to_all_folds_and_classes_with_them() {
        // Ten people, each with a folder of four photos.
        let all: Vec<_> = (0..40).map(|number| (number / 4 % 2, number / 4, number / 4 * 4)).collect();
        let photos = made(&["shirts", "tops"], 2, &all);
        let folds = photos.folds(5);
        for fold in 0..5 {
            assert_eq!([0, 1].map(|kind| judged(&photos, &folds, fold, kind)), [4, 4], "in fold {fold}");
        }
    }

    #[test]
    fn test_photos_are_judged_by_none_of_them() {
        let mut photos = made(&["shirts", "tops"], 2, &[(0, 0, 0), (1, 0, 1)]);
        photos.all[0].part = Split::Test;
        let folds = photos.folds(2);
        assert!((0..2).all(|fold| !folds.judges(fold, 0)) && folds.judges[1].is_some());
    }

    #[test]
    fn what_is_all_there_is_to_learn_from_is_learned_by_all_where_others_can_judge() {
        // Three photos of one contributor, of which one is in `val`, and two of others there.
        let all = [(0, 0, 0), (1, 0, 0), (0, 0, 0), (0, 0, 3), (1, 0, 4)];
        let mut photos = made(&["shirts", "tops"], 2, &all);
        photos.all[2..].iter_mut().for_each(|photo| photo.part = Split::Val);
        let folds = photos.folds(2);
        let judged: Vec<_> = folds.judges.iter().map(Option::is_some).collect();
        assert_eq!(judged, [false, false, false, true, true]);
        assert!((0..2).all(|fold| [0, 1].iter().all(|photo| folds.learns(fold, *photo))));
        photos.all.truncate(3);
        assert!(photos.folds(2).judges.iter().all(Option::is_some), "without others it is held out");
    }

    #[test]
    fn within_kinds_photos_are_dealt_and_the_heads_that_judge_them_have_learned_others_of_their_kinds() {
        // Two photos of a class and twenty others, of which one isn't learned from and a contributor has sent one.
        let all: Vec<_> = (0..22).map(|number| (usize::from(number > 1), 0, number)).collect();
        let mut photos = made(&["shirts", "caps"], 1, &all);
        photos.all[20].part = Split::Val;
        photos.all[21].is_contributed = true;
        photos.all[8].content = 5;
        let folds = photos.folds_within_kinds(5);
        assert_eq!(folds.judges[5], folds.judges[8], "copies");
        for (number, photo) in photos.all.iter().enumerate() {
            assert_eq!(folds.judges[number].is_some(), (2..20).contains(&number), "{photo:?}");
            assert!((0..5).all(|fold| folds.learns(fold, number) != folds.judges(fold, number)), "{photo:?}");
        }
        assert!((0..5).all(|fold| (3..=4).contains(&judged(&photos, &folds, fold, 1))));
    }

    #[test]
    fn who_judges_within_a_kind_has_learned_others_of_it_and_no_copies() {
        // Two shirts, four caps, a tie, two hats. The second shirt is a copy of the first cap, a contributor's cap one of the
        // second, and the hats are one photo.
        let kinds = [0, 0, 1, 1, 1, 1, 2, 3, 3];
        let all: Vec<_> = kinds.iter().enumerate().map(|(number, kind)| (*kind, 0, number)).collect();
        let mut photos = made(&["shirts", "caps", "ties", "hats"], 1, &all);
        photos.all[5].is_contributed = true;
        for (copy, of) in [(2, 1), (5, 3), (8, 7)] {
            photos.all[copy].content = of;
        }
        let folds = photos.folds_within_kinds(2);
        for (judged, copy) in [(2, 1), (3, 5)] {
            let fold = folds.judges[judged].unwrap();
            assert!(folds.judges[copy].is_none(), "{copy}");
            assert!(!folds.learns(fold, copy) && folds.learns(1 - fold, copy), "{copy}");
        }
        assert!(folds.judges[4].is_some());
        for photo in [6, 7, 8] {
            assert!(folds.judges[photo].is_none(), "{photo}");
            assert!((0..2).all(|fold| folds.learns(fold, photo)), "{photo}");
        }
    }
}
