//! The conformance suite on the two homes of the log.

use std::sync::Arc;
use std::time::Duration;

use autorma_stream::Log;
use autorma_stream::conformance::Open;
use autorma_stream::embedded::Embedded;

fn file() -> Open {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Arc::new(move || {
        Arc::new(Embedded::open(&folder.path().join("log").join("log.db")).expect("the log opens"))
            as Arc<dyn Log>
    })
}

fn memory() -> Open {
    let log = Embedded::in_memory().expect("SQLite has memory");
    Arc::new(move || Arc::new(log.clone()) as Arc<dyn Log>)
}

/// Leases last five seconds.
const SOON: Duration = Duration::from_secs(4);

mod embedded {
    autorma_stream::conformance_tests!(super::file);
    autorma_stream::promptness_tests!(super::file, super::SOON);
    autorma_stream::housekeeping_tests!(super::file);
}

mod in_memory {
    autorma_stream::conformance_tests!(super::memory);
    autorma_stream::promptness_tests!(super::memory, super::SOON);
    autorma_stream::housekeeping_tests!(super::memory);
}
