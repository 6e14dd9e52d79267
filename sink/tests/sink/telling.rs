//! What a sink says in the log of the program.

use std::io::{Seek, read_to_string};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use autorma_service::Shutdown;
use autorma_sink::{Config, Metrics, Progress, Snapshot};
use autorma_stream::Log;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use crate::workplace::{LONG, Workplace};

/// Where there is just one subscriber, what another thread comes by first is silent in this one, too.
static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

/// Warnings and errors of a sink that works until something holds.
pub(crate) fn said(workplace: &Workplace, until: impl FnMut(&Snapshot) -> bool + Send) -> Vec<String> {
    said_on(&workplace.log, workplace, until)
}

/// The same on a log that isn't quite the workplace's.
pub(crate) fn said_on(
    log: &dyn Log,
    workplace: &Workplace,
    until: impl FnMut(&Snapshot) -> bool + Send,
) -> Vec<String> {
    let config = Config { output: workplace.output.path().into(), run_length: Duration::from_secs(3600) };
    let (progress, shutdown) = (Progress::default(), Shutdown::new());
    LazyLock::force(&OTHER);
    let mut file = tempfile::tempfile().unwrap();
    let writer = Arc::new(file.try_clone().unwrap());
    let warnings = tracing_subscriber::fmt().with_env_filter("autorma_sink=warn").with_ansi(false);
    let warnings = warnings.with_writer(writer).finish();
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let is_so = progress.wait(LONG, until);
            shutdown.request();
            assert!(is_so, "{:?}", progress.snapshot());
        });
        let run = || autorma_sink::run(&config, log, &metrics, &progress, &shutdown, || {});
        tracing::subscriber::with_default(warnings, run).unwrap();
        waits.join().unwrap();
    });
    file.rewind().unwrap();
    read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}
