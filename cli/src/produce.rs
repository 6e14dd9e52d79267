//! `autorma produce`: photos from a script, as image events.

mod before;
mod forbidden;
mod report;
mod run;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use autorma_schemas::{ImageEvent, Micros, readable, topics};
use autorma_stream::{Append, Disposition, Error as LogError};

use crate::args::ProduceArgs;
use crate::configuration::Configuration;
use crate::exit;
use crate::home::Home;
use crate::output::tell;
use crate::photo::{self, Photo};
use crate::publishing::{Publisher, append, rivalled};
use report::{Published, Report};
use run::Run;

/// Events and bytes a transaction, about.
const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 8 << 20;

/// Publishes the files.
pub(crate) fn run(configuration: &Configuration, args: &ProduceArgs) -> anyhow::Result<ExitCode> {
    let rival = "another call with the same --run has begun, and goes on with the run in place of this one";
    publish(configuration, args).map_err(|error| rivalled(error, rival))
}

fn publish(configuration: &Configuration, args: &ProduceArgs) -> anyhow::Result<ExitCode> {
    let attributes = attributes(&args.attributes)?;
    let home = Home::open(configuration)?;
    // A script is told within seconds that there is nobody to tell it to.
    home.expect_topics()?;
    let (run, publisher) = match &args.run {
        Some(id) => {
            let (run, publisher) = Run::open(&home, id, &args.source)?;
            if run.is_closed() {
                return told(&before::report(&*home.log, &run, args, &attributes)?, args);
            }
            (Some(run), publisher)
        }
        None => (None, Publisher::open(&home, "autorma produce")?),
    };
    let mut calling = Calling {
        publisher,
        run,
        chunk: Vec::new(),
        bytes: 0,
        report: Report { run_id: args.run.clone(), ..Report::default() },
    };
    let inline = args.inline.then_some(args.inline_limit * 1_000_000);
    let mut references = Vec::new();
    for file in &args.files {
        match photo::read(file, inline) {
            Ok(photo) => {
                references.extend((!args.inline).then(|| photo.path.clone()));
                calling.publish(file, photo, &args.source, &attributes)?;
            }
            Err(error) => calling.report.failed(readable(file.as_os_str()), format!("{error:#}")),
        }
    }
    calling.flush(true)?;
    if let Some(run) = calling.run.as_ref().filter(|run| run.images() > 0 && !run.is_closed()) {
        tracing::warn!(
            run_id = run.id(),
            "the run, which an interrupted call has begun, stays open: give the same command again when these files can be \
             published, or without them"
        );
    }
    // Everything is published: that must be told, whatever this says.
    if let Err(error) = forbidden::warn(configuration, &home, &references) {
        tracing::warn!(%error, "whether the classifier may read these files wasn't found out");
    }
    told(&calling.report, args)
}

fn told(report: &Report, args: &ProduceArgs) -> anyhow::Result<ExitCode> {
    tell(args.json.json, report, Report::text)?;
    Ok(exit::all_or_not(report.failed.is_empty()))
}

/// One call of the command.
struct Calling {
    publisher: Publisher,
    run: Option<Run>,
    /// What the next transaction holds.
    chunk: Vec<(Published, Append)>,
    bytes: usize,
    report: Report,
}

impl Calling {
    fn publish(
        &mut self,
        file: &Path,
        photo: Photo,
        source: &str,
        attributes: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let published = Published::of(file, &photo);
        let event = ImageEvent {
            event_id: published.event_id.clone(),
            run_id: self.run.as_ref().map(|run| run.id().to_owned()),
            sequence: self.run.as_ref().map_or(0, |run| run.images() + self.chunk.len() as i64 + 1),
            source: source.into(),
            name: readable(photo.path.file_name().unwrap_or_default()),
            uri: photo.bytes.is_none().then(|| photo.uri.clone()),
            bytes: photo.bytes,
            sha256: photo.sha256,
            length: photo.length as i64,
            seen_at: Micros::now(),
            attributes: attributes.clone(),
        };
        let append = append(topics::IMAGES, &published.event_id, &event);
        self.bytes += append.value.len();
        self.chunk.push((published, append));
        if self.chunk.len() >= CHUNK || self.bytes >= CHUNK_BYTES { self.flush(false) } else { Ok(()) }
    }

    /// Commits what was collected, together with what the run holds then.
    fn flush(&mut self, is_last: bool) -> anyhow::Result<()> {
        self.bytes = 0;
        let chunk = std::mem::take(&mut self.chunk);
        match self.commit(chunk, is_last) {
            Ok(()) => Ok(()),
            Err((error, chunk)) if error.disposition() == Disposition::Poison && !chunk.is_empty() => {
                // One of them is too much for the log: it costs itself only.
                for one in chunk {
                    match self.commit(vec![one], false) {
                        Ok(()) => {}
                        Err((error, one)) if error.disposition() == Disposition::Poison => {
                            let files = one.into_iter().map(|(published, _)| published.file);
                            files.for_each(|file| self.report.failed(file, error.to_string()));
                        }
                        Err((error, _)) => return Err(error.into()),
                    }
                }
                self.commit(Vec::new(), is_last).map_err(|(error, _)| error.into())
            }
            Err((error, _)) => Err(error.into()),
        }
    }

    fn commit(
        &mut self,
        chunk: Vec<(Published, Append)>,
        is_last: bool,
    ) -> Result<(), (LogError, Vec<(Published, Append)>)> {
        let mut appends: Vec<_> = chunk.iter().map(|(_, append)| append.clone()).collect();
        let is_all = self.report.failed.is_empty();
        let closes = |run: &Run| is_last && (is_all || run.may_lack_some());
        let record = self.run.as_ref().and_then(|run| run.with(chunk.len() as i64, closes(run)));
        appends.extend(record.iter().map(|record| append(topics::RUNS, &record.run_id, record)));
        if appends.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.publisher.commit(appends) {
            return Err((error, chunk));
        }
        if let (Some(run), Some(record)) = (&mut self.run, record) {
            run.committed(record);
        }
        self.report.published += chunk.len();
        self.report.events.extend(chunk.into_iter().map(|(published, _)| published));
        Ok(())
    }
}

/// The facts, by name.
fn attributes(pairs: &[(String, String)]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut attributes = BTreeMap::new();
    for (key, value) in pairs {
        if key.is_empty() {
            bail!("--attribute ={value}: its name is missing; write KEY=VALUE");
        }
        if attributes.insert(key.clone(), value.clone()).is_some() {
            bail!("--attribute {key} is given twice: a photo can have only one of that name");
        }
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::attributes;

    #[test]
    fn a_fact_has_a_name_and_one_value() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let found = attributes(&[pair("order", "4711"), pair("sku", "")]).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [pair("order", "4711"), pair("sku", "")]);
        assert!(attributes(&[pair("", "4711")]).is_err());
        assert!(attributes(&[pair("sku", "1"), pair("sku", "2")]).is_err());
    }
}
