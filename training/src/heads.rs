use crate::dataset::Split;
use crate::decisions::{HeldOut, Unseen};
use crate::features::Features;
use crate::head::{Head, Lesson};
use crate::photos::{Folds, Photo, Photos};
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
    /// Who judges what, of those that haven't learned from its group.
    pub(crate) folds: &'a Folds,
    /// The same, where other photos of its kind are learned from.
    within_kinds: Folds,
}

impl<'a> Heads<'a> {
    pub(crate) fn new(
        photos: &'a Photos,
        folds: &'a Folds,
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
        let within_kinds = photos.folds_within_kinds(recipe.folds);
        Self { photos, features, recipe, threads, kinds, weights, folds, within_kinds }
    }

    /// The head that learns from the photos that `learns` names, of those that may be learned from: from one at least.
    pub(crate) fn fit(&self, learns: impl Fn(usize) -> bool, after: impl FnMut(usize, f64)) -> Head {
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

    /// A head for each fold that has learned only what it may, and what these say of the photos of their folds; and what as many
    /// others say of other articles, of whose kinds they have learned different photos. All that is said once for each of the
    /// backbones whose features these are.
    pub(crate) fn judge<const N: usize>(
        &self,
        features: [&Features; N],
        progress: &mut impl FnMut(Progress) -> bool,
    ) -> (Vec<Head>, [Unseen; N]) {
        let mut after = |number, iteration, loss| {
            progress(self.progress(number, iteration, loss));
        };
        let (heads, mut groups) = self.without(self.folds, features, &mut after);
        let mut within_kinds = [const { Vec::new() }; N];
        if !self.within_kinds.is_empty() {
            let mut after = |number, iteration, loss| after(self.recipe.folds + number, iteration, loss);
            (_, within_kinds) = self.without(&self.within_kinds, features, &mut after);
        }
        let unseen = std::array::from_fn(|number| Unseen {
            groups: std::mem::take(&mut groups[number]),
            within_kinds: std::mem::take(&mut within_kinds[number]),
        });
        (heads, unseen)
    }

    /// The head that ships, and its loss after each iteration.
    pub(crate) fn shipped(&self, progress: &mut impl FnMut(Progress) -> bool) -> (Head, Vec<f64>) {
        let mut losses = Vec::new();
        let after = |iteration, loss| {
            losses.push(loss);
            progress(self.progress(self.number() - 1, iteration, loss));
        };
        (self.fit(|_| true, after), losses)
    }

    /// How many heads are fitted, with the one that ships.
    fn number(&self) -> usize {
        let rounds = if self.within_kinds.is_empty() { 1 } else { 2 };
        rounds * self.recipe.folds + 1
    }

    fn progress(&self, number: usize, iteration: usize, loss: f64) -> Progress {
        Progress::Head { number, of: self.number(), iteration, iterations: self.recipe.head.iterations, loss }
    }

    /// A head for each fold that has learned only what it may, and what these say of the photos of their folds. `after` hears of
    /// the fold, the iteration and the loss after it.
    fn without<const N: usize>(
        &self,
        folds: &Folds,
        features: [&Features; N],
        after: &mut dyn FnMut(usize, usize, f64),
    ) -> (Vec<Head>, [Vec<HeldOut>; N]) {
        let (mut heads, mut held_out) = (Vec::new(), [const { Vec::new() }; N]);
        for number in 0..self.recipe.folds {
            let head = self
                .fit(|photo| folds.learns(number, photo), |iteration, loss| after(number, iteration, loss));
            for (features, held_out) in features.iter().zip(&mut held_out) {
                for (row, photo) in features.photos[..features.plain].iter().enumerate() {
                    if folds.judges(number, *photo) {
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

    /// What was said of a photo by who hasn't learned from its fold.
    pub(crate) fn held_out(&self, photo: usize, logits: Vec<f32>) -> HeldOut {
        let Photo { kind, is_contributed, .. } = self.photos.all[photo];
        HeldOut { photo, kind, is_contributed, logits }
    }
}

/// What a photo counts; 0 if it must not be learned from.
pub(crate) fn weight(photos: &Photos, photo: &Photo, recipe: &Recipe) -> f32 {
    let weights = &recipe.weights;
    match photo {
        Photo { part: Split::Val | Split::Test, .. } => 0.0,
        Photo { is_contributed: true, .. } if photos.is_of_class(photo) => weights.contributed,
        Photo { is_contributed: true, .. } => weights.contributed_other,
        _ if photos.is_scene(photo) => weights.background,
        _ if !photos.is_of_class(photo) => weights.other,
        _ => 1.0,
    }
}
