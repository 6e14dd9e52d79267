//! The program under measurement.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

use crate::home::Home;
use crate::root;

/// `target/release/autorma`, running.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Program {
    /// Starts a command with its log in that home, with an output and a data folder of its own below `folder`.
    pub(crate) fn start(
        home: &Home,
        folder: &Path,
        arguments: &[&str],
        input: &Path,
    ) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = command(home, folder, arguments)?;
        command.env("AUTORMA_HTTP_ADDRESS", &address).env("AUTORMA_INGEST_INPUT", input);
        Ok(Self { child: command.spawn()?, address })
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(self.child.wait()?.success(), "autorma failed");
        Ok(())
    }
}

/// The program with these arguments, not started yet.
pub(crate) fn command(home: &Home, folder: &Path, arguments: &[&str]) -> anyhow::Result<Command> {
    let program = root().join("target/release/autorma").canonicalize().context("`make program` builds it")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    // Nothing of the tester's own settings, as in `e2e/src/sandbox.rs`.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        let is_setting = text == "BATCH_SIZE" || text.starts_with("AUTORMA_") || text.starts_with("MLFLOW_");
        if is_setting || text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command.env("AUTORMA_SINK_OUTPUT", folder.join("output")).env("AUTORMA_DATA", folder.join("data"));
    // Times in its files can be compared with ours.
    command.envs(home.settings()).env("TZ", "UTC");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

/// The metrics of a program at an address, while it serves them.
pub(crate) fn metrics(address: &str) -> Option<Metrics> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(Metrics(answer))
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One look at a program's metrics.
#[derive(Debug)]
pub(crate) struct Metrics(String);

impl Metrics {
    /// Whether there is such a metric with that label.
    pub(crate) fn has(&self, name: &str, label: &str) -> bool {
        self.lines(name).any(|line| line.contains(label))
    }

    /// The sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.lines(name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Those of a metric: one for each set of labels.
    fn lines(&self, name: &str) -> impl Iterator<Item = &str> {
        let is_it =
            move |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        self.0.lines().filter(is_it)
    }
}

/// User and system time of this process's children that have ended, as /proc/self/stat counts it (proc(5): the 16th
/// and 17th value, in hundredths of a second).
pub(crate) fn processor_seconds_of_children() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, values) = stat.rsplit_once(") ").context("/proc/self/stat has no name")?;
    let values: Vec<f64> = values.split(' ').map(|value| value.parse().unwrap_or(0.0)).collect();
    Ok((values[13] + values[14]) / 100.0)
}

/// A process's memory in bytes, as /proc calls it.
pub(crate) fn memory(process: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(what));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
