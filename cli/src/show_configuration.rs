//! `autorma config`: the settings in force and where each comes from.

use std::process::ExitCode;

use anyhow::bail;
use autorma_classifier::Cast;
use autorma_service::settings::{Effective, Invalid, Problem, Settings};
use serde::Serialize;
use serde_json::json;

use crate::args::ConfigArgs;
use crate::configuration::Configuration;
use crate::home;
use crate::output::{print, tell, tell_scripts};
use crate::table::Table;
use crate::words::counted;

/// What is wrong: with one setting, or else with several of them together.
#[derive(Debug, Default, Serialize)]
struct Told {
    key: Option<String>,
    value: Option<String>,
    origin: Option<String>,
    allowed: Option<String>,
    /// All of it in words.
    problem: String,
}

impl From<&Problem> for Told {
    fn from(it: &Problem) -> Self {
        Self {
            problem: it.to_string(),
            key: Some(it.key.clone()),
            value: it.value.clone(),
            origin: Some(it.origin.clone()),
            allowed: Some(it.allowed.clone()),
        }
    }
}

/// Shows or checks the settings.
pub(crate) fn show(
    configuration: &Configuration,
    settings: &Settings,
    args: &ConfigArgs,
) -> anyhow::Result<ExitCode> {
    let problems = problems(configuration, settings);
    match (args.check, args.json.json) {
        (true, true) => tell_scripts(&json!({ "problems": problems }))?,
        // People are told at the end.
        (true, false) => {}
        (false, json) => tell(json, settings.effective(), table)?,
    }
    if !problems.is_empty() {
        let lines: String = problems.iter().map(|it| format!("\n  {}", it.problem)).collect();
        bail!("{} in the configuration:{lines}", counted(problems.len(), "problem"));
    }
    if args.check && !args.json.json {
        print("The configuration is in order.\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(settings: &[Effective]) -> String {
    let mut table = Table::new(["setting", "value", "from", "what it is"]);
    for it in settings {
        table.row([it.key.clone(), it.value.clone(), it.origin.clone(), it.about.clone()]);
    }
    table.to_string()
}

/// What is wrong with each setting, and with several of them together.
fn problems(configuration: &Configuration, settings: &Settings) -> Vec<Told> {
    let each = settings.finish().err().map_or_else(Vec::new, |Invalid(problems)| problems);
    let together = [
        Cast::of(&configuration.classifier).map(drop).map_err(anyhow::Error::from),
        configuration.registry().map(drop),
        home::expect_slot(configuration),
    ];
    let together = together.into_iter().filter_map(Result::err);
    let together = together.map(|error| Told { problem: format!("{error:#}"), ..Told::default() });
    each.iter().map(Told::from).chain(together).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn read(sets: &[&str]) -> (Cli, Configuration, Settings) {
        let words = ["autorma", "config", "--check"].into_iter();
        let cli = Cli::parse_from(words.chain(sets.iter().flat_map(|set| ["--set", *set])));
        let (configuration, settings) = Configuration::read(&cli).unwrap();
        (cli, configuration, settings)
    }

    /// What `autorma config --check` says to these settings.
    fn told(sets: &[&str]) -> String {
        let (cli, configuration, settings) = read(sets);
        let Command::Config(args) = &cli.command else { panic!("another command") };
        show(&configuration, &settings, args).unwrap_err().to_string()
    }

    #[test]
    fn names_that_no_stage_can_start_with_are_told() {
        let nameless = told(&["classifier.slot="]);
        assert!(nameless.contains("classifier.slot = \"\" (from --set): a name"), "{nameless}");
        let told = told(&["data=", "ingest.input=", "sink.output=", "classifier.slot=a b"]);
        assert!(told.starts_with("4 problems in the configuration:\n"), "{told}");
        let parts = ["\n  data = \"\"", "ingest.input", "sink.output", "classifier.slot: \"classifier-a b\""];
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }

    #[test]
    fn what_contradicts_each_other_is_told_with_all_the_rest() {
        let told = told(&["classifier.batch_size=0", "model.shadow=next", "registry=ftp://mlflow"]);
        assert!(told.starts_with("3 problems in the configuration:\n"), "{told}");
        let parts = ["classifier.batch_size", "model.shadow name", "MLflow server"];
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }

    #[test]
    fn what_is_wrong_is_told_to_scripts_setting_by_setting() {
        let (_, configuration, settings) = read(&["classifier.batch_size=0", "model.shadow=next"]);
        let problems = json!(problems(&configuration, &settings));
        let allowed = "a whole number from 1 to 256";
        let problem = format!("classifier.batch_size = \"0\" (from --set): {allowed}");
        let expected = json!({
            "key": "classifier.batch_size", "value": "0", "origin": "--set", "allowed": allowed, "problem": problem,
        });
        assert_eq!(problems[0], expected);
        assert_eq!(problems[1]["key"], json!(null), "several of them together");
        assert!(problems[1]["problem"].as_str().unwrap().contains("model.shadow"), "{problems}");
    }
}
