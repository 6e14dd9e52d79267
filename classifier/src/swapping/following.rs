//! What an alias names, looked at again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use autorma_models::registry::{Reference, Registry, RegistryError, Which};
use autorma_models::{Manifest, Model};
use autorma_schemas::ModelVersion;
use autorma_service::Shutdown;
use rustix::process::nice;

use super::{AGAIN, Seat, Workshop};
use crate::working::Bench;
use crate::{Error, Runtime};

/// How often is asked what the aliases name.
const LOOK: Duration = Duration::from_secs(1);
/// A registry that hasn't said for so long what an alias names doesn't say it: on a network's folder that hangs, it may take
/// for ever.
const LATE: Duration = Duration::from_secs(30);

/// Brings the version that an alias names to the workers, whenever that is another one.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(super) registry: Arc<dyn Registry>,
    pub(super) reference: Reference,
    /// What the version computes for.
    pub(super) seat: Seat,
    /// The arm, where there is a split.
    pub(super) arm: Option<String>,
    /// Its number and what it is; none while no shadow can compute along.
    pub(super) serving: Option<(u64, ModelVersion)>,
    /// Whether the registry has said since that the alias names nothing, or has another manifest under the number: a model
    /// that was removed and made anew counts from 1 again, so that the same number may be another version. Its manifest
    /// tells.
    pub(super) is_gone: bool,
    /// The hash of the manifest that the registry had under that number before it gave what serves, where it tells that.
    pub(super) sealed: Option<String>,
    /// The version that couldn't serve or be had, and from when on it is tried again.
    pub(super) refused: Option<(u64, Instant)>,
    /// Whether the registry doesn't say what serves, or doesn't give it, or there are no files left to ask with, which is
    /// told once.
    pub(super) is_silent: bool,
    /// [`LATE`].
    pub(super) patience: Duration,
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
        let workshop = Workshop::at(bench, runtime, serving);
        let mut looked = Some(looked);
        loop {
            let is_behind = self.is_behind(&workshop, bench);
            bench.metrics.set_behind(self.seat, is_behind);
            if let Some(looked) = looked.take() {
                // Photos may have waited for this look, but for none that comes.
                looked();
                give_way();
            }
            if !bench.shutdown.sleep(LOOK) {
                return;
            }
        }
    }

    /// Of an alias by which nothing serves yet.
    pub(super) fn new(registry: Arc<dyn Registry>, reference: Reference, seat: Seat) -> Self {
        let (arm, serving, sealed, refused) = (None, None, None, None);
        let (is_gone, is_silent, patience) = (false, false, LATE);
        Self { registry, reference, seat, arm, serving, is_gone, sealed, refused, is_silent, patience }
    }

    pub(crate) fn is_shadows(&self) -> bool {
        self.seat == Seat::Shadow
    }

    /// What the registry answers. None if the process is to end before that. `late` is called where it hasn't answered for
    /// long, before it does.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        shutdown: &Shutdown,
        question: impl FnOnce(&dyn Registry, &Reference) -> T + Send + 'static,
        late: impl FnOnce(),
    ) -> Option<T> {
        let (registry, reference) = (Arc::clone(&self.registry), self.reference.clone());
        shutdown.unless_requested_or_late(move || question(&*registry, &reference), self.patience, late)
    }

    /// Whether something other than what the alias names serves, even after a try to change that.
    pub(super) fn is_behind(&mut self, workshop: &Workshop<'_>, bench: &Bench<'_>) -> bool {
        let Some(named) = self.ask(bench.shutdown, named, || self.tell_late(bench)) else { return true };
        self.forget_if_gone(&named);
        let named = named.map_err(|error| Error::from(error).or_out_of_files());
        match named.and_then(|named| self.serves(named, workshop, bench)) {
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
                        "what should {should} can't be asked for, or can't be had, at the moment"
                    );
                }
                true
            }
        }
    }

    /// The registry hasn't answered for long.
    fn tell_late(&self, bench: &Bench<'_>) {
        bench.metrics.set_behind(self.seat, true);
        if !self.is_silent {
            let (serving, (should, _)) = (self.number(), self.words());
            tracing::error!(
                model = %self.reference, serving, waited = ?self.patience,
                "the registry hasn't said yet what should {should}"
            );
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
    pub(super) fn number(&self) -> Option<u64> {
        self.serving.as_ref().map(|(number, _)| *number)
    }

    /// Takes note where the registry has nothing of that name, or something else than what serves under its number. What
    /// serves goes on all the same.
    pub(super) fn forget_if_gone(&mut self, named: &Result<Named, RegistryError>) {
        match named {
            Err(error) if names_nothing(error) => (self.is_gone, self.refused) = (true, None),
            Ok((number, Some(manifest))) if self.number() == Some(*number) => {
                // With the same one it is the same version, also where it was gone, with its folder, for a while.
                self.is_gone = self.sealed.as_ref().map_or(self.is_gone, |sealed| sealed != manifest);
            }
            _ => (),
        }
    }

    /// Whether the version that has this number now is the one that serves.
    pub(super) fn is_serving(&self, named: u64) -> bool {
        self.number() == Some(named) && !self.is_gone
    }

    /// Whether this version serves, at the latest from now on. An error says nothing of the version, which is asked for
    /// again: the registry has gone away since it named it, or the process may open no more files.
    fn serves(
        &mut self,
        (named, sealed): Named,
        workshop: &Workshop<'_>,
        bench: &Bench<'_>,
    ) -> Result<bool, Error> {
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
        match self.bring(named, workshop, bench).map_err(Error::or_out_of_files) {
            Ok(Some(model)) => {
                self.registry.remember(&self.reference, named);
                let (former, seconds) = (self.number(), begun.elapsed().as_secs_f64());
                let (version, replaced) = (model.manifest.identity(), self.serving.take());
                let seat = (self.seat, self.arm.as_deref());
                bench.metrics.seated(seat, replaced.as_ref().map(|(_, it)| it), &version, &model.manifest);
                (self.serving, self.sealed) = (Some((named, version)), sealed);
                (self.is_gone, self.refused) = (false, None);
                let sha256 = model.manifest.sha256();
                let done = match self.seat {
                    Seat::Arm(_) => "another version serves",
                    Seat::Shadow => "a version computes along",
                };
                tracing::info!(model = %self.reference, version = named, former, sha256, seconds, "{done}");
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) if says_nothing_of_it(&error) => {
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
    /// end meanwhile, or the alias names another version by then.
    fn bring(&self, named: u64, workshop: &Workshop<'_>, bench: &Bench<'_>) -> Result<Option<Model>, Error> {
        let loaded = self.ask(bench.shutdown, move |registry, it| registry.load(&it.name, named), || ());
        let Some(model) = loaded.transpose()? else { return Ok(None) };
        let Some((model, instruments)) = workshop.prepare(model)? else { return Ok(None) };
        if !self.still_names(named, bench.shutdown, || self.tell_late(bench)) {
            return Ok(None);
        }
        bench.rack.put(self.seat, instruments);
        Ok(Some(model))
    }

    /// Whether a version is still meant that has just been made ready, which may have taken minutes: who has moved the alias
    /// back meanwhile isn't to see it serve after that. It isn't where the process is to end. `late` is as in
    /// [`Follower::ask`].
    pub(super) fn still_names(&self, named: u64, shutdown: &Shutdown, late: impl FnOnce()) -> bool {
        if matches!(self.reference.which, Which::Number(_)) {
            return true;
        }
        let names_it = match self.ask(shutdown, |registry, it| registry.resolve(it), late) {
            Some(Ok(now)) => now == named,
            // A registry that has gone away meanwhile says nothing against it.
            Some(Err(error)) => !names_nothing(&error),
            None => return false,
        };
        if !names_it {
            tracing::info!(model = %self.reference, version = named, "the alias has moved on meanwhile");
        }
        names_it
    }
}

/// A version's number, and its manifest's hash where the registry tells that.
pub(super) type Named = (u64, Option<String>);

/// What a reference names.
pub(super) fn named(registry: &dyn Registry, reference: &Reference) -> Result<Named, RegistryError> {
    let number = registry.resolve(reference)?;
    Ok((number, registry.manifest_sha256(&reference.name, number)))
}

/// Whether the version that was to be brought may be as good as any.
pub(super) fn says_nothing_of_it(error: &Error) -> bool {
    match error {
        Error::Registry(error) => error.is_away(),
        Error::OutOfFiles(_) => true,
        _ => false,
    }
}

fn names_nothing(error: &RegistryError) -> bool {
    use RegistryError::{NoAlias, NoRegistry, NoVersion};
    matches!(error, NoRegistry(_) | NoAlias { .. } | NoVersion { .. })
}

/// Photos that are computed meanwhile come first: where both want a processor, this thread and those that it begins get a
/// third of what a worker gets, and the trial, which is nicer still, a tenth. The former version serves until then.
fn give_way() {
    if let Err(error) = nice(5) {
        tracing::debug!(%error, "versions are brought with the priority of the photos");
    }
}
