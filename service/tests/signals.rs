//! Signals, sent to a process of its own.

mod shared;

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use shared::passes_under;

const CHILD: &str = "SIGNALS_TEST_CHILD";
const WRITER: &str = "SIGNALS_TEST_WRITER";
const PATIENCE: Duration = Duration::from_secs(60);

/// In a process of its own, called by the test below: counts signals and ends at the second.
#[test]
fn a_child_that_counts() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    autorma_service::signals::install(|times| {
        println!("\nsignal {times}");
        if times > 1 {
            std::process::exit(42);
        }
    })
    .unwrap();
    println!("\nlistening");
    loop {
        std::thread::park();
    }
}

/// That child. It would wait for signals for ever, so it is killed when this is dropped.
struct Counting {
    process: Child,
    /// Read by a thread of its own, so that nobody waits for ever for one that says nothing.
    lines: Receiver<String>,
}

impl Counting {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_child_that_counts", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let (tell, lines) = channel();
        std::thread::spawn(move || said.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { process, lines }
    }

    fn send(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Listens until it says this.
    #[track_caller]
    fn says(&self, expected: &str) {
        while self.lines.recv_timeout(PATIENCE).expect(expected) != expected {}
    }

    /// Listens until it has ended; its exit status.
    #[track_caller]
    fn ends(&mut self) -> Option<i32> {
        let silence = loop {
            if let Err(silence) = self.lines.recv_timeout(PATIENCE) {
                break silence;
            }
        };
        assert_eq!(silence, RecvTimeoutError::Disconnected, "it doesn't end");
        self.process.wait().unwrap().code()
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn both_signals_are_counted() {
    let mut child = Counting::start();
    child.says("listening");
    child.send("TERM");
    child.says("signal 1");
    child.send("INT");
    child.says("signal 2");
    assert_eq!(child.ends(), Some(42));
}

/// In a process of its own, whose files may not grow large; called by the test below.
#[test]
fn a_child_that_writes_too_much() {
    let Some(folder) = std::env::var_os(WRITER) else { return };
    autorma_service::signals::let_writes_fail().unwrap();
    let error = std::fs::write(Path::new(&folder).join("large"), vec![0; 1 << 20]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
}

#[test]
fn a_file_that_may_grow_no_more_ends_nobody() {
    passes_under("ulimit -f 8", "a_child_that_writes_too_much", WRITER);
}
