use std::sync::Arc;
use std::thread::{Builder, Scope};

use autorma_schemas::topics;
use autorma_service::Shutdown;
use autorma_stream::{Log, Subscription};

use crate::desk::Desk;
use crate::fetch::Fetcher;
use crate::polling::{HandOver, Held};
use crate::swapping::{Opening, Rack};
use crate::working::Bench;
use crate::{Config, Decoder, Error, Metrics, Runtime, committing, polling, swapping, working};

/// The group whose committed offsets are the stage's checkpoints.
pub const GROUP: &str = "classifier";

/// Pictures in one call of the model. On a processor, more at once take no less time each and far more memory:
/// `classifier/examples/at_once.rs` measures it.
pub const AT_ONCE: usize = 2;

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
    let Opening { manifest, kits, mut followers } = opening;
    let desk = Arc::new(Desk::new(config.max_in_flight, config.batch_size, config.max_wait));
    let rack = Rack::new(config.workers);
    let bench = Bench { desk: &desk, fetcher: &fetcher, rack: &rack, config, metrics, shutdown };
    // The shadow computes along from the first picture on, if it can.
    let shadows = followers.iter_mut().filter(|follower| follower.is_shadows());
    swapping::look(shadows, &runtime, &manifest, &bench);
    let subscription =
        Subscription { group: GROUP.into(), topics: vec![topics::IMAGES.into()], slot: config.slot.clone() };
    let producer = log.producer(&format!("{GROUP}-{}", config.slot))?;
    let held = Arc::<Held>::default();
    let hand_over = HandOver { desk: Arc::clone(&desk), held: Arc::clone(&held) };
    let mut consumer = log.subscribe(subscription, Box::new(hand_over))?;
    tracing::info!("classifier ready");
    ready();

    let membership = consumer.membership();
    let input = &manifest.input;
    std::thread::scope(|scope| {
        let bench = &bench;
        for (number, kit) in kits.into_iter().enumerate() {
            let decoder = Decoder::new(input.width, input.height, config.limits);
            spawn(scope, format!("worker-{number}"), bench.desk, move || {
                working::work(bench, number, kit, decoder);
                Ok(())
            });
        }
        if !followers.is_empty() {
            let (runtime, serving) = (&runtime, &manifest);
            spawn(scope, "follow".into(), bench.desk, move || {
                swapping::follow(followers, runtime, serving, bench);
                Ok(())
            });
        }
        let (shared, membership) = (&*desk, &membership);
        spawn(scope, "commit".into(), shared, move || {
            committing::commit(shared, producer, membership, config, metrics)
        });
        if let Err(error) = polling::poll(&desk, &mut *consumer, &held, config, metrics, shutdown) {
            desk.fail(error);
        }
        desk.close();
    });
    let failure = desk.take_failure();
    // Without a failure everything is committed; with one, what isn't goes to the others at once.
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
        desk.fail(error.into());
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
