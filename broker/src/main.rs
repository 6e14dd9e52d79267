//! `make kafka` and `make kafka-stop`.

use std::{path::PathBuf, process::ExitCode};

use autorma_broker::{Error, daemon::Daemon};
use clap::Parser;

/// A Kafka of one node, for trying things out.
#[derive(Debug, Parser)]
#[command(name = "autorma-broker")]
enum Command {
    /// Starts it in the background and waits until it answers.
    Start {
        /// Where its data is kept.
        #[arg(long, default_value = "data/kafka")]
        folder: PathBuf,
        /// Where it listens, on 127.0.0.1.
        #[arg(long, default_value_t = 9092)]
        port: u16,
    },
    /// Ends it; the data stays.
    Stop {
        /// Where its data is kept.
        #[arg(long, default_value = "data/kafka")]
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Start { folder, port } => {
            // Asked for again, it is there: that is what was wanted.
            if let Some(found) = Daemon::find(&folder).filter(|found| found.port == port) {
                println!("Kafka runs already, at 127.0.0.1:{port}, as process {}", found.pid);
                return Ok(());
            }
            let started = Daemon::start(&folder, port)?;
            println!(
                "Kafka runs at 127.0.0.1:{port}, as process {}; data in {}",
                started.pid,
                folder.display()
            );
        }
        Command::Stop { folder } => match Daemon::find(&folder) {
            Some(found) => {
                let pid = found.pid;
                found.stop()?;
                println!("Kafka, process {pid}, has ended; its data stays in {}", folder.display());
            }
            None => println!("no Kafka runs with its data in {}", folder.display()),
        },
    }
    Ok(())
}
