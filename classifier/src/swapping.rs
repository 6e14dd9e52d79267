use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
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
/// A registry that hasn't said for so long what an alias names doesn't say it: on a network's folder that hangs, it may take
/// for ever.
const LATE: Duration = Duration::from_secs(30);

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
    /// Loads each arm's version, or what its alias named before if that can't serve: each arm must have one that
    /// can. The shadow's comes by its follower. None if the process is to end meanwhile.
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
            let seat = Seat::Arm(number);
            let opened = open(config, runtime, source, seat, shutdown).map_err(Error::or_out_of_files)?;
            let Some(opened) = opened else { return Ok(None) };
            let ((model, instruments), follower) = opened;
            let first = first.get_or_insert_with(|| model.manifest.clone());
            if let Some(unlike) = unlike(&model.manifest, first) {
                return Err(Error::Cast(format!(
                    "{source}, an arm of model.split, {unlike} than the first one"
                )));
            }
            for (kit, instrument) in kits.iter_mut().zip(instruments) {
                kit.push(instrument);
            }
            let (arm, version) = (config.split.name(number), model.version());
            metrics.seated((seat, arm), None, &version, &model.manifest);
            metrics.set_behind(seat, follower.as_ref().is_some_and(|it| it.refused.is_some()));
            let ModelVersion { name, version: which, sha256 } = &version;
            tracing::info!(model = name, version = which, sha256, arm, "a version serves");
            followers.extend(follower.map(|it| Follower { arm: arm.map(str::to_owned), ..it }));
        }
        if let Some(reference) = cast.shadow {
            followers.push(Follower::new(config.registry.open()?.into(), reference, Seat::Shadow));
        }
        let manifest = first.ok_or_else(|| Error::Cast("nobody computes".into()))?;
        Ok(Some(Self { manifest, kits: kits.into_iter().map(Kit::new).collect(), followers }))
    }
}

/// A version that can serve, with an instrument for each worker.
type Able = (Model, Vec<Instrument>);

/// What serves in a seat at the start, and what follows its alias, if one names it.
type Opened = (Able, Option<Follower>);

/// Whoever serves in a seat at the start. None if the process is to end meanwhile.
fn open(
    config: &Config,
    runtime: &Runtime,
    source: &Source,
    seat: Seat,
    shutdown: &Shutdown,
) -> Result<Option<Opened>, Error> {
    match source {
        Source::Folder(folder) => {
            let model = Model::open(folder)?;
            let instruments = instruments(runtime, &model, None, config)?;
            Ok(Some(((model, instruments), None)))
        }
        Source::Registered(reference) => {
            let mut follower = Follower::new(config.registry.open()?.into(), reference.clone(), seat);
            let able = follower.begin(config, runtime, shutdown)?;
            let follows = matches!(reference.which, Which::Alias(_));
            Ok(able.map(|able| (able, follows.then_some(follower))))
        }
    }
}

/// What is to serve at the start, with its model or why that can't be had. Where the registry is away, or doesn't say what is
/// meant, it is what is remembered of it here: those who run go on then, too. So it is where the version that it names isn't
/// given, if that is the one.
fn first(
    registry: &dyn Registry,
    reference: &Reference,
) -> Result<(u64, Result<Model, RegistryError>), RegistryError> {
    let answer = registry.resolve(reference).map(|number| (number, registry.load(&reference.name, number)));
    let (named, error) = match &answer {
        Ok((named, Err(error))) if error.is_away() => (Some(*named), error),
        Err(error) if error.is_away() || error.says_nothing() => (None, error),
        _ => return answer,
    };
    // What is remembered may have been rolled back from: where something is named, only that is meant.
    let is_meant = |version: u64| named.is_none_or(|named| named == version);
    // A server may call itself away where it is only what it was asked for that has gone.
    let remembered = registry.remembered(reference).filter(|(version, _)| is_meant(*version));
    let Some((version, model)) = remembered else { return answer };
    let why = match error.is_away() {
        true => "the registry is away",
        false => "the registry lets nobody in, or something else answers in its place",
    };
    tracing::warn!(model = %reference, version, %error, "{why}: the version that it named last is served");
    Ok((version, Ok(model)))
}

/// What an alias named before a version that can't serve; what it names, if somebody has moved it meanwhile.
fn former(
    registry: &dyn Registry,
    name: &str,
    alias: &str,
    refused: u64,
) -> Result<(u64, Model), RegistryError> {
    let named: Vec<_> = registry.moves(name, alias)?.iter().map(|it| it.version).collect();
    let now = named.last().copied().filter(|version| *version != refused);
    // Before it was named first: what it was rolled back from isn't what anybody wants.
    let before = || named.iter().copied().take_while(|version| *version != refused).last();
    let nothing = || RegistryError::NothingBefore { name: name.into(), alias: alias.into() };
    let number = now.or_else(before).ok_or_else(nothing)?;
    Ok((number, registry.load(name, number)?))
}

/// Tries a version and loads it for each worker. None if the process is to end meanwhile.
fn prepare(
    config: &Config,
    runtime: &Runtime,
    model: Model,
    shutdown: &Shutdown,
) -> Result<Option<Able>, Error> {
    let tried = match config.try_out(&model, Some(shutdown)) {
        Err(_) if shutdown.is_requested() => return Ok(None),
        tried => tried?,
    };
    let instruments = instruments(runtime, &model, tried, config)?;
    Ok(Some((model, instruments)))
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
    /// The version that couldn't serve or be had, and from when on it is tried again.
    refused: Option<(u64, Instant)>,
    /// Whether the registry doesn't say what serves, or doesn't give it, which is told once.
    is_silent: bool,
    /// [`LATE`].
    patience: Duration,
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
        let (is_gone, is_silent, patience) = (false, false, LATE);
        Self { registry, reference, seat, arm, serving, is_gone, refused, is_silent, patience }
    }

    /// What serves at the start: the version that is meant or, where that can't, what its alias named before. None
    /// if the process is to end meanwhile.
    fn begin(
        &mut self,
        config: &Config,
        runtime: &Runtime,
        shutdown: &Shutdown,
    ) -> Result<Option<Able>, Error> {
        let Some((named, model)) = self.ask(shutdown, first).transpose()? else { return Ok(None) };
        let able = model.map_err(Error::from).and_then(|model| prepare(config, runtime, model, shutdown));
        let begun = match able.map_err(Error::or_out_of_files) {
            Ok(able) => able.map(|able| (named, able)),
            // The version may be as good as any.
            Err(error @ Error::OutOfFiles(_)) => return Err(error),
            Err(error) => self.fall_back(named, error, config, runtime, shutdown)?,
        };
        let Some((number, able)) = begun else { return Ok(None) };
        self.serving = Some((number, able.0.version()));
        Ok(Some(able))
    }

    /// What the alias named before a version that can't serve. Those who run go on with it, too, and a start that
    /// failed would fail again, on every machine, until somebody moves the alias. Where it can't serve either, the
    /// first error counts.
    fn fall_back(
        &mut self,
        named: u64,
        error: Error,
        config: &Config,
        runtime: &Runtime,
        shutdown: &Shutdown,
    ) -> Result<Option<(u64, Able)>, Error> {
        let Which::Alias(alias) = self.reference.which.clone() else { return Err(error) };
        self.refused = Some((named, Instant::now() + AGAIN));
        let before = self.ask(shutdown, move |registry, it| former(registry, &it.name, &alias, named));
        let Some(before) = before else { return Ok(None) };
        let able = before.map_err(Error::from).and_then(|(number, model)| {
            let able = prepare(config, runtime, model, shutdown)?;
            Ok(able.map(|able| (number, able)))
        });
        match able.map_err(Error::or_out_of_files) {
            Ok(able) => {
                if let Some((serving, _)) = &able {
                    tracing::error!(
                        model = %self.reference, version = named, serving, %error,
                        "a version can't serve, so the former one does: roll back, or register it anew"
                    );
                }
                Ok(able)
            }
            Err(other @ Error::OutOfFiles(_)) => Err(other),
            Err(other) => {
                tracing::error!(
                    model = %self.reference, version = named, error = %other,
                    "a version can't serve, nor can a former one"
                );
                Err(error)
            }
        }
    }

    pub(crate) fn is_shadows(&self) -> bool {
        self.seat == Seat::Shadow
    }

    /// What the registry answers. None if the process is to end before that.
    fn ask<T: Send + 'static>(
        &self,
        shutdown: &Shutdown,
        question: impl FnOnce(&dyn Registry, &Reference) -> T + Send + 'static,
    ) -> Option<T> {
        let (registry, reference) = (Arc::clone(&self.registry), self.reference.clone());
        shutdown.unless_requested(move || question(&*registry, &reference))
    }

    /// What the registry says that the alias names. None if the process is to end before that. That the answer is late is told
    /// before it comes.
    fn named(&self, bench: &Bench<'_>) -> Option<Result<u64, RegistryError>> {
        let (registry, reference) = (Arc::clone(&self.registry), self.reference.clone());
        let late = || {
            bench.metrics.set_behind(self.seat, true);
            if !self.is_silent {
                let (serving, (should, _)) = (self.number(), self.words());
                tracing::error!(
                    model = %self.reference, serving, waited = ?self.patience,
                    "the registry hasn't said yet what should {should}"
                );
            }
        };
        bench.shutdown.unless_requested_or_late(move || registry.resolve(&reference), self.patience, late)
    }

    /// Whether something other than what the alias names serves, even after a try to change that.
    fn is_behind(&mut self, runtime: &Runtime, serving: &Manifest, bench: &Bench<'_>) -> bool {
        let Some(named) = self.named(bench) else { return true };
        self.forget_if_gone(&named);
        let serves = named.and_then(|named| self.serves(named, runtime, serving, bench));
        match serves {
            Ok(serves) => {
                self.is_silent &= !serves;
                !serves
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_silent, true) {
                    let serving = self.number();
                    let (should, _) = self.words();
                    tracing::error!(
                        model = %self.reference, serving, %error,
                        "the registry doesn't say what should {should}, or doesn't give it"
                    );
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

    /// Whether this version serves, at the latest from now on. An error is the registry's, which has gone away since
    /// it named the version: that says nothing of the version, which is asked for again.
    fn serves(
        &mut self,
        named: u64,
        runtime: &Runtime,
        serving: &Manifest,
        bench: &Bench<'_>,
    ) -> Result<bool, RegistryError> {
        if self.is_serving(named) {
            self.refused = None;
            return Ok(true);
        }
        if self.refused.is_some_and(|(version, again)| version == named && Instant::now() < again) {
            return Ok(false);
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
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(Error::Registry(error)) if error.is_away() => {
                // What takes long, such as a download that isn't done in time, isn't done all the time.
                self.refused = Some((named, Instant::now() + begun.elapsed().min(AGAIN)));
                Err(error)
            }
            Err(error) => {
                let serving = self.number();
                let (should, instead) = self.words();
                tracing::error!(model = %self.reference, version = named, serving, %error, "a version can't {should}: {instead}");
                (self.refused, self.is_silent) = (Some((named, Instant::now() + AGAIN)), false);
                Ok(false)
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
        let loaded =
            self.ask(bench.shutdown, move |registry, reference| registry.load(&reference.name, named));
        let Some(model) = loaded.transpose()? else { return Ok(None) };
        if let Some(unlike) = unlike(&model.manifest, serving) {
            return Err(Error::Unlike(unlike));
        }
        let able = prepare(bench.config, runtime, model, bench.shutdown)?;
        let Some((model, instruments)) = able else { return Ok(None) };
        bench.rack.put(self.seat, instruments);
        Ok(Some(model))
    }
}

#[cfg(test)]
mod tests;
