//! `autorma up` and the other daemons with their endpoint.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::process::Command;

use crate::{Process, Sandbox, eventually};

/// A process that serves /metrics and /health.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    address: String,
}

/// For what a slow machine has in hand at a stop, unless a test says otherwise.
pub(crate) const ENOUGH: &str = "4m";

impl Daemon {
    /// `autorma up` with these settings, once its endpoint is there.
    pub fn up(sandbox: &Sandbox, settings: &[&str]) -> Self {
        let arguments: Vec<_> =
            ["up"].into_iter().chain(settings.iter().flat_map(|it| ["--set", it])).collect();
        let mut command = sandbox.command(&arguments);
        command.env("AUTORMA_DRAIN", ENOUGH);
        Self::of(sandbox, command)
    }

    /// This command, once its endpoint is there.
    pub fn of(sandbox: &Sandbox, mut command: Command) -> Self {
        command.env("AUTORMA_HTTP_ADDRESS", "127.0.0.1:0");
        let mut process = sandbox.spawn(command);
        let address = eventually("the address is in the log", || {
            assert!(process.is_running(), "{}", process.said());
            let said = process.said();
            let line = said.lines().find(|line| line.contains("/health/ready"))?;
            let words = line.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
            words.filter(|word| word.starts_with("127.0.0.1:")).map(str::to_owned).next()
        });
        Self { process, address }
    }

    /// Waits until all its stages are ready.
    pub fn ready(self) -> Self {
        eventually("ready", || (self.status("/health/ready") == Some(200)).then_some(()));
        self
    }

    /// The status of an answer; None if there is none.
    pub fn status(&self, path: &str) -> Option<u16> {
        Some(self.get(path)?.0)
    }

    /// The sum of the lines of a metric; None if there is none.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics")?;
        let lines = text.lines().filter(|line| line.starts_with(name));
        let values: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Waits until so many outcomes are in files.
    pub fn outcomes(&self, count: usize) {
        eventually(&format!("{count} outcomes are durable"), || {
            (self.metric("autorma_sink_outcomes_total")? >= count as f64).then_some(())
        });
    }

    /// SIGKILL.
    pub fn kill(self) {
        self.process.kill();
    }

    /// SIGTERM; it must end well. What it has logged.
    #[track_caller]
    pub fn end(mut self) -> String {
        self.process.signal("TERM");
        self.process.wait().expect(0).errors
    }

    /// The status and the body of an answer; None if there is none.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: autorma\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}

impl Deref for Daemon {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Daemon {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
