//! `autorma config`: the settings in force and where each comes from.

use std::process::ExitCode;

use autorma_classifier::Cast;
use autorma_service::settings::Settings;

use crate::args::ConfigArgs;
use crate::configuration::Configuration;
use crate::table::Table;

/// Shows or checks the settings.
pub(crate) fn show(
    configuration: &Configuration,
    settings: &Settings,
    args: &ConfigArgs,
) -> anyhow::Result<ExitCode> {
    let problems = settings.finish();
    if args.json.json {
        crate::print(&(serde_json::to_string_pretty(settings.effective())? + "\n"))?;
    } else if !args.check {
        let mut table = Table::new(["setting", "value", "from", "what it is"]);
        for it in settings.effective() {
            table.row([it.key.clone(), it.value.clone(), it.origin.clone(), it.about.clone()]);
        }
        crate::print(&table.to_string())?;
    }
    problems?;
    Cast::of(&configuration.classifier)?;
    if args.check && !args.json.json {
        crate::print("The configuration is in order.\n")?;
    }
    Ok(ExitCode::SUCCESS)
}
