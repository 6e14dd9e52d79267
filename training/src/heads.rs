use crate::decisions::HeldOut;
use crate::features::Features;
use crate::head::{Head, Lesson};
use crate::photos::{BACKGROUND, Part, Photo, Photos};
use crate::{Progress, Recipe};

/// The heads that are fitted on the same features.
pub(crate) struct Heads<'a> {
    pub(crate) photos: &'a Photos,
    pub(crate) features: &'a Features,
    pub(crate) recipe: &'a Recipe,
    threads: usize,
    /// The kind of each view.
    kinds: Vec<usize>,
    /// What each view counts in the shipped head.
    weights: Vec<f32>,
    /// The fold of each photo, if it has one.
    pub(crate) folds: Vec<Option<usize>>,
}

impl<'a> Heads<'a> {
    pub(crate) fn new(
        photos: &'a Photos,
        features: &'a Features,
        recipe: &'a Recipe,
        threads: usize,
    ) -> Self {
        let kinds = features.photos.iter().map(|photo| photos.all[*photo].kind).collect();
        let weight = |(view, photo): (usize, &usize)| {
            let share =
                if view < features.plain { 1.0 } else { recipe.weights.copies / features.copies as f32 };
            share * weight(photos, &photos.all[*photo], recipe)
        };
        let weights = features.photos.iter().enumerate().map(weight).collect();
        Self { photos, features, recipe, threads, kinds, weights, folds: photos.folds(recipe.folds) }
    }

    /// The head that learns from the photos that `learns` names, of those that may be learned from.
    pub(crate) fn fit(&self, learns: impl Fn(usize) -> bool, after: impl FnMut(f64)) -> Head {
        let counts = |(photo, weight): (&usize, &f32)| if learns(*photo) { *weight } else { 0.0 };
        let weights: Vec<_> = self.features.photos.iter().zip(&self.weights).map(counts).collect();
        let lesson = Lesson {
            features: self.features.values.view(),
            kinds: &self.kinds,
            weights: &weights,
            outputs: self.photos.kinds.len(),
        };
        Head::fit(&lesson, &self.recipe.head, self.threads, after)
    }

    /// A head for each fold that has seen nothing of it, and what these say of the photos of their folds: once for each of
    /// the backbones whose features these are.
    pub(crate) fn judge<const N: usize>(
        &self,
        features: [&Features; N],
        progress: &mut impl FnMut(Progress) -> bool,
    ) -> (Vec<Head>, [Vec<HeldOut>; N]) {
        let (mut heads, mut held_out) = (Vec::new(), [const { Vec::new() }; N]);
        for number in 0..self.recipe.folds {
            let head = self.fit(
                |photo| self.folds[photo] != Some(number),
                |loss| {
                    progress(Progress::Head { number, of: self.recipe.folds + 1, loss });
                },
            );
            for (features, held_out) in features.iter().zip(&mut held_out) {
                for (row, photo) in features.photos[..features.plain].iter().enumerate() {
                    if self.folds[*photo] == Some(number) {
                        let logits = head.logits(features.values.row(row));
                        held_out.push(self.held_out(*photo, logits));
                    }
                }
            }
            heads.push(head);
        }
        for held_out in &mut held_out {
            held_out.sort_by_key(|it: &HeldOut| it.photo);
        }
        (heads, held_out)
    }

    /// What was said of a photo by who has seen nothing of its fold, as it will ship: with the floor.
    pub(crate) fn held_out(&self, photo: usize, mut logits: Vec<f32>) -> HeldOut {
        logits.extend(self.recipe.head.floor);
        let Photo { kind, is_contributed, .. } = self.photos.all[photo];
        HeldOut { photo, kind, is_contributed, logits }
    }
}

/// What a photo counts; 0 if it must not be learned from.
pub(crate) fn weight(photos: &Photos, photo: &Photo, recipe: &Recipe) -> f32 {
    let weights = &recipe.weights;
    match photo {
        Photo { part: Part::Validation | Part::Test, .. } => 0.0,
        Photo { is_contributed: true, .. } if photos.is_of_class(photo) => weights.contributed,
        Photo { is_contributed: true, .. } => weights.contributed_other,
        _ if photos.kinds[photo.kind] == BACKGROUND => weights.background,
        _ if !photos.is_of_class(photo) => weights.other,
        _ => 1.0,
    }
}
