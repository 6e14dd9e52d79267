//! Signals, sent to a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const CHILD: &str = "SIGNALS_TEST_CHILD";

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

#[test]
fn both_signals_are_counted() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_child_that_counts", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let process = child.id();
    let send = |signal: &str| {
        let kill = format!("kill -{signal} {process}");
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    };
    assert!(lines.any(|line| line == "listening"));
    send("TERM");
    assert!(lines.any(|line| line == "signal 1"));
    send("INT");
    assert!(lines.any(|line| line == "signal 2"));
    assert_eq!(child.wait().unwrap().code(), Some(42));
}
