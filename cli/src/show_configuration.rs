//! `autorma config`: the settings in force and where each comes from.

use std::process::ExitCode;

use anyhow::bail;
use autorma_classifier::Cast;
use autorma_service::settings::{Invalid, Settings};

use crate::args::ConfigArgs;
use crate::configuration::Configuration;
use crate::home;
use crate::table::Table;
use crate::words::counted;

/// Shows or checks the settings.
pub(crate) fn show(
    configuration: &Configuration,
    settings: &Settings,
    args: &ConfigArgs,
) -> anyhow::Result<ExitCode> {
    if args.json.json {
        crate::print(&(serde_json::to_string_pretty(settings.effective())? + "\n"))?;
    } else if !args.check {
        let mut table = Table::new(["setting", "value", "from", "what it is"]);
        for it in settings.effective() {
            table.row([it.key.clone(), it.value.clone(), it.origin.clone(), it.about.clone()]);
        }
        crate::print(&table.to_string())?;
    }
    let problems = problems(configuration, settings);
    if !problems.is_empty() {
        bail!("{} in the configuration:\n  {}", counted(problems.len(), "problem"), problems.join("\n  "));
    }
    if args.check && !args.json.json {
        crate::print("The configuration is in order.\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with each setting, and with several of them together.
fn problems(configuration: &Configuration, settings: &Settings) -> Vec<String> {
    let each = settings.finish().err().map_or_else(Vec::new, |Invalid(problems)| problems);
    let together = [
        Cast::of(&configuration.classifier).map(drop).map_err(anyhow::Error::from),
        configuration.registry().map(drop),
        home::expect_slot(configuration),
    ];
    let together = together.into_iter().filter_map(Result::err).map(|error| format!("{error:#}"));
    each.iter().map(ToString::to_string).chain(together).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    /// What `autorma config --check` says to these settings.
    fn told(sets: &[&str]) -> String {
        let words = ["autorma", "config", "--check"].into_iter();
        let cli = Cli::parse_from(words.chain(sets.iter().flat_map(|set| ["--set", *set])));
        let (configuration, settings) = Configuration::read(&cli).unwrap();
        let Command::Config(args) = &cli.command else { panic!("another command") };
        show(&configuration, &settings, args).unwrap_err().to_string()
    }

    #[test]
    fn names_that_no_stage_can_start_with_are_told() {
        let told = told(&["data=", "classifier.slot=a b"]);
        assert!(told.starts_with("2 problems in the configuration:\n"), "{told}");
        let parts = ["data = \"\"", "classifier.slot: \"classifier-a b\""];
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }

    #[test]
    fn what_contradicts_each_other_is_told_with_all_the_rest() {
        let told = told(&["classifier.batch_size=0", "model.shadow=next", "registry=ftp://mlflow"]);
        assert!(told.starts_with("3 problems in the configuration:\n"), "{told}");
        let parts = ["classifier.batch_size", "model.shadow name", "MLflow server"];
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }
}
