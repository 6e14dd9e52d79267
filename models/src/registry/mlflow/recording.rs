//! A training, recorded as a run.

use std::fs;
use std::path::PathBuf;

use autorma_schemas::{Micros, sha256};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{OneRun, RunInfo};
use super::registering::once;
use super::runs::{self, Files, TRAINED};
use super::{MlflowRegistry, SHA256};
use crate::registry::RegistryError;
use crate::registry::files::at;

/// The tag by which the run of a training is found again.
const TRAINING: &str = "autorma.training";

/// What MLflow takes at once.
const MOST_PARAMETERS: usize = 100;
const MOST_FIGURES: usize = 1000;
/// Characters of a parameter's value and of a tag's; what is longer is cut.
const LONGEST_PARAMETER: usize = 500;
const LONGEST_TAG: usize = 5000;

/// A training and what has come of it.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The run's name.
    pub name: String,
    /// Who trained.
    pub by: String,
    /// When it began.
    pub begun: Micros,
    /// How it was done, by name.
    pub parameters: Vec<(String, String)>,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// What else is known, by name.
    pub tags: Vec<(&'static str, String)>,
    /// The model's folder.
    pub model: PathBuf,
    /// Other files: their names in the run, and where they are here.
    pub files: Vec<(&'static str, PathBuf)>,
}

/// A number that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Of what.
    pub name: String,
    /// After which step, where it is one of a curve; otherwise 0.
    pub step: usize,
    /// The number.
    pub value: f64,
}

/// A run that holds all of a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub run: String,
    /// The address of its page.
    pub page: String,
}

impl MlflowRegistry {
    /// Records a training as a run in the experiment that is named after its model. The same model by the same parameters
    /// is the same training, of which there is one run: one that is whole is left alone, and one that somebody has begun and
    /// not ended is completed. A run that was deleted doesn't count.
    pub fn record(&self, recording: &Recording) -> Result<Recorded, RegistryError> {
        let files = Files::read(&recording.model)?;
        let experiment = self.create_experiment(&files.manifest.name)?;
        let run = self.run_of(&experiment, recording, &files)?;
        if run.status != "FINISHED" {
            self.fill(&run, recording, &files)?;
            self.end(&run)?;
        }
        let page = self.client.page(&format!("experiments/{experiment}/runs/{}", run.run_id));
        Ok(Recorded { run: run.run_id, page })
    }

    /// The training's run, which is created if there is none.
    fn run_of(&self, experiment: &str, it: &Recording, files: &Files) -> Result<RunInfo, RegistryError> {
        let key = sha256(format!("{} {:?}", files.hash, it.parameters).as_bytes());
        let filter = format!("tags.`{TRAINING}` = '{key}'");
        let find = || Ok(self.find_runs(experiment, &filter)?.into_iter().next());
        if let Some(run) = find()? {
            return Ok(run);
        }
        let model = files.manifest.sha256();
        let mut tags: Vec<(&str, &str)> = vec![(TRAINING, &key), (TRAINED, &files.hash), (SHA256, &model)];
        tags.extend(it.tags.iter().map(|(name, value)| (*name, beginning(value, LONGEST_TAG))));
        let run = runs::new(experiment, &it.name, it.begun, &it.by, &tags);
        let create = || self.client.send_once::<OneRun>(Method::POST, "runs/create", &run);
        once(|| Ok(create()?.run.info), find)
    }

    /// Writes what the run should have. What it has already is written again, and stays what it is.
    fn fill(&self, run: &RunInfo, it: &Recording, files: &Files) -> Result<(), RegistryError> {
        let parameter = |(name, value): &(String, String)| json!({"key": name, "value": beginning(value, LONGEST_PARAMETER)});
        for some in it.parameters.chunks(MOST_PARAMETERS) {
            self.log(run, "params", some.iter().map(parameter).collect())?;
        }
        // At a time that is the same whenever it is done: MLflow keeps a number of another time beside the former one.
        let figure = |Figure { name, step, value }: &Figure| json!({"key": name, "value": value, "step": step, "timestamp": run.start_time});
        for some in it.figures.chunks(MOST_FIGURES) {
            self.log(run, "metrics", some.iter().map(figure).collect())?;
        }
        let place = self.place(run)?;
        for (name, path) in &it.files {
            self.client.upload(&format!("{place}/{name}"), &at(path, fs::read(path))?)?;
        }
        self.upload(run, files)
    }

    fn log(&self, run: &RunInfo, what: &str, all: Value) -> Result<(), RegistryError> {
        self.post("runs/log-batch", &json!({"run_id": run.run_id, what: all})).map(drop)
    }
}

/// At most so many characters of a text.
fn beginning(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}
