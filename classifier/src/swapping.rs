//! Versions that are exchanged while the classifier runs, and those that it begins with.

mod following;
mod opening;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use autorma_models::{Manifest, Model};
use autorma_schemas::ModelVersion;
use autorma_service::Shutdown;
use parking_lot::Mutex;

use crate::inferring::{Instrument, Meaning};
use crate::stage::AT_ONCE;
use crate::working::Bench;
use crate::{Config, Error, Runtime, Session};

use following::Follower;
pub(crate) use opening::Opening;

/// How long a version that can't serve isn't tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// What a version computes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seat {
    /// An arm's predictions; the only one's, where nothing is split.
    Arm(usize),
    /// Comparison alone.
    Shadow,
}

/// Where the next versions' instruments lie until their workers take them.
#[derive(Debug)]
pub(crate) struct Rack(Vec<Mutex<BTreeMap<Seat, Instrument>>>);

impl Rack {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::default()).collect())
    }

    /// The worker's next instruments, for the seats that have changed.
    pub(crate) fn take(&self, worker: usize) -> BTreeMap<Seat, Instrument> {
        std::mem::take(&mut *self.0[worker].lock())
    }

    fn put(&self, seat: Seat, instruments: Vec<Instrument>) {
        for (place, instrument) in self.0.iter().zip(instruments) {
            place.lock().insert(seat, instrument);
        }
    }
}

/// A version that can serve, with an instrument for each worker.
type Able = (Model, Vec<Instrument>);

/// Where versions are made ready to serve.
#[derive(Debug, Clone, Copy)]
struct Workshop<'a> {
    config: &'a Config,
    runtime: &'a Runtime,
    shutdown: &'a Shutdown,
    /// What computes beside a version, or before it, which it must be like.
    like: Option<&'a Manifest>,
}

impl<'a> Workshop<'a> {
    /// For versions that come to the bench while one of this manifest serves.
    fn at(bench: &'a Bench<'_>, runtime: &'a Runtime, serving: &'a Manifest) -> Self {
        Self { config: bench.config, runtime, shutdown: bench.shutdown, like: Some(serving) }
    }

    /// Tries a version and loads it for each worker. None if the process is to end meanwhile.
    fn prepare(&self, model: Model) -> Result<Option<Able>, Error> {
        if let Some(unlike) = self.like.and_then(|like| unlike(&model.manifest, like)) {
            return Err(Error::Unlike(unlike));
        }
        match self.instruments(&model) {
            Err(_) if self.shutdown.is_requested() => Ok(None),
            instruments => Ok(Some((model, instruments?))),
        }
    }

    /// One for each worker, loaded side by side. How many pictures go into one call trying the model has shown: it needn't be
    /// asked again, while photos wait.
    fn instruments(&self, model: &Model) -> Result<Vec<Instrument>, Error> {
        let Self { config, runtime, shutdown, .. } = *self;
        let tried = config.try_out(model, Some(shutdown))?;
        let meaning =
            Arc::new(Meaning { manifest: model.manifest.clone(), version: model.manifest.identity() });
        std::thread::scope(|scope| {
            let load = || match tried {
                Some(at_once) => Session::of_tried(runtime, model, at_once, Some(shutdown)),
                None => Session::load(runtime, model, AT_ONCE),
            };
            let loading = (0..config.workers).map(|_| Builder::new().spawn_scoped(scope, load));
            let loading: Vec<_> = loading.collect();
            let sessions = loading.into_iter().map(|loading| match loading {
                Ok(session) => session.join().map_err(|_| Error::Panicked),
                // Where the system has no thread for it, this one does it.
                Err(_) => Ok(load()),
            });
            let sessions = sessions.map(|session| Ok(session??)).collect::<Result<Vec<_>, Error>>()?;
            if sessions.iter().any(|session| session.at_once() < AT_ONCE) {
                let ModelVersion { name, version, .. } = &meaning.version;
                tracing::warn!(
                    model = name,
                    version,
                    "asked about one photo at a time, which is slower: its numbers for a photo depend on the others, or it takes only one"
                );
            }
            let instruments = sessions.into_iter();
            Ok(instruments.map(|session| Instrument { session, meaning: Arc::clone(&meaning) }).collect())
        })
    }
}

/// Why a version can't compute beside another one, or after it: pictures that are decoded go through whatever serves then.
fn unlike(manifest: &Manifest, serving: &Manifest) -> Option<&'static str> {
    let size = |manifest: &Manifest| (manifest.input.width, manifest.input.height);
    if size(manifest) != size(serving) {
        return Some("takes pictures of another size");
    }
    (manifest.classes != serving.classes).then_some("knows other classes")
}

#[cfg(test)]
mod tests;
