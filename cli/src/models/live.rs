//! `autorma models compare-live`: what versions say of the same photos, or of their shares of them, as the log has it.

mod report;
mod tally;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use autorma_schemas::{Event, Micros, Prediction, topics};
use autorma_service::settings::Value;
use autorma_stream::scan;

use crate::args::CompareLiveArgs;
use crate::configuration::Configuration;
use crate::home::Home;
use crate::output::tell;
use crate::reading::expect_named;
use crate::when::instant;
use crate::words::counted;
use report::Report;
use tally::Tally;

/// Reads the predictions that are chosen, and says how the versions compare.
pub(super) fn compare(configuration: &Configuration, args: &CompareLiveArgs) -> anyhow::Result<ExitCode> {
    let since = args.since.as_deref().map(since).transpose()?;
    let home = Home::look(configuration)?;
    let mut tally = Tally::default();
    for record in scan(&*home.log, topics::PREDICTIONS)? {
        if let Ok(it) = Prediction::decode(&record?.value)
            && args.run.as_ref().is_none_or(|run| it.run_id.as_ref() == Some(run))
            && since.is_none_or(|since| it.processed_at >= since)
        {
            tally.add(it);
        }
    }
    match tally.predictions {
        0 => {
            expect_named(&*home.log, args.run.as_deref())?;
            bail!("the log has no predictions of that kind yet")
        }
        predictions if tally.is_empty() => bail!(
            "{} and no other version to compare with: start the classifier with --model NAME@production and --set \
             model.shadow=staging, or --set model.split.production=90 --set model.split.staging=10; or let the shadow's \
             alias name another version than the one that publishes",
            counted(predictions, "prediction")
        ),
        _ => {}
    }
    let report = Report::of(tally, args.list);
    tell(args.json.json, &report, Report::to_string)?;
    Ok(ExitCode::SUCCESS)
}

/// A time, or how long ago it was.
fn since(text: &str) -> anyhow::Result<Micros> {
    match <Duration as Value>::parse(text) {
        Some(ago) => {
            let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
            Ok(Micros(Micros::now().0.saturating_sub(ago)))
        }
        None => instant("--since", text),
    }
}

#[cfg(test)]
mod tests;
