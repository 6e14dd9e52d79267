use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use autorma_classifier::{Decoder, Limits, Runtime, Session};
use ndarray::Array2;

use crate::cache::Cache;
use crate::graph::Backbone;
use crate::photos::Part;
use crate::views::Views;
use crate::{Error, Progress, memory};

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
}

/// Computes what isn't in the cache yet, round by round: each photo as it is, then a variation of each, and so on. When
/// `progress` says that it is enough, nothing more is computed, and the rounds that are whole are what there is.
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
    let mut failed: Vec<_> = (0..photos.all.len()).map(|_| None::<String>).collect();
    let rounds: Vec<Vec<usize>> = (0..=scope.copies()).map(|copy| work.round(copy)).collect();
    let of: usize = rounds.iter().map(Vec::len).sum();
    memory::look(of, backbone.features);
    // Of all rounds at once: what an earlier training has left says nothing of how fast this one is.
    let known = |(copy, round): (u32, &Vec<usize>)| {
        round.iter().filter(|photo| work.is_known(**photo, copy, cache)).count()
    };
    let mut done: usize = (0..).zip(&rounds).map(known).sum();
    let (mut copies, stopped) = (None, AtomicBool::new(false));
    for (copy, round) in (0..).zip(&rounds) {
        let unknown = round.iter().copied().filter(|photo| !work.is_known(*photo, copy, cache));
        let (broken, missing): (Vec<_>, Vec<_>) = unknown.partition(|photo| failed[*photo].is_some());
        // What couldn't be looked at before isn't waited for.
        done += broken.len();
        let report = |done| match scope {
            Scope::Learned { .. } => progress(Progress::Features { done, of }),
            Scope::Judged => progress(Progress::Judged { done, of }),
        };
        let is_whole =
            work.compute(copy, &missing, &mut sessions, cache, &mut failed, &mut done, &stopped, report)?;
        if !is_whole {
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
        Ok(Session::of(self.machine.runtime, onnx, input, Backbone::OUTPUT, *features, 1)?)
    }

    /// The photos that have such a copy.
    fn round(&self, copy: u32) -> Vec<usize> {
        let has = |number: &usize| match self.views.photos.all[*number].part {
            Part::Train => true,
            Part::Validation => copy == 0,
            Part::Test => false,
        };
        (0..self.views.photos.all.len()).filter(has).collect()
    }

    /// Whether the cache has the features of a view.
    fn is_known(&self, photo: usize, copy: u32, cache: &Cache) -> bool {
        self.views.key(photo, copy, self.backbone).is_some_and(|key| cache.has(&key))
    }

    /// Puts a copy of each of the photos into the cache, on all threads, until it is told to stop. False if that was before
    /// the end.
    #[expect(clippy::too_many_arguments, reason = "they are the state of the loop over all rounds")]
    fn compute(
        &self,
        copy: u32,
        missing: &[usize],
        sessions: &mut [Session],
        cache: &mut Cache,
        failed: &mut [Option<String>],
        done: &mut usize,
        stopped: &AtomicBool,
        mut report: impl FnMut(usize) -> bool,
    ) -> Result<bool, Error> {
        let (next, end) = (AtomicUsize::new(0), *done + missing.len());
        if !report(*done) {
            stopped.store(true, Ordering::Relaxed);
        }
        std::thread::scope(|scope| {
            let (results, all) = mpsc::sync_channel(sessions.len() * 4);
            for session in sessions {
                let (results, next) = (results.clone(), &next);
                scope.spawn(move || {
                    let input = &self.backbone.input;
                    let mut decoder = Decoder::new(input.width, input.height, self.views.limits);
                    while !stopped.load(Ordering::Relaxed) {
                        let Some(photo) = missing.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                        let features = self.one(*photo, copy, &mut decoder, session);
                        if results.send((*photo, features)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(results);
            for (photo, features) in all {
                match (features, self.views.key(photo, copy, self.backbone)) {
                    (Ok(features), Some(key)) => cache.add(key, &features)?,
                    (Ok(_), None) => failed[photo] = Some("it can't be read".into()),
                    (Err(problem), _) => failed[photo] = Some(problem),
                }
                *done += 1;
                if !report(*done) {
                    stopped.store(true, Ordering::Relaxed);
                }
            }
            Ok::<(), Error>(())
        })?;
        Ok(*done == end)
    }

    /// What the backbone says of one view.
    fn one(
        &self,
        photo: usize,
        copy: u32,
        decoder: &mut Decoder,
        session: &mut Session,
    ) -> Result<Vec<f32>, String> {
        let picture = self.views.picture(photo, copy, decoder)?;
        session.infer(&[&picture])?.pop().ok_or_else(|| "the backbone says nothing".to_owned())
    }

    fn collect(
        &self,
        rounds: &[Vec<usize>],
        copies: u32,
        cache: &Cache,
        failed: &[Option<String>],
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
            problem.as_ref().map(|problem| (photo.path.clone(), problem.clone()))
        });
        Ok(Features { values, photos, plain, copies, failed: failed.collect() })
    }
}
