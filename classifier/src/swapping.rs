use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use autorma_models::registry::{Reference, Registry, RegistryError, Source, Which};
use autorma_models::{Manifest, Model};
use autorma_service::Shutdown;

use crate::inferring::{Instrument, Meaning};
use crate::stage::AT_ONCE;
use crate::working::Bench;
use crate::{Config, Error, Runtime, Session};

/// How often is asked what the alias names.
const LOOK: Duration = Duration::from_secs(1);
/// How long a version that can't serve isn't tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Where the next version's instruments lie until their workers take them.
#[derive(Debug)]
pub(crate) struct Rack(Vec<Mutex<Option<Instrument>>>);

impl Rack {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::default()).collect())
    }

    /// The worker's next instrument, if it has changed.
    pub(crate) fn take(&self, worker: usize) -> Option<Instrument> {
        self.0[worker].lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, instruments: Vec<Instrument>) {
        for (place, instrument) in self.0.iter().zip(instruments) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(instrument);
        }
    }
}

/// The model, verified, and who follows it if an alias names it.
pub(crate) fn open(config: &Config) -> Result<(Model, Option<Follower>), Error> {
    let reference = match &config.model {
        Source::Folder(folder) => return Ok((Model::open(folder)?, None)),
        Source::Registered(reference) => reference,
    };
    let registry = config.registry.open()?;
    let (serving, model) = first(&*registry, reference)?;
    let follows = matches!(reference.which, Which::Alias(_));
    let reference = reference.clone();
    let follower = Follower { registry, reference, serving, refused: None, is_silent: false };
    Ok((model, follows.then_some(follower)))
}

/// What serves at the start: where the registry is away, what is remembered of it here.
fn first(registry: &dyn Registry, reference: &Reference) -> Result<(u64, Model), RegistryError> {
    let answer =
        registry.resolve(reference).and_then(|number| Ok((number, registry.load(&reference.name, number)?)));
    let error = match answer {
        Err(error) if error.is_away() => error,
        answered => return answered,
    };
    let Some((version, model)) = registry.remembered(reference) else { return Err(error) };
    tracing::warn!(model = %reference, version, %error, "the registry is away: the version that it named last is served");
    Ok((version, model))
}

/// One for each worker, loaded side by side and tried.
pub(crate) fn instruments(
    runtime: &Runtime,
    model: &Model,
    config: &Config,
) -> Result<Vec<Instrument>, Error> {
    let meaning = Arc::new(Meaning {
        manifest: model.manifest.clone(),
        version: model.version(),
        batch_size: config.batch_size,
    });
    std::thread::scope(|scope| {
        let load = || Session::load(runtime, model, AT_ONCE);
        let loading: Vec<_> = (0..config.workers).map(|_| scope.spawn(load)).collect();
        let sessions = loading.into_iter().map(|session| session.join().map_err(|_| Error::Panicked));
        sessions.map(|session| Ok(Instrument { session: session??, meaning: Arc::clone(&meaning) })).collect()
    })
}

/// Brings the version that an alias names to the workers, whenever that is another one.
#[derive(Debug)]
pub(crate) struct Follower {
    registry: Box<dyn Registry>,
    reference: Reference,
    serving: u64,
    /// The version that couldn't serve, and when that was found.
    refused: Option<(u64, Instant)>,
    /// Whether the registry doesn't say what serves, which is told once.
    is_silent: bool,
}

impl Follower {
    /// Until the shutdown, or until the stage has failed.
    pub(crate) fn follow(
        mut self,
        runtime: &Runtime,
        serving: &Manifest,
        bench: &Bench<'_>,
        shutdown: &Shutdown,
    ) {
        while shutdown.sleep(LOOK) && !bench.desk.has_failed() {
            let named = self.registry.resolve(&self.reference);
            let was_silent = std::mem::replace(&mut self.is_silent, named.is_err());
            let is_behind = match named {
                Ok(named) => !self.serves(named, runtime, serving, bench),
                Err(error) => {
                    if !was_silent {
                        let serving = self.serving;
                        tracing::error!(model = %self.reference, serving, %error, "the registry doesn't say what should serve: the former version goes on");
                    }
                    true
                }
            };
            bench.metrics.model_behind.set(is_behind.into());
        }
    }

    /// Whether this version serves, at the latest from now on.
    fn serves(&mut self, named: u64, runtime: &Runtime, serving: &Manifest, bench: &Bench<'_>) -> bool {
        if named == self.serving {
            self.refused = None;
            return true;
        }
        if self.refused.is_some_and(|(version, at)| version == named && at.elapsed() < AGAIN) {
            return false;
        }
        let begun = Instant::now();
        match self.bring(named, runtime, serving, bench) {
            Ok(model) => {
                let (former, seconds) = (self.serving, begun.elapsed().as_secs_f64());
                (self.serving, self.refused) = (named, None);
                bench.metrics.loaded(&model);
                let sha256 = model.manifest.model.sha256;
                tracing::info!(model = %self.reference, version = named, former, sha256, seconds, "another version serves");
                true
            }
            Err(error) => {
                let serving = self.serving;
                tracing::error!(model = %self.reference, version = named, serving, %error, "a version can't serve: the former one goes on");
                self.refused = Some((named, Instant::now()));
                false
            }
        }
    }

    /// Loads and tries it while the former version works on; only then the workers are given it.
    fn bring(
        &self,
        named: u64,
        runtime: &Runtime,
        serving: &Manifest,
        bench: &Bench<'_>,
    ) -> Result<Model, Error> {
        let model = self.registry.load(&self.reference.name, named)?;
        // The pictures that are decoded already go through whatever serves then.
        let size = |manifest: &Manifest| (manifest.input.width, manifest.input.height);
        if size(&model.manifest) != size(serving) {
            return Err(Error::Unlike("takes pictures of another size"));
        }
        if model.manifest.classes != serving.classes {
            return Err(Error::Unlike("knows other classes"));
        }
        bench.rack.put(instruments(runtime, &model, bench.config)?);
        Ok(model)
    }
}
