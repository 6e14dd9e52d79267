//! What serves at the start: what is meant or, where that can't serve, what its alias named before.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Instant;

use autorma_models::registry::{Reference, Registry, RegistryError, Source, Which, named_before};
use autorma_models::{Manifest, Model};
use autorma_schemas::ModelVersion;
use autorma_service::Shutdown;

use super::following::{Named, named, says_nothing_of_it};
use super::{AGAIN, Able, Follower, Seat, Workshop};
use crate::inferring::{Instrument, Kit};
use crate::{Cast, Config, Error, Metrics, Runtime};

/// A version that is meant, made ready, or why it can't be.
type Meant = (Named, Result<Able, Error>);

/// Who computes at the start.
#[derive(Debug)]
pub(crate) struct Opening {
    /// What takes part in decoding is the same for all: this is that of `classifier.model`.
    pub(crate) manifest: Manifest,
    /// One for each worker.
    pub(crate) kits: Vec<Kit>,
    pub(crate) followers: Vec<Follower>,
}

impl Opening {
    /// Loads each arm's version, or what its alias named before if that can't serve, or not beside `classifier.model`: each
    /// arm must have one that can. The shadow's comes by its follower. None if the process is to end meanwhile.
    pub(crate) fn of(
        config: &Config,
        runtime: &Runtime,
        metrics: &Metrics,
        shutdown: &Shutdown,
    ) -> Result<Option<Self>, Error> {
        let cast = Cast::of(config)?;
        metrics.begin(config);
        let mut kits: Vec<BTreeMap<usize, Instrument>> =
            (0..config.workers).map(|_| BTreeMap::new()).collect();
        let (mut first, mut followers) = (None::<Manifest>, Vec::new());
        let mut arms: Vec<_> = cast.arms.iter().enumerate().collect();
        // The others must be like it.
        arms.sort_by_key(|(_, source)| **source != config.model);
        for (number, source) in arms {
            let seat = Seat::Arm(number);
            let workshop = Workshop { config, runtime, shutdown, like: first.as_ref() };
            let opened = open(&workshop, source, seat).map_err(Error::or_out_of_files)?;
            let Some(((model, instruments), follower)) = opened else { return Ok(None) };
            for (kit, instrument) in kits.iter_mut().zip(instruments) {
                kit.insert(number, instrument);
            }
            let (arm, version) = (config.split.name(number), model.manifest.identity());
            metrics.seated((seat, arm), None, &version, &model.manifest);
            metrics.set_behind(seat, follower.as_ref().is_some_and(|it| it.refused.is_some()));
            let ModelVersion { name, version: which, sha256 } = &version;
            tracing::info!(model = name, version = which, sha256, arm, "a version serves");
            followers.extend(follower.map(|it| Follower { arm: arm.map(str::to_owned), ..it }));
            first = first.or(Some(model.manifest));
        }
        if let Some(reference) = cast.shadow {
            followers.push(Follower::new(config.registry.open()?.into(), reference, Seat::Shadow));
        }
        let manifest = first.ok_or_else(|| Error::Cast("nobody computes".into()))?;
        let kits = kits.into_iter().map(|kit| Kit::new(kit.into_values().collect())).collect();
        Ok(Some(Self { manifest, kits, followers }))
    }
}

/// What serves in a seat at the start, and what follows its alias, if one names it.
type Opened = (Able, Option<Follower>);

/// Whoever serves in a seat at the start. None if the process is to end meanwhile.
fn open(workshop: &Workshop<'_>, source: &Source, seat: Seat) -> Result<Option<Opened>, Error> {
    match source {
        Source::Folder(folder) => {
            let able = workshop.prepare(Model::open(folder)?)?;
            Ok(able.map(|able| (able, None)))
        }
        Source::Registered(reference) => {
            let registry = workshop.config.registry.open()?;
            let mut follower = Follower::new(registry.into(), reference.clone(), seat);
            let able = follower.begin(workshop)?;
            let follows = matches!(reference.which, Which::Alias(_));
            Ok(able.map(|able| (able, follows.then_some(follower))))
        }
    }
}

/// What is to serve at the start, with its model or why that can't be had. Where the registry is away, or doesn't say what is
/// meant, it is what has served here last; those who run go on then, too. Where it names a version and doesn't give it, it
/// is what is here of that one.
pub(super) fn first(
    registry: &dyn Registry,
    reference: &Reference,
) -> Result<(Named, Result<Model, RegistryError>), RegistryError> {
    let load = |named: Named| {
        let model = registry.load(&reference.name, named.0);
        (named, model)
    };
    let answer = named(registry, reference).map(load);
    let (meant, error) = match &answer {
        // What has served last may have been rolled back from.
        Ok(((named, _), Err(error))) if error.is_away() => (Which::Number(*named), error),
        Err(error) if error.is_away() || error.says_nothing() => (reference.which.clone(), error),
        _ => return answer,
    };
    // A server may call itself away where it is only what it was asked for that has gone.
    let remembered = registry.remembered(&Reference { name: reference.name.clone(), which: meant });
    let Some((version, model)) = remembered else { return answer };
    let why = match error.is_away() {
        true => "the registry is away",
        false => "the registry lets nobody in, or something else answers in its place",
    };
    tracing::warn!(model = %reference, version, %error, "{why}: the version that is here is served");
    Ok(((version, None), Ok(model)))
}

/// What an alias named before a version that can't serve; what it names, if somebody has moved it meanwhile.
fn former(
    registry: &dyn Registry,
    name: &str,
    alias: &str,
    refused: u64,
) -> Result<(u64, Model), RegistryError> {
    let moves = registry.moves(name, alias)?;
    let now = moves.last().map(|it| it.version).filter(|version| *version != refused);
    let nothing = || RegistryError::NothingBefore { name: name.into(), alias: alias.into() };
    let number = now.or_else(|| named_before(&moves, refused)).ok_or_else(nothing)?;
    Ok((number, registry.load(name, number)?))
}

impl Follower {
    /// What serves at the start: the version that is meant or, where that can't, what its alias named before. None
    /// if the process is to end meanwhile.
    pub(super) fn begin(&mut self, workshop: &Workshop<'_>) -> Result<Option<Able>, Error> {
        let begun = Instant::now();
        let Some(((named, sealed), able)) = self.meant(workshop)? else { return Ok(None) };
        let able = match able.map_err(Error::or_out_of_files) {
            Ok(able) => Some((named, able)),
            // The version may be as good as any.
            Err(error @ Error::OutOfFiles(_)) => return Err(error),
            Err(error) => self.fall_back(workshop, named, error, begun)?,
        };
        let Some((number, able)) = able else { return Ok(None) };
        (self.serving, self.sealed) =
            (Some((number, able.0.manifest.identity())), sealed.filter(|_| number == named));
        self.registry.remember(&self.reference, number);
        Ok(Some(able))
    }

    /// What is meant, or meant by the time that it is made ready. None if the process is to end meanwhile.
    fn meant(&self, workshop: &Workshop<'_>) -> Result<Option<Meant>, Error> {
        let meant = self.made_ready(workshop)?;
        let is_left = |named| !self.is_still_meant(named, workshop.shutdown);
        if !matches!(&meant, Some(((named, _), Ok(_))) if is_left(*named)) {
            return Ok(meant);
        }
        // An alias that leaves the next one, too, keeps nobody from beginning: who follows it brings what comes then.
        match self.made_ready(workshop) {
            Err(error) | Ok(Some((_, Err(error)))) if says_nothing_of_it(&error) => {
                tracing::warn!(model = %self.reference, %error, "the version serves that the alias has left");
                Ok(meant)
            }
            next => next,
        }
    }

    fn made_ready(&self, workshop: &Workshop<'_>) -> Result<Option<Meant>, Error> {
        let late = || {
            tracing::warn!(
                model = %self.reference, waited = ?self.patience, "the registry hasn't answered yet, and is waited for"
            );
        };
        let answer = self.ask(workshop.shutdown, first, late).transpose()?;
        let Some((named, model)) = answer else { return Ok(None) };
        let able = model.map_err(Error::from).and_then(|model| self.prepare(workshop, model));
        Ok(able.transpose().map(|able| (named, able)))
    }

    /// As [`Follower::still_names`], but a registry that doesn't say it in time keeps nobody from beginning either.
    fn is_still_meant(&self, named: u64, shutdown: &Shutdown) -> bool {
        let (enough, is_late) = (Shutdown::new(), Cell::new(false));
        let ending = enough.clone();
        let _listening = shutdown.on_request(move || ending.request());
        let late = || {
            tracing::warn!(
                model = %self.reference, version = named, waited = ?self.patience,
                "the registry doesn't say whether the alias has moved on meanwhile: the version that it named serves"
            );
            is_late.set(true);
            enough.request();
        };
        self.still_names(named, &enough, late) || is_late.get()
    }

    /// What the alias named before a version that can't serve, or isn't given. Those who run go on with it, too, and a start
    /// that failed would fail again, on every machine, until somebody moves the alias. Where it can't serve either, the
    /// first error counts.
    fn fall_back(
        &mut self,
        workshop: &Workshop<'_>,
        named: u64,
        error: Error,
        begun: Instant,
    ) -> Result<Option<(u64, Able)>, Error> {
        let Which::Alias(alias) = self.reference.which.clone() else { return Err(error) };
        // What isn't given may be as good as any, and is asked for again as while it runs.
        let is_away = matches!(&error, Error::Registry(error) if error.is_away());
        let pause = if is_away { begun.elapsed().min(AGAIN) } else { AGAIN };
        (self.refused, self.is_silent) = (Some((named, Instant::now() + pause)), is_away);
        let before =
            self.ask(workshop.shutdown, move |registry, it| former(registry, &it.name, &alias, named), || ());
        let Some(before) = before else { return Ok(None) };
        let able = before.map_err(Error::from).and_then(|(number, model)| {
            let able = self.prepare(workshop, model)?;
            Ok(able.map(|able| (number, able)))
        });
        match able.map_err(Error::or_out_of_files) {
            Ok(able) => {
                if let Some((serving, _)) = &able {
                    let why = match is_away {
                        true => "the registry doesn't give a version, so the former one serves",
                        false => {
                            "a version can't serve, so the former one does: roll back, or register it anew"
                        }
                    };
                    tracing::error!(model = %self.reference, version = named, serving, %error, "{why}");
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

    fn prepare(&self, workshop: &Workshop<'_>, model: Model) -> Result<Option<Able>, Error> {
        workshop.prepare(model).map_err(|error| match error {
            Error::Unlike(unlike) => {
                let (arm, model) = (&self.reference, &workshop.config.model);
                Error::Cast(format!("{arm}, an arm of model.split, {unlike} than {model}"))
            }
            error => error,
        })
    }
}
