use std::collections::HashSet;
use std::path::PathBuf;

use autorma_classifier::{Decoder, Limits, Runtime, Session};
use autorma_evaluation::parallel::hand_over;
use ndarray::{Array2, Axis};

use crate::cache::Cache;
use crate::dataset::Split;
use crate::graph::Backbone;
use crate::views::{Unusable, Views};
use crate::{Error, Progress, What, memory};

/// What computes features.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) limits: Limits,
    pub(crate) threads: usize,
}

/// What the backbone says of photos and their variations.
#[derive(Debug)]
pub(crate) struct Features {
    /// A row a view.
    pub(crate) values: Array2<f32>,
    /// The photo of each row. First come the photos as they are, in order, then the first variation of each, and so on.
    pub(crate) photos: Vec<usize>,
    /// How many of the rows are photos as they are.
    pub(crate) plain: usize,
    /// How many variations there are of each photo that is learned from.
    pub(crate) copies: u32,
    /// Photos that can't be read or decoded, and why.
    pub(crate) failed: Vec<(PathBuf, String)>,
}

impl Features {
    /// Takes over the photos that have failed for others and not for these.
    pub(crate) fn fail_with(&mut self, others: &Self) {
        let known: HashSet<_> = self.failed.iter().map(|(path, _)| path.clone()).collect();
        let further = others.failed.iter().filter(|(path, _)| !known.contains(path));
        self.failed.extend(further.cloned());
    }

    /// Keeps only the photos that the others have as well.
    pub(crate) fn keep_those_of(&mut self, others: &Self) {
        let known: HashSet<_> = others.photos[..others.plain].iter().collect();
        let is_known = |row: &usize| known.contains(&self.photos[*row]);
        let rows: Vec<_> = (0..self.photos.len()).filter(is_known).collect();
        if rows.len() < self.photos.len() {
            self.values = self.values.select(Axis(0), &rows);
            self.plain = rows.iter().filter(|row| **row < self.plain).count();
            self.photos = rows.iter().map(|row| self.photos[*row]).collect();
        }
    }
}

/// All that is needed to compute the features of any view.
#[derive(Debug)]
struct Work<'a> {
    views: &'a Views<'a>,
    backbone: &'a Backbone,
    machine: Machine<'a>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope {
    /// All photos but those of `test`, and so many variations of those that are learned from.
    Learned { copies: u32 },
    /// All photos but those of `test`, as they are.
    Judged,
}

impl Scope {
    fn copies(self) -> u32 {
        match self {
            Self::Learned { copies } => copies,
            Self::Judged => 0,
        }
    }

    fn what(self) -> What {
        match self {
            Self::Learned { .. } => What::Features,
            Self::Judged => What::Judged,
        }
    }
}

/// Computes what isn't in the cache yet, round by round: each photo as it is, then a variation of each, and so on. When
/// `progress` says that it is enough, nothing more is computed, and the rounds that are whole are what there is.
///
/// # Errors
/// [`Error::Stopped`] if none is; [`Error::Gone`] if more than a few of the photos are gone.
pub(crate) fn extract(
    views: &Views<'_>,
    backbone: &Backbone,
    scope: Scope,
    machine: Machine<'_>,
    cache: &mut Cache,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<Features, Error> {
    let work = Work { views, backbone, machine };
    let photos = views.photos;
    let sessions = (0..machine.threads).map(|_| work.session()).collect::<Result<Vec<_>, _>>();
    let mut sessions = sessions?;
    let mut failed: Vec<_> = (0..photos.all.len()).map(|_| None::<Unusable>).collect();
    let rounds: Vec<Vec<usize>> = (0..=scope.copies()).map(|copy| work.round(copy)).collect();
    let of: usize = rounds.iter().map(Vec::len).sum();
    let bytes = of * backbone.features * size_of::<f32>();
    memory::look(bytes, "the features of all views", "fewer `copies` in the recipe");
    // Of all rounds at once: what an earlier training has left says nothing of how fast this one is.
    let known = |(copy, round): (u32, &Vec<usize>)| {
        round.iter().filter(|photo| work.is_known(**photo, copy, cache)).count()
    };
    let mut done: usize = (0..).zip(&rounds).map(known).sum();
    let mut copies = None;
    for (copy, round) in (0..).zip(&rounds) {
        let unknown = round.iter().copied().filter(|photo| !work.is_known(*photo, copy, cache));
        let (broken, missing): (Vec<_>, Vec<_>) = unknown.partition(|photo| failed[*photo].is_some());
        // What couldn't be looked at before isn't waited for.
        done += broken.len();
        let report = |computed| progress(Progress::Count { what: scope.what(), done: done + computed, of });
        let computed = work.compute(copy, &missing, &mut sessions, cache, &mut failed, report)?;
        views.few_are_gone(rounds[0].iter().map(|photo| (*photo, failed[*photo].as_ref())))?;
        done += computed;
        if computed < missing.len() {
            break;
        }
        copies = Some(copy);
    }
    let copies = copies.ok_or(Error::Stopped)?;
    work.collect(&rounds[..=copies as usize], copies, cache, &failed)
}

impl Work<'_> {
    fn session(&self) -> Result<Session, Error> {
        let Backbone { onnx, input, features, .. } = self.backbone;
        Ok(Session::of(self.machine.runtime, onnx, input, Backbone::FEATURES, *features, 1)?)
    }

    /// The photos that have such a copy.
    fn round(&self, copy: u32) -> Vec<usize> {
        let has = |number: &usize| match self.views.photos.all[*number].part {
            Split::Train => true,
            Split::Val => copy == 0,
            Split::Test => false,
        };
        (0..self.views.photos.all.len()).filter(has).collect()
    }

    /// Whether the cache has the features of a view.
    fn is_known(&self, photo: usize, copy: u32, cache: &Cache) -> bool {
        self.views.key(photo, copy, self.backbone).is_some_and(|key| cache.has(&key))
    }

    /// Puts a copy of each of the photos into the cache, on all threads, until `report`, which hears how many are done,
    /// first of none, says that it is enough. Returns how many are done.
    fn compute(
        &self,
        copy: u32,
        missing: &[usize],
        sessions: &mut [Session],
        cache: &mut Cache,
        failed: &mut [Option<Unusable>],
        mut report: impl FnMut(usize) -> bool,
    ) -> Result<usize, Error> {
        if !report(0) {
            return Ok(0);
        }
        let input = &self.backbone.input;
        let decoder = || Decoder::new(input.width, input.height, self.views.limits);
        let owned = sessions.iter_mut().map(|session| (decoder(), session));
        let mut done = 0;
        hand_over(
            missing.len(),
            owned,
            |(decoder, session), number| self.one(missing[number], copy, decoder, session),
            |number, features| {
                let photo = missing[number];
                match (features, self.views.key(photo, copy, self.backbone)) {
                    (Ok(features), Some(key)) => cache.add(key, &features)?,
                    (Ok(_), None) => failed[photo] = Some(Unusable::Gone("it can't be read".into())),
                    (Err(problem), _) => failed[photo] = Some(problem),
                }
                done += 1;
                Ok(report(done))
            },
        )
    }

    /// What the backbone says of one view.
    fn one(
        &self,
        photo: usize,
        copy: u32,
        decoder: &mut Decoder,
        session: &mut Session,
    ) -> Result<Vec<f32>, Unusable> {
        let silent = |why: &str| Unusable::Broken(why.to_owned());
        let picture = self.views.picture(photo, copy, decoder)?;
        let features = session.infer(&[&picture])?.pop();
        let features = features.ok_or_else(|| silent("the backbone says nothing"))?;
        // A single one would be in all that heads learn.
        match features.iter().all(|it| it.is_finite()) {
            true => Ok(features),
            false => Err(silent("the backbone says what is no number")),
        }
    }

    fn collect(
        &self,
        rounds: &[Vec<usize>],
        copies: u32,
        cache: &Cache,
        failed: &[Option<Unusable>],
    ) -> Result<Features, Error> {
        let is_good = |photo: &&usize| failed[**photo].is_none();
        let photos: Vec<usize> = rounds.iter().flatten().filter(is_good).copied().collect();
        let plain = rounds[0].iter().filter(is_good).count();
        let mut values = Array2::zeros((photos.len(), self.backbone.features));
        let views = (0..).zip(rounds).flat_map(|(copy, round)| round.iter().map(move |photo| (copy, photo)));
        let views = views.filter(|(_, photo)| failed[**photo].is_none());
        for (mut row, (copy, photo)) in values.outer_iter_mut().zip(views) {
            if let (Some(key), Some(row)) = (self.views.key(*photo, copy, self.backbone), row.as_slice_mut())
            {
                cache.read(&key, row)?;
            }
        }
        let failed = self.views.photos.all.iter().zip(failed).filter_map(|(photo, problem)| {
            problem.as_ref().map(|problem| (photo.path.clone(), problem.to_string()))
        });
        Ok(Features { values, photos, plain, copies, failed: failed.collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use autorma_models::handmade;

    use super::*;
    use crate::contents::Contents;
    use crate::onnx::{Node, Tensor};
    use crate::photos::Photos;
    use crate::{Folders, Recipe};

    /// What it says of a picture that is black all over is no number.
    fn afraid_of_the_dark() -> Backbone {
        let backbone = Backbone::parse(handmade::backbone()).unwrap();
        let mut graph = backbone.graph();
        let said = graph.node.iter_mut().flat_map(|node| &mut node.output);
        said.filter(|name| name.as_str() == Backbone::FEATURES).for_each(|name| *name = "means".into());
        graph.initializer.push(Tensor::floats("black", &[], std::iter::once(127.0 / 128.0)));
        graph.node.extend([
            Node::of("ReduceMax", &["image"], "brightest"),
            Node::of("Add", &["brightest", "black"], "light"),
            Node::of("Log", &["light"], "logarithm"),
            Node::of("Add", &["means", "logarithm"], Backbone::FEATURES),
        ]);
        backbone.with_graph(graph).unwrap()
    }

    #[test]
    fn a_photo_of_which_the_backbone_says_what_is_no_number_is_left_out_and_told() {
        let root = tempfile::tempdir().unwrap();
        for (name, grey) in [("shirts/1.bmp", 200), ("shirts/2.bmp", 0), ("tops/3.bmp", 90)] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, handmade::picture([grey; 3])).unwrap();
        }
        let runtime = Runtime::of_the_clone();
        let limits = Limits { bytes: 1 << 20, pixels: 1 << 20, memory: 1 << 24 };
        let machine = Machine { runtime: &runtime, limits, threads: 2 };
        let folders = Folders { data: vec![root.path().into()], ..Folders::default() };
        let photos = Photos::find(&folders, &root.path().join("run")).unwrap();
        let contents = Contents::read(&photos, limits, 2, &mut |_| true).unwrap();
        let (backbone, recipe) = (afraid_of_the_dark(), Recipe::default());
        let views = Views::prepare(&photos, &contents, &backbone, &recipe, machine, &mut |_| true).unwrap();
        let mut cache = Cache::open(&root.path().join("run/features"), backbone.features).unwrap();
        let scope = Scope::Learned { copies: 0 };
        let features = extract(&views, &backbone, scope, machine, &mut cache, &mut |_| true).unwrap();
        assert_eq!((&*features.photos, features.plain), (&[0, 2][..], 2));
        assert!(features.values.iter().all(|it| it.is_finite()), "{features:?}");
        let [(path, why)] = &*features.failed else { panic!("{:?}", features.failed) };
        assert!(path.ends_with("shirts/2.bmp") && why.contains("no number"), "{path:?}: {why}");
    }
}
