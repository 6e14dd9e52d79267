use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use autorma_models::registry::{Reference, Registry, RegistryError, Source, Which};
use autorma_models::{Manifest, Model};
use autorma_schemas::ModelVersion;
use autorma_service::Shutdown;

use crate::inferring::{Instrument, Kit, Meaning};
use crate::stage::AT_ONCE;
use crate::working::Bench;
use crate::{Cast, Config, Error, Metrics, Runtime, Session};

/// How often is asked what the aliases name.
const LOOK: Duration = Duration::from_secs(1);
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
        std::mem::take(&mut *self.0[worker].lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, seat: Seat, instruments: Vec<Instrument>) {
        for (place, instrument) in self.0.iter().zip(instruments) {
            place.lock().unwrap_or_else(PoisonError::into_inner).insert(seat, instrument);
        }
    }
}

/// Who computes at the start.
#[derive(Debug)]
pub(crate) struct Opening {
    /// What takes part in decoding is the same for all: this is the first arm's.
    pub(crate) manifest: Manifest,
    /// One for each worker.
    pub(crate) kits: Vec<Kit>,
    pub(crate) followers: Vec<Follower>,
}

impl Opening {
    /// Loads each arm's version, all of which must be able to serve. The shadow's comes by its follower. None if the
    /// process is to end meanwhile.
    pub(crate) fn of(
        config: &Config,
        runtime: &Runtime,
        metrics: &Metrics,
        shutdown: &Shutdown,
    ) -> Result<Option<Self>, Error> {
        let cast = Cast::of(config)?;
        metrics.begin(config);
        let mut kits: Vec<Vec<Instrument>> = (0..config.workers).map(|_| Vec::new()).collect();
        let (mut first, mut followers) = (None::<Manifest>, Vec::new());
        for (number, source) in cast.arms.iter().enumerate() {
            let Some((model, tried, followed)) = open(config, source, shutdown)? else { return Ok(None) };
            let first = first.get_or_insert_with(|| model.manifest.clone());
            if let Some(unlike) = unlike(&model.manifest, first) {
                return Err(Error::Cast(format!(
                    "{source}, an arm of model.split, {unlike} than the first one"
                )));
            }
            for (kit, instrument) in kits.iter_mut().zip(instruments(runtime, &model, tried, config)?) {
                kit.push(instrument);
            }
            let (seat, version) = (Seat::Arm(number), model.version());
            let arm = config.split.name(number);
            metrics.seated((seat, arm), None, &version, &model.manifest);
            let ModelVersion { name, version: which, sha256 } = &version;
            tracing::info!(model = name, version = which, sha256, arm, "a version serves");
            followers.extend(followed.map(|(registry, reference, number)| Follower {
                arm: arm.map(str::to_owned),
                serving: Some((number, version)),
                ..Follower::new(registry, reference, seat)
            }));
        }
        if let Some(reference) = cast.shadow {
            followers.push(Follower::new(config.registry.open()?.into(), reference, Seat::Shadow));
        }
        let manifest = first.ok_or_else(|| Error::Cast("nobody computes".into()))?;
        Ok(Some(Self { manifest, kits: kits.into_iter().map(Kit::new).collect(), followers }))
    }
}

/// What follows an alias, and the number of the version that it named.
type Followed = (Arc<dyn Registry>, Reference, u64);

/// The model, verified; where a stranger may have made it, what trying it has shown; and how to follow it if an alias
/// names it.
type Opened = (Model, Option<usize>, Option<Followed>);

/// None if the process is to end meanwhile.
fn open(config: &Config, source: &Source, shutdown: &Shutdown) -> Result<Option<Opened>, Error> {
    let reference = match source {
        Source::Folder(folder) => return Ok(Some((Model::open(folder)?, None, None))),
        Source::Registered(reference) => reference,
    };
    let registry: Arc<dyn Registry> = config.registry.open()?.into();
    let (asked, which) = (Arc::clone(&registry), reference.clone());
    let answer = shutdown.unless_requested(move || first(&*asked, &which)).transpose()?;
    let Some((serving, model)) = answer else { return Ok(None) };
    let tried = match config.try_out(&model, Some(shutdown)) {
        Err(_) if shutdown.is_requested() => return Ok(None),
        tried => tried?,
    };
    let follows = matches!(reference.which, Which::Alias(_));
    Ok(Some((model, tried, follows.then(|| (registry, reference.clone(), serving)))))
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

/// Why a version can't compute beside another one, or after it: pictures that are decoded go through whatever serves then.
fn unlike(manifest: &Manifest, serving: &Manifest) -> Option<&'static str> {
    let size = |manifest: &Manifest| (manifest.input.width, manifest.input.height);
    if size(manifest) != size(serving) {
        return Some("takes pictures of another size");
    }
    (manifest.classes != serving.classes).then_some("knows other classes")
}

/// One for each worker, loaded side by side. `tried` is how many pictures go into one call, where trying the model has
/// shown that: it needn't be asked again, while photos wait.
fn instruments(
    runtime: &Runtime,
    model: &Model,
    tried: Option<usize>,
    config: &Config,
) -> Result<Vec<Instrument>, Error> {
    let meaning = Arc::new(Meaning { manifest: model.manifest.clone(), version: model.version() });
    std::thread::scope(|scope| {
        let load = || match tried {
            Some(at_once) => Session::of_tried(runtime, model, at_once),
            None => Session::load(runtime, model, AT_ONCE),
        };
        let loading: Vec<_> = (0..config.workers).map(|_| scope.spawn(load)).collect();
        let sessions = loading.into_iter().map(|session| session.join().map_err(|_| Error::Panicked));
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

/// Brings the version that an alias names to the workers, whenever that is another one.
#[derive(Debug)]
pub(crate) struct Follower {
    registry: Arc<dyn Registry>,
    reference: Reference,
    /// What the version computes for.
    seat: Seat,
    /// The arm, where there is a split.
    arm: Option<String>,
    /// Its number and what it is; none while no shadow can compute along.
    serving: Option<(u64, ModelVersion)>,
    /// Whether the registry has said since that the alias names nothing: a model that was removed and made anew counts from
    /// 1 again, so that the same number may be another version.
    is_gone: bool,
    /// The version that couldn't serve, and when that was found.
    refused: Option<(u64, Instant)>,
    /// Whether the registry doesn't say what serves, which is told once.
    is_silent: bool,
}

impl Follower {
    /// Looks what the alias names, again and again until the shutdown. Each follower has a thread of its own: a version that
    /// takes long to try, or a shadow that never ends, must not keep production from going back. `looked` is told of the first
    /// look.
    pub(crate) fn follow(
        mut self,
        runtime: &Runtime,
        serving: &Manifest,
        bench: &Bench<'_>,
        looked: impl FnOnce(),
    ) {
        let mut looked = Some(looked);
        loop {
            let is_behind = self.is_behind(runtime, serving, bench);
            bench.metrics.set_behind(self.seat, is_behind);
            looked.take().into_iter().for_each(|looked| looked());
            if !bench.shutdown.sleep(LOOK) {
                return;
            }
        }
    }

    /// Of an alias by which nothing serves yet.
    fn new(registry: Arc<dyn Registry>, reference: Reference, seat: Seat) -> Self {
        let (arm, serving, refused) = (None, None, None);
        Self { registry, reference, seat, arm, serving, is_gone: false, refused, is_silent: false }
    }

    pub(crate) fn is_shadows(&self) -> bool {
        self.seat == Seat::Shadow
    }

    /// Whether something other than what the alias names serves, even after a try to change that.
    fn is_behind(&mut self, runtime: &Runtime, serving: &Manifest, bench: &Bench<'_>) -> bool {
        let (registry, reference) = (Arc::clone(&self.registry), self.reference.clone());
        let named = bench.shutdown.unless_requested(move || registry.resolve(&reference));
        let Some(named) = named else { return true };
        let was_silent = std::mem::replace(&mut self.is_silent, named.is_err());
        self.forget_if_gone(&named);
        match named {
            Ok(named) => !self.serves(named, runtime, serving, bench),
            Err(error) => {
                if !was_silent {
                    let serving = self.number();
                    let (should, _) = self.words();
                    tracing::error!(model = %self.reference, serving, %error, "the registry doesn't say what should {should}");
                }
                true
            }
        }
    }

    /// What a version should do here, and what is done if it can't.
    fn words(&self) -> (&'static str, &'static str) {
        match (self.seat, &self.serving) {
            (Seat::Arm(_), _) => ("serve", "the former one goes on"),
            (Seat::Shadow, Some(_)) => ("compute along", "the former shadow goes on"),
            (Seat::Shadow, None) => ("compute along", "photos are classified without a shadow"),
        }
    }

    /// The number of what serves.
    fn number(&self) -> Option<u64> {
        self.serving.as_ref().map(|(number, _)| *number)
    }

    /// Takes note where the registry has nothing of that name. What serves goes on all the same.
    fn forget_if_gone(&mut self, named: &Result<u64, RegistryError>) {
        if let Err(RegistryError::NoAlias { .. } | RegistryError::NoVersion { .. }) = named {
            (self.is_gone, self.refused) = (true, None);
        }
    }

    /// Whether the version that has this number now is the one that serves.
    fn is_serving(&self, named: u64) -> bool {
        self.number() == Some(named) && !self.is_gone
    }

    /// Whether this version serves, at the latest from now on.
    fn serves(&mut self, named: u64, runtime: &Runtime, serving: &Manifest, bench: &Bench<'_>) -> bool {
        if self.is_serving(named) {
            self.refused = None;
            return true;
        }
        if self.refused.is_some_and(|(version, at)| version == named && at.elapsed() < AGAIN) {
            return false;
        }
        let begun = Instant::now();
        // Until it does, which may take a while.
        bench.metrics.set_behind(self.seat, true);
        match self.bring(named, runtime, serving, bench) {
            Ok(Some(model)) => {
                let (former, seconds) = (self.number(), begun.elapsed().as_secs_f64());
                let (version, replaced) = (model.version(), self.serving.take());
                let seat = (self.seat, self.arm.as_deref());
                bench.metrics.seated(seat, replaced.as_ref().map(|(_, it)| it), &version, &model.manifest);
                (self.serving, self.is_gone, self.refused) = (Some((named, version)), false, None);
                let sha256 = model.manifest.sha256();
                let done = match self.seat {
                    Seat::Arm(_) => "another version serves",
                    Seat::Shadow => "a version computes along",
                };
                tracing::info!(model = %self.reference, version = named, former, sha256, seconds, "{done}");
                true
            }
            Ok(None) => false,
            // It was being tried.
            Err(_) if bench.shutdown.is_requested() => false,
            Err(error) => {
                let serving = self.number();
                let (should, instead) = self.words();
                tracing::error!(model = %self.reference, version = named, serving, %error, "a version can't {should}: {instead}");
                self.refused = Some((named, Instant::now()));
                false
            }
        }
    }

    /// Loads and tries it while the former version works on; only then the workers are given it. None if the process is to
    /// end meanwhile.
    fn bring(
        &self,
        named: u64,
        runtime: &Runtime,
        serving: &Manifest,
        bench: &Bench<'_>,
    ) -> Result<Option<Model>, Error> {
        let (registry, name) = (Arc::clone(&self.registry), self.reference.name.clone());
        let loaded = bench.shutdown.unless_requested(move || registry.load(&name, named));
        let Some(model) = loaded.transpose()? else { return Ok(None) };
        if let Some(unlike) = unlike(&model.manifest, serving) {
            return Err(Error::Unlike(unlike));
        }
        let tried = bench.config.try_out(&model, Some(bench.shutdown))?;
        bench.rack.put(self.seat, instruments(runtime, &model, tried, bench.config)?);
        Ok(Some(model))
    }
}

#[cfg(test)]
mod tests;
