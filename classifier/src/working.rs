use std::time::Instant;

use autorma_service::Shutdown;

use crate::desk::{Desk, Task};
use crate::fetch::Fetcher;
use crate::inferring::Kit;
use crate::swapping::Rack;
use crate::{Config, Decoder, Metrics, decoding};

/// What a worker has beside its kit and its decoder.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) fetcher: &'a Fetcher<'a>,
    pub(crate) rack: &'a Rack,
    pub(crate) config: &'a Config,
    pub(crate) metrics: &'a Metrics,
    /// Requested when no more photos are begun, for whatever reason: nobody needs another version then, or waits for a photo
    /// that is still being read.
    pub(crate) shutdown: &'a Shutdown,
}

/// One worker's thread: decodes pictures and sends micro-batches through its own sessions of the model, until there is
/// nothing to do any more. Between two micro-batches it takes the next version's, if there is one. What the desk gives it
/// to infer is a micro-batch for each arm that has images in it: with calls of few pictures, that costs next to nothing.
///
/// There is one a processor, and both are its work: threads for each would take turns on the processors and each
/// other's data out of the caches.
pub(crate) fn work(bench: &Bench<'_>, number: usize, mut kit: Kit, mut decoder: Decoder) {
    let Bench { desk, rack, config, metrics, .. } = bench;
    while let Some(task) = desk.next_task() {
        let begun = Instant::now();
        match task {
            Task::Decode(record) => {
                let picture = decoding::picture(record, bench, &mut decoder);
                metrics.decode_seconds.observe(begun.elapsed().as_secs_f64());
                match picture {
                    Ok(Some(picture)) => desk.decoded(picture),
                    Ok(None) => desk.leave(),
                    Err(error) => return desk.fail(error),
                }
            }
            Task::Infer(batch) => {
                kit.renew(rack.take(number));
                let parts = config.split.parts(batch, |decoded| &decoded.event.sha256);
                for (arm, part) in parts {
                    desk.finish(kit.infer(arm, part, config, metrics));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
