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
mod photo;
mod pipeline;
mod produce;
mod progress;
mod publishing;
mod reading;
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

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::CommandFactory;
use clap_complete::Shell;

use args::{Cli, Command, DeadLettersArgs, DeadLettersCommand, RunsCommand};
use autorma_classifier::trial;
use autorma_service::{logging, settings::Settings};
use configuration::Configuration;
use pipeline::Stage;
use progress::Display;
use table::printable;

/// Whether standard error is a log in JSON by now.
static IS_JSON: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. 2, which is usual for the rest, says "dead letters" here.
            drop(error.print());
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match execute(&cli) {
        Ok(code) => code,
        // Nobody reads what `autorma tail` prints any more.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Samples(args) => samples::draw(args)?,
        Command::Completions { shell } => print(&completions(*shell)?)?,
        Command::Man => print(&manual()?)?,
        Command::TryModel { runtime } => {
            let (said, code) = match trial::sit(runtime, &mut std::io::stdin().lock()) {
                Ok(at_once) => (at_once.to_string(), ExitCode::SUCCESS),
                Err(why) => (why, ExitCode::FAILURE),
            };
            print(&said)?;
            return Ok(code);
        }
        _ => {
            let (configuration, settings) = Configuration::read(cli)?;
            return with_settings(cli, &configuration, &settings);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn with_settings(cli: &Cli, configuration: &Configuration, settings: &Settings) -> anyhow::Result<ExitCode> {
    if let Command::Config(args) = &cli.command {
        return show_configuration::show(configuration, settings, args);
    }
    settings.finish()?;
    let quiet = matches!(&cli.command, Command::Run(args) if args.quiet);
    let mut display = match &cli.command {
        Command::Run(args) => Display::new(args.quiet),
        Command::Replay(_) => Display::new(false),
        _ => Display::Silent,
    };
    let level = if quiet { "error" } else { &configuration.logging.level };
    logging::init(configuration.logging.format, level, display.writer())?;
    IS_JSON.store(configuration.logging.format == logging::Format::Json, Ordering::Relaxed);
    match &cli.command {
        Command::Run(args) => return run::run(configuration, args, &mut display),
        Command::Up(_) => return daemon::run(configuration, &Stage::ALL, "autorma up"),
        Command::Ingest(_) => return daemon::run(configuration, &[Stage::Ingest], "autorma ingest"),
        Command::Classify(_) => return daemon::run(configuration, &[Stage::Classifier], "autorma classify"),
        Command::Evaluate(args) => return evaluate::run(configuration, args),
        Command::Train(args) => return train::run(configuration, args),
        Command::Models(args) => return models::run(configuration, args),
        Command::Dataset(args) => return dataset::run(configuration, args),
        Command::Topics(args) => return topics::run(configuration, args),
        Command::Sink(_) => return daemon::run(configuration, &[Stage::Sink], "autorma sink"),
        Command::Produce(args) => return produce::run(configuration, args),
        Command::Tail(args) => return tail::run(configuration, args),
        Command::Replay(args) => return replay::run(configuration, args, &mut display),
        Command::DeadLetters(DeadLettersArgs { command: Some(DeadLettersCommand::Retry(args)), .. }) => {
            return retry::run(configuration, args);
        }
        _ => {}
    }
    let text = match &cli.command {
        Command::Status(args) => inspect::status(configuration, args.json.json)?,
        Command::Runs(args) => match &args.command {
            Some(RunsCommand::Show { id, json, .. }) => inspect::show_run(configuration, id, json.json)?,
            None => inspect::runs(configuration, args.last, args.json.json)?,
        },
        Command::DeadLetters(args) => inspect::dead_letters(configuration, args)?,
        Command::Show(args) => inspect::show(configuration, &args.image, args.json.json)?,
        _ => String::new(),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
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

/// Writes to standard output. That whoever reads has gone, `autorma runs | head` for example, changes nothing of what was
/// done, and of the exit status.
fn print(text: &str) -> anyhow::Result<()> {
    emit(text).or_else(|error| if is_broken_pipe(&error) { Ok(()) } else { Err(error) })
}

/// Writes to standard output, for those that go on until nobody reads; `println!` would panic then.
fn emit(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

/// Says on standard error what is wrong, if anybody reads it; `eprintln!` would panic where nobody does. Who reads a log in
/// JSON there can't read anything else.
fn complain(what: &str) {
    if IS_JSON.load(Ordering::Relaxed) && tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{what}");
        return;
    }
    drop(writeln!(std::io::stderr(), "autorma: {}", printable_lines(what)));
}

/// Several lines without what would move the cursor: ONNX Runtime repeats the names that a model has.
fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::{Shell, completions, manual, printable_lines};

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

    #[test]
    fn no_complaint_plays_with_the_terminal() {
        assert_eq!(printable_lines("a\u{1b}[2J\r\n  b"), "a\\u{1b}[2J\\u{d}\n  b");
    }
}
