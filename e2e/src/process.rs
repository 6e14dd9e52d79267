use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The program running in a sandbox. It is killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    command: String,
    /// Where its standard error goes.
    pub errors: PathBuf,
    output: PathBuf,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; None when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it; None when it ended by itself.
    pub signal: Option<i32>,
    /// What it wrote to standard output.
    pub output: String,
    /// What it wrote to standard error.
    pub errors: String,
}

impl Process {
    pub(crate) fn spawn(mut command: Command, output: PathBuf, errors: PathBuf) -> Self {
        command.stdin(Stdio::null());
        command.stdout(File::create(&output).unwrap()).stderr(File::create(&errors).unwrap());
        let text = format!("{command:?}");
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{text}: {error}; `make e2e-program` builds it"));
        Self { child, command: text, errors, output }
    }

    /// Sends a signal by name, `TERM` for example.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success(), "kill -{name}");
    }

    /// SIGKILL, and waits for the end. Panics if it had ended before: what dies by itself isn't to pass for what was
    /// killed.
    #[track_caller]
    pub fn kill(mut self) -> Ended {
        assert!(self.is_running(), "{} has ended by itself:\n{}", self.command, self.said());
        self.kill_or_wait()
    }

    /// SIGKILL for one that may have come to its end already.
    pub fn kill_or_wait(mut self) -> Ended {
        drop(self.child.kill());
        self.wait()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> Ended {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return self.ended(status);
            }
            assert!(
                begun.elapsed() < Duration::from_secs(600),
                "{} doesn't end:\n{}",
                self.command,
                self.said()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// What it has written to standard output so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    }

    fn ended(&self, status: ExitStatus) -> Ended {
        Ended {
            code: status.code(),
            signal: status.signal(),
            output: fs::read_to_string(&self.output).unwrap_or_default(),
            errors: self.said(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Ended {
    /// Whether SIGKILL ended it. A crash ends a process by a signal, too, and isn't to pass for a kill.
    pub fn is_killed(&self) -> bool {
        self.signal == Some(9)
    }

    /// Its standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        let parsed = serde_json::from_str(&self.output);
        parsed.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", self.output, self.errors))
    }

    /// Panics unless it ended with this status.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.output, self.errors);
        self
    }
}
