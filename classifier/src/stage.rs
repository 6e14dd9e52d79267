use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{Builder, Scope};
use std::time::Duration;

use autorma_models::Manifest;
use autorma_schemas::topics;
use autorma_service::{Shutdown, threads};
use autorma_stream::{Log, Subscription};

use crate::desk::{Desk, Queues};
use crate::fetch::Fetcher;
use crate::inferring::Kit;
use crate::polling::{HandOver, Held};
use crate::swapping::{Opening, Rack};
use crate::working::Bench;
use crate::{Config, Decoder, Error, Metrics, Runtime, committing, polling, working};

/// The group whose committed offsets are the stage's checkpoints.
pub const GROUP: &str = "classifier";

/// Pictures in one call of the model. On a processor, more at once take no less time each and far more memory:
/// `classifier/examples/at_once.rs` measures it.
pub const AT_ONCE: usize = 2;

/// How long photos wait for the shadow at the start: it computes along from the first one on, if it is there soon.
const SHADOW: Duration = Duration::from_secs(10);

/// Classifies image events until the shutdown; then what is in hand is committed, and the partitions go to the others.
/// Calls `ready` when the models are loaded.
pub fn run(
    config: &Config,
    log: &dyn Log,
    metrics: &Metrics,
    shutdown: &Shutdown,
    ready: impl FnOnce(),
) -> Result<(), Error> {
    let fetcher = Fetcher::new(&config.roots, &config.stores, config.limits.bytes, log)?;
    let runtime = Runtime::load(&config.runtime)?;
    let Some(opening) = Opening::of(config, &runtime, metrics, shutdown)? else { return Ok(()) };
    let Opening { manifest, kits, followers } = opening;
    let desk = Arc::new(Desk::new(config.max_in_flight, config.batch_size, config.max_wait));
    let rack = Rack::new(config.workers);
    let over = &Shutdown::new();
    let bench = &Bench { desk: &desk, fetcher: &fetcher, rack: &rack, config, metrics, shutdown: over };
    std::thread::scope(|scope| {
        let _over = AtTheEnd(over);
        let (told, looked) = mpsc::channel();
        for (number, follower) in followers.into_iter().enumerate() {
            let told = follower.is_shadows().then(|| told.clone());
            // Nobody may wait for it any more.
            let tell = || told.into_iter().for_each(|told| _ = told.send(()));
            let (runtime, serving) = (&runtime, &manifest);
            spawn(scope, format!("follow-{number}"), bench.desk, move || {
                follower.follow(runtime, serving, bench, tell);
                Ok(())
            });
        }
        drop(told);
        match shutdown.unless_requested(move || looked.recv_timeout(SHADOW)) {
            None => return Ok(()),
            Some(Err(RecvTimeoutError::Timeout)) => {
                tracing::warn!(
                    "no shadow after ten seconds: photos are classified without one until it is there"
                );
            }
            Some(_) => {}
        }
        classify(bench, log, (&manifest, kits), &desk, shutdown, ready)
    })
}

/// The stage when its models are there: what they say of the photos that the log has.
fn classify(
    bench: &Bench<'_>,
    log: &dyn Log,
    (manifest, kits): (&Manifest, Vec<Kit>),
    desk: &Arc<Desk>,
    shutdown: &Shutdown,
    ready: impl FnOnce(),
) -> Result<(), Error> {
    let Bench { config, metrics, .. } = *bench;
    let subscription =
        Subscription { group: GROUP.into(), topics: vec![topics::IMAGES.into()], slot: config.slot.clone() };
    let producer = log.producer(&format!("{GROUP}-{}", config.slot))?;
    let held = Arc::<Held>::default();
    let hand_over = HandOver { desk: Arc::clone(desk), held: Arc::clone(&held) };
    let mut consumer = log.subscribe(subscription, Box::new(hand_over))?;
    tracing::info!("classifier ready");
    ready();

    let membership = consumer.membership();
    let input = &manifest.input;
    std::thread::scope(|scope| {
        // The others wait for this thread, too.
        let _alarm = Alarm(desk);
        for (number, kit) in kits.into_iter().enumerate() {
            let decoder = Decoder::new(input.width, input.height, config.limits);
            spawn(scope, format!("worker-{number}"), desk, move || {
                working::work(bench, number, kit, decoder);
                Ok(())
            });
        }
        let membership = &membership;
        spawn(scope, "commit".into(), desk, move || {
            committing::commit(desk, log, producer, membership, config, metrics)
        });
        if let Err(error) = polling::poll(desk, &mut *consumer, &held, config, metrics, shutdown) {
            desk.fail(error);
        }
        // No version is brought any more.
        bench.shutdown.request();
        desk.close();
    });
    metrics.queues(Queues::default());
    let failure = desk.take_failure();
    // What isn't committed, after a failure or because it took longer than it may, goes to the others at once.
    let left = consumer.leave();
    match failure {
        Some(error) => Err(error),
        None => Ok(left?),
    }
}

/// A named thread whose failure, even a panic, is the stage's.
fn spawn<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    name: String,
    desk: &'scope Desk,
    work: impl FnOnce() -> Result<(), Error> + Send + 'scope,
) {
    let guarded = move || {
        let alarm = Alarm(desk);
        if let Err(error) = work() {
            desk.fail(error);
        }
        drop(alarm);
    };
    if let Err(error) = Builder::new().name(name).spawn_scoped(scope, guarded) {
        desk.fail(Error::Thread(threads::refused(error)));
    }
}

/// Requests it when it is dropped, after a panic too: others would wait for ever.
struct AtTheEnd<'a>(&'a Shutdown);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Tells the other threads of a panic, who would wait for ever.
struct Alarm<'a>(&'a Desk);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Error::Panicked);
        }
    }
}

#[cfg(test)]
mod tests;
