//! The `autorma` program: parses, wires, reports.

mod args;
mod configuration;
mod daemon;
mod dataset;
mod evaluate;
mod exit;
mod home;
mod inspect;
mod log_settings;
mod metrics;
mod models;
mod outcomes;
mod output;
mod photo;
mod pipeline;
mod produce;
mod progress;
mod publishing;
mod reading;
mod registry_settings;
mod replay;
mod report;
mod retry;
mod run;
mod samples;
mod show_configuration;
mod table;
mod tail;
mod topics;
mod train;
mod when;
mod words;

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use args::{Cli, Command, DeadLettersCommand, RunsCommand};
use autorma_classifier::trial;
use autorma_service::{logging, signals};
use configuration::Configuration;
use pipeline::Stage;
use progress::Display;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. 2, which is usual for the rest, says "not with all" here.
            drop(error.print());
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match execute(&cli) {
        Ok(code) => code,
        // Nobody reads what `autorma tail` prints any more.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("{error:#}{}", exit::advice(&error)));
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> anyhow::Result<ExitCode> {
    let configured = || begin(cli).map(|(configuration, _)| configuration);
    match &cli.command {
        Command::Run(args) => {
            let (configuration, mut display) = begin(cli)?;
            run::run(&configuration, args, &mut display)
        }
        Command::Up(_) => daemon::run(&configured()?, &Stage::ALL, "autorma up"),
        Command::Ingest(_) => daemon::run(&configured()?, &[Stage::Ingest], "autorma ingest"),
        Command::Classify(_) => daemon::run(&configured()?, &[Stage::Classifier], "autorma classify"),
        Command::Sink(_) => daemon::run(&configured()?, &[Stage::Sink], "autorma sink"),
        Command::Produce(args) => produce::run(&configured()?, args),
        Command::Tail(args) => tail::run(&configured()?, args),
        Command::Replay(args) => {
            let (configuration, mut display) = begin(cli)?;
            replay::run(&configuration, args, &mut display)
        }
        Command::Status(args) => inspect::status(&configured()?, args.json.json),
        Command::Runs(args) => match &args.command {
            Some(RunsCommand::Show { id, json, .. }) => inspect::show_run(&configured()?, id, json.json),
            None => inspect::runs(&configured()?, args.last, args.json.json),
        },
        Command::DeadLetters(args) => match &args.command {
            Some(DeadLettersCommand::Retry(args)) => retry::run(&configured()?, args),
            None => inspect::dead_letters(&configured()?, args),
        },
        Command::Models(args) => models::run(&configured()?, args),
        Command::Evaluate(args) => evaluate::run(&configured()?, args),
        Command::Train(args) => train::run(&configured()?, args),
        Command::Dataset(args) => dataset::run(&configured()?, args),
        Command::Topics(args) => topics::run(&configured()?, args),
        Command::Show(args) => inspect::show(&configured()?, &args.image, args.json.json),
        Command::Config(args) => {
            // What isn't in order is its to tell.
            let (configuration, settings) = Configuration::read(cli)?;
            show_configuration::show(&configuration, &settings, args)
        }
        Command::Samples(args) => samples::draw(args),
        Command::Completions { shell } => output::print(&completions(*shell)?).map(|()| ExitCode::SUCCESS),
        Command::Man => output::print(&manual()?).map(|()| ExitCode::SUCCESS),
        Command::TryModel { runtime } => try_model(runtime),
    }
}

/// The settings, which are in order, and what shows how far the command is. From here on, there is a log.
fn begin(cli: &Cli) -> anyhow::Result<(Configuration, Display)> {
    let (configuration, settings) = Configuration::read(cli)?;
    settings.finish()?;
    // Who can't have even that ends without a word where a file may grow no more.
    drop(signals::let_writes_fail());
    let quiet = matches!(&cli.command, Command::Run(args) if args.quiet);
    let display = match &cli.command {
        Command::Run(_) | Command::Replay(_) => Display::new(quiet),
        _ => Display::Silent,
    };
    let level = if quiet { "error" } else { &configuration.logging.level };
    logging::init(configuration.logging.format, level, display.writer())?;
    output::log_begins(configuration.logging.format);
    Ok((configuration, display))
}

/// In the process that `autorma` has started for it.
fn try_model(runtime: &Path) -> anyhow::Result<ExitCode> {
    let (said, code) = match trial::sit(runtime, &mut std::io::stdin().lock()) {
        Ok(at_once) => (at_once.to_string(), ExitCode::SUCCESS),
        Err(why) => (why, ExitCode::FAILURE),
    };
    output::print(&said)?;
    Ok(code)
}

/// The completion script of a shell. It would offer hidden commands, too: those are left out.
fn completions(shell: Shell) -> anyhow::Result<String> {
    let whole = Cli::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut program = clap::Command::new("autorma")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(whole.get_arguments().cloned())
        .subcommands(commands);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "autorma", &mut script);
    Ok(String::from_utf8(script)?)
}

/// The manual page: the program, then each command.
fn manual() -> anyhow::Result<String> {
    let mut program = Cli::command();
    program.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(program.clone()).render(&mut page)?;
    commands(&program, &mut page)?;
    Ok(String::from_utf8(page)?.lines().map(|line| on_this_page(line) + "\n").collect())
}

/// A line of the page, in which commands have no pages of their own, as clap_mangen thinks: `autorma\-run(1)`.
fn on_this_page(line: &str) -> String {
    match line.strip_prefix("autorma\\-").and_then(|rest| rest.strip_suffix("(1)")) {
        Some(command) => format!("autorma {command}"),
        None => line.to_owned(),
    }
}

/// Those of a command, and theirs.
fn commands(of: &clap::Command, page: &mut Vec<u8>) -> anyhow::Result<()> {
    let told = |command: &&clap::Command| command.get_name() != "help" && !command.is_hide_set();
    for command in of.get_subcommands().filter(told) {
        let name = command.get_bin_name().unwrap_or_default().to_owned();
        page.extend(format!(".SH {}\n", name.to_uppercase()).into_bytes());
        let section = clap_mangen::Man::new(command.clone());
        section.render_description_section(page)?;
        section.render_options_section(page)?;
        commands(command, page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::{Shell, completions, manual};

    #[test]
    fn what_autorma_starts_itself_is_offered_to_nobody() {
        for shell in Shell::value_variants() {
            let script = completions(*shell).unwrap();
            assert!(script.contains("dead-letters") && script.contains("log-level"), "{shell}: {script}");
            assert!(!script.contains("try-model"), "{shell}: {script}");
        }
        assert!(!manual().unwrap().contains("try\\-model"));
    }

    #[test]
    fn the_manual_has_one_page() {
        let page = manual().unwrap();
        assert!(page.contains("\nautorma dead\\-letters\n"), "{page}");
        assert!(!page.contains("(1)"), "{page}");
    }
}
