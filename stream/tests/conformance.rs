//! The conformance suite on the two homes of the log.

use std::sync::Arc;

use autorma_stream::Log;
use autorma_stream::conformance::Open;
use autorma_stream::embedded::Embedded;
use autorma_stream::memory::Memory;

fn file() -> Open {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Arc::new(move || {
        Arc::new(Embedded::open(&folder.path().join("log").join("log.db")).expect("the log opens"))
            as Arc<dyn Log>
    })
}

fn memory() -> Open {
    let log = Memory::new().expect("SQLite has memory");
    Arc::new(move || Arc::new(log.clone()) as Arc<dyn Log>)
}

mod embedded {
    autorma_stream::conformance_tests!(super::file);
    autorma_stream::housekeeping_tests!(super::file);
}

mod in_memory {
    autorma_stream::conformance_tests!(super::memory);
    autorma_stream::housekeeping_tests!(super::memory);
}
