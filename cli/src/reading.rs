//! Reading topics outside any group.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use autorma_schemas::{Event, RunRecord, topics};
use autorma_sink::is_outside;
pub(crate) use autorma_stream::retry::patiently;
use autorma_stream::{Bounds, Log, Pages, StoredRecord};

/// Calls `each` with every record that a topic has now, partition by partition; false ends it.
pub(crate) fn scan(
    log: &dyn Log,
    topic: &str,
    mut each: impl FnMut(StoredRecord) -> bool,
) -> anyhow::Result<()> {
    for Bounds { at, start, end } in patiently(|| log.bounds(topic))? {
        for record in Pages::new(at, start).up_to(log, end) {
            if !each(record?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The newest record of each run, the oldest run first.
pub(crate) fn newest_runs(log: &dyn Log) -> anyhow::Result<Vec<RunRecord>> {
    let mut runs = BTreeMap::new();
    scan(log, topics::RUNS, |record| {
        if let Ok(run) = RunRecord::decode(&record.value) {
            runs.insert((run.opened_at, run.run_id.clone()), run);
        }
        true
    })?;
    Ok(runs.into_values().collect())
}

/// The newest record of a run.
pub(crate) fn known_run(log: &dyn Log, id: &str) -> anyhow::Result<RunRecord> {
    let known = newest_runs(log)?.into_iter().find(|run| run.run_id == id);
    known.with_context(|| format!("there is no run {id:?}; `autorma runs` lists them"))
}

/// The newest record of a run that events name: only by that can they be chosen.
pub(crate) fn named_run(log: &dyn Log, id: &str) -> anyhow::Result<RunRecord> {
    if is_outside(id) {
        bail!(
            "--run {id}: no event says that it is of this run, which the sink has made of those without one; its results \
             list its photos. Choose them otherwise, without --run"
        );
    }
    known_run(log, id)
}

/// An error if a run is asked for by which no events can be chosen.
pub(crate) fn expect_named(log: &dyn Log, id: Option<&str>) -> anyhow::Result<()> {
    id.map_or(Ok(()), |id| named_run(log, id).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_stream::embedded::Embedded;
    use autorma_stream::{Append, Retention, Topic, Transaction};

    #[test]
    fn every_record_is_scanned_once() {
        let log = Embedded::in_memory().unwrap();
        let keep = Retention::Age(std::time::Duration::from_secs(60));
        log.create(&[Topic { name: "numbers".into(), partitions: 3, retention: keep }]).unwrap();
        let append = |number: u32| Append {
            topic: "numbers".into(),
            value: number.to_be_bytes().to_vec(),
            ..Append::default()
        };
        let transaction = Transaction { appends: (0..5000).map(append).collect(), advance: None };
        log.producer("test").unwrap().commit(&transaction).unwrap();
        let mut found = Vec::new();
        scan(&log, "numbers", |record| {
            found.push(u32::from_be_bytes(record.value.try_into().unwrap()));
            true
        })
        .unwrap();
        found.sort_unstable();
        assert_eq!(found, (0..5000).collect::<Vec<_>>());
        let mut seen = 0;
        scan(&log, "numbers", |_| {
            seen += 1;
            seen < 7
        })
        .unwrap();
        assert_eq!(seen, 7);
    }
}
