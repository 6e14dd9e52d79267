//! What a transaction hides that nobody ends.

use std::collections::BTreeSet;

use autorma_broker::shared;
use autorma_e2e::{Daemon, Photos, Sandbox};
use autorma_stream::failpoint;

/// A photo and its run are written in one transaction, and yet the photo may be seen before the run is: another's open
/// transaction may be before it in `runs` alone, and on a cluster each topic hears of a commit by itself. That ingest has
/// published from the photo's folder is then still to be learnt, not wrong.
#[test]
fn a_photo_that_is_seen_before_its_run_is_waits_for_it() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let daemon = Daemon::up(&sandbox, &[]).ready();
    let mut doomed = sandbox.command(&["produce", "--inline", "--run", "doomed"]);
    doomed.arg(&photos.good[0].0).env(failpoint::VARIABLE, "log-before-commit:1");
    doomed.env("AUTORMA_LOG_KAFKA_TRANSACTION_TIMEOUT", "3s");
    assert_eq!(sandbox.spawn(doomed).wait().code, None, "it dies in its transaction");
    // Enough of them that some are in partitions where nothing is hidden.
    let names: BTreeSet<_> = (0..8).map(|number| format!("photo-{number}.jpg")).collect();
    for (name, (photo, _)) in names.iter().zip(&photos.good) {
        sandbox.drop_photo(photo, name);
    }
    daemon.outcomes(names.len());
    daemon.end();
    sandbox.results().expect(&names, &BTreeSet::new()).unwrap();
}
