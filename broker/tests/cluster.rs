//! The broker that tests rely on: it answers, keeps what it was given, and ends when it should.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use autorma_broker::{Cluster, Options};

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

fn start(options: Options) -> Cluster {
    Cluster::start(options).unwrap()
}

fn succeeded(output: Output) -> String {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    told
}

#[test]
fn a_tool_creates_a_topic_that_outlives_kills() {
    let cluster = autorma_broker::shared();
    succeeded(cluster.tool(TOPICS, &["--create", "--topic", "kept", "--partitions", "3"]).unwrap());
    cluster.kill(0).unwrap();
    cluster.restart(0).unwrap();
    let told = succeeded(cluster.tool(TOPICS, &["--describe", "--topic", "kept"]).unwrap());
    assert!(told.contains("PartitionCount: 3"), "{told}");
    assert!(cluster.restart(0).is_err(), "it runs");
}

#[test]
fn a_folder_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { folder: Some(folder.path().to_owned()), ..Options::default() };
    let cluster = start(options());
    succeeded(cluster.tool(TOPICS, &["--create", "--topic", "old"]).unwrap());
    drop(cluster);
    let told = succeeded(start(options()).tool(TOPICS, &["--list"]).unwrap());
    assert!(told.contains("old"), "{told}");
}

#[test]
fn a_broken_setting_is_told() {
    let properties = vec![("num.io.threads".to_owned(), "none".to_owned())];
    let error = Cluster::start(Options { properties, ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("num.io.threads"), "{error}");
}

/// This test's process, started again, has a broker and is killed.
#[test]
fn brokers_end_with_the_process_that_started_them() {
    if std::env::var_os("AUTORMA_BROKER_VICTIM").is_some() {
        let cluster = start(Options::default());
        println!("\n{}", cluster.folder().display());
        thread::sleep(Duration::from_secs(600));
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "brokers_end_with_the_process_that_started_them", "--nocapture"])
        .env("AUTORMA_BROKER_VICTIM", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let folder = lines.map(Result::unwrap).find(|line| line.starts_with('/')).unwrap();
    assert_eq!(brokers(&folder), 1);
    victim.kill().unwrap();
    victim.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while brokers(&folder) > 0 || Path::new(&folder).exists() {
        assert!(Instant::now() < deadline, "a broker in {folder} has outlived its test");
        thread::sleep(Duration::from_millis(50));
    }
}

/// How many Javas run with data in this folder.
fn brokers(folder: &str) -> usize {
    let lines = fs::read_dir("/proc").unwrap().filter_map(|process| {
        let mut line = String::new();
        fs::File::open(process.ok()?.path().join("cmdline")).ok()?.read_to_string(&mut line).ok()?;
        Some(line)
    });
    lines
        .filter(|line| line.contains(folder) && line.contains("kafka.Kafka\0") && !line.starts_with("sh"))
        .count()
}
