//! What a sink says in the log of the program.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autorma_service::Shutdown;
use autorma_sink::{Config, Metrics, Progress, Snapshot};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::workplace::{LONG, Workplace};

/// Keeps the fields of each warning and error of the sink.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        *of.level() <= Level::WARN && of.target().starts_with("autorma_sink")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Warnings and errors of a sink that works until something holds.
pub(crate) fn said(workplace: &Workplace, until: impl FnMut(&Snapshot) -> bool + Send) -> Vec<String> {
    let config = Config {
        output: workplace.output.path().into(),
        run_length: Duration::from_secs(3600),
        slot: "0".into(),
    };
    let (progress, shutdown, recorder) = (Progress::default(), Shutdown::new(), Recorder::default());
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let is_so = progress.wait(LONG, until);
            shutdown.request();
            assert!(is_so, "{:?}", progress.snapshot());
        });
        let run = || autorma_sink::run(&config, &workplace.log, &metrics, &progress, &shutdown, || {});
        tracing::subscriber::with_default(recorder.clone(), run).unwrap();
        waits.join().unwrap();
    });
    recorder.0.lock().unwrap().clone()
}
