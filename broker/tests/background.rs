//! `make kafka` and `make kafka-stop`.

use std::{
    net::TcpStream,
    path::Path,
    process::{Command, Output},
};

use autorma_broker::Port;

fn broker(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autorma-broker"));
    command.args(args).arg("--folder").arg(folder).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

#[test]
fn it_starts_once_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let lease = Port::any().unwrap();
    let port = lease.number;
    let start = ["start", "--port", &port.to_string()];
    let started = broker(folder.path(), &start);
    assert!(started.status.success(), "{}", text(&started));
    TcpStream::connect(("127.0.0.1", port)).unwrap();

    let again = broker(folder.path(), &start);
    assert!(again.status.success() && text(&again).contains("runs already"), "{}", text(&again));
    let elsewhere = broker(folder.path(), &["start", "--port", "1"]);
    assert!(!elsewhere.status.success() && text(&elsewhere).contains("runs already"), "{}", text(&elsewhere));
    let other = tempfile::tempdir().unwrap();
    let taken = broker(other.path(), &start);
    assert!(!taken.status.success() && text(&taken).contains("is taken"), "{}", text(&taken));

    let stopped = broker(folder.path(), &["stop"]);
    assert!(stopped.status.success() && text(&stopped).contains("has ended"), "{}", text(&stopped));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let stopped = broker(folder.path(), &["stop"]);
    assert!(stopped.status.success() && text(&stopped).contains("no Kafka runs"), "{}", text(&stopped));
}

#[test]
fn a_foreign_process_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pid"), format!("{} 9092\n", std::process::id())).unwrap();
    let stopped = broker(folder.path(), &["stop"]);
    assert!(text(&stopped).contains("no Kafka runs"), "{}", text(&stopped));
}
