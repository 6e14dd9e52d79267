//! What `autorma status` says to people.

use std::fmt;

use autorma_schemas::ModelVersion;

use super::{LastPrediction, ModelStatus, Status};
use crate::inspect::runs;
use crate::table::{Table, printable};
use crate::when;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Data folder: {}\nLog: {}\n", self.data, self.log)?;
        let mut stages = Table::new(["stage", "process", "command", "since"]);
        for it in &self.stages {
            let since = when::to_the_second(&it.since);
            stages.row([it.stage.clone(), it.process.to_string(), it.command.clone(), since]);
        }
        if !stages.is_empty() {
            writeln!(f, "{stages}")?;
        }
        if !self.unknown_stages.is_empty() {
            let roles = printable(&self.unknown_stages.join(", "));
            writeln!(f, "Whether anybody has these roles isn't known (another user's locks): {roles}\n")?;
        } else if stages.is_empty() {
            writeln!(f, "No stage is running here.\n")?;
        }
        if !self.members.is_empty() {
            writeln!(f, "Who has which partitions, as the log knows it until a session ends:")?;
            let mut members = Table::new(["member of", "slot", "process", "partitions"]);
            for it in &self.members {
                let process = it.process.map_or_else(String::new, |process| process.to_string());
                members.row([it.stage.clone(), it.slot.clone(), process, it.partitions.join(" ")]);
            }
            writeln!(f, "{members}")?;
        }
        let mut topics = Table::new(["topic", "partitions", "records"]);
        for it in &self.topics {
            topics.row([it.topic.clone(), it.partitions.to_string(), it.records.to_string()]);
        }
        writeln!(f, "{topics}")?;
        let mut lag = Table::new(["read by", "topic", "partition", "committed", "end", "lag"]);
        for it in &self.lag {
            let numbers = [i64::from(it.partition), it.committed, it.end, it.lag].map(|n| n.to_string());
            let [partition, committed, end, behind] = numbers;
            lag.row([it.stage.clone(), it.topic.clone(), partition, committed, end, behind]);
        }
        writeln!(f, "{lag}")?;
        match self.runs.is_empty() {
            true => writeln!(f, "No runs yet.\n"),
            false => writeln!(f, "{}", runs::table(&self.runs)),
        }?;
        writeln!(f, "Model configured here: {}", self.model)?;
        for it in &self.arms {
            writeln!(f, "Arm {}, share {}: {}", it.arm, it.share, it.model)?;
        }
        if let Some(shadow) = &self.shadow {
            writeln!(f, "Shadow: {shadow}")?;
        }
        let Some(LastPrediction { model, arm, processed_at }) = &self.last_prediction else { return Ok(()) };
        let ModelVersion { name, version, sha256 } = model;
        let arm = arm.as_ref().map_or_else(String::new, |arm| format!(", arm {arm}"));
        let by = printable(&format!("{name} {version}{arm}, sha-256 {sha256}"));
        writeln!(f, "Last prediction: by {by}, {processed_at}")
    }
}

impl fmt::Display for ModelStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.problem.clone().unwrap_or_else(|| {
            let Self { name, version, sha256, source, .. } = self;
            let [name, version, sha256] = [name, version, sha256].map(|it| it.as_deref().unwrap_or_default());
            format!("{name} {version}, from {source}, sha-256 {sha256}")
        });
        f.write_str(&printable(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::status::Stage;

    /// Of a folder in which nothing has happened yet.
    fn status(stages: &[&str], unknown: &[&str]) -> Status {
        let stage = |stage: &&str| Stage {
            stage: (*stage).into(),
            process: 7,
            command: "autorma up".into(),
            since: "2026-11-24T20:01:02.000000+01:00".into(),
        };
        Status {
            data: "state".into(),
            log: "embedded".into(),
            topics: Vec::new(),
            lag: Vec::new(),
            stages: stages.iter().map(stage).collect(),
            unknown_stages: unknown.iter().map(|role| (*role).into()).collect(),
            members: Vec::new(),
            runs: Vec::new(),
            model: model(None, None),
            arms: Vec::new(),
            shadow: None,
            last_prediction: None,
        }
    }

    fn model(name: Option<&str>, problem: Option<&str>) -> ModelStatus {
        let [name, problem] = [name, problem].map(|it| it.map(str::to_owned));
        ModelStatus { source: "models/shipped".into(), version: name.clone(), name, sha256: None, problem }
    }

    /// What people are told.
    fn told(stages: &[&str], unknown: &[&str]) -> String {
        status(stages, unknown).to_string()
    }

    #[test]
    fn nothing_is_running_only_where_that_is_known() {
        let nobody = told(&[], &[]);
        assert!(nobody.contains("No stage is running here.\n"), "{nobody}");
        let text = told(&[], &["ingest", "sink"]);
        assert!(text.contains("isn't known (another user's locks): ingest, sink\n"), "{text}");
        assert!(!text.contains("No stage"), "{text}");
        let text = told(&["ingest"], &["classifier-0"]);
        assert!(text.contains("autorma up") && text.contains("locks): classifier-0\n"), "{text}");
    }

    #[test]
    fn no_name_plays_with_the_terminal() {
        let name = "\u{1b}[2J";
        let version = ModelVersion { name: name.into(), version: name.into(), sha256: name.into() };
        let last = LastPrediction { model: version, arm: Some(name.into()), processed_at: String::new() };
        let status = Status {
            model: model(Some(name), None),
            shadow: Some(model(None, Some(name))),
            last_prediction: Some(last),
            ..status(&[], &[])
        };
        let text = status.to_string();
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(text.matches("\\u{1b}[2J").count(), 7, "{text}");
    }

    #[test]
    fn the_model_is_what_is_configured_here() {
        assert!(told(&[], &[]).contains("\nModel configured here: "));
    }
}
