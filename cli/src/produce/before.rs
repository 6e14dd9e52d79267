use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use anyhow::bail;
use autorma_schemas::{Event, ImageEvent, topics};
use autorma_stream::{Log, scan};

use super::report::{Published, Report};
use super::run::Run;
use crate::args::ProduceArgs;
use crate::photo;
use crate::reading::patiently;
use crate::words::counted;

/// What an earlier call has published that has closed the run: it may have died before it could say so. An error if that
/// isn't what this call is to publish.
pub(super) fn report(
    log: &dyn Log,
    run: &Run,
    args: &ProduceArgs,
    attributes: &BTreeMap<String, String>,
) -> anyhow::Result<Report> {
    let read = |file: &PathBuf| photo::read(file, None).map(|photo| Published::of(file, &photo));
    let is_alike = |event: &ImageEvent| event.source == args.source && event.attributes == *attributes;
    match args.files.iter().map(read).collect::<anyhow::Result<Vec<_>>>() {
        Ok(events) if has_all(log, run, &events, is_alike)? => {
            tracing::info!(run_id = run.id(), "an earlier call has published these, and closed the run");
            let (run_id, published) = (Some(run.id().to_owned()), events.len());
            Ok(Report { run_id, published, events, ..Report::default() })
        }
        _ => bail!(
            "there is a run {:?} already, of {}, that isn't to be added to: if it is of this very call, nothing is left to \
             do; otherwise choose another name",
            run.id(),
            counted(run.images(), "image")
        ),
    }
}

/// Whether the run has these events, and with the same facts, as far as the log still has its images.
fn has_all(
    log: &dyn Log,
    run: &Run,
    events: &[Published],
    is_alike: impl Fn(&ImageEvent) -> bool,
) -> anyhow::Result<bool> {
    patiently(|| log.settle(&[topics::IMAGES]))?;
    let mut missing: HashSet<_> = events.iter().map(|it| it.event_id.as_str()).collect();
    for record in scan(log, topics::IMAGES)? {
        if missing.is_empty() {
            break;
        }
        if let Ok(event) = ImageEvent::decode(&record?.value)
            && event.run_id.as_deref() == Some(run.id())
            && is_alike(&event)
        {
            missing.remove(event.event_id.as_str());
        }
    }
    Ok(missing.is_empty())
}
