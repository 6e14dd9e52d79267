//! The broker that tests rely on: it answers, keeps what it was given, and ends when it should.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
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
fn three_nodes_do_without_one() {
    let cluster = start(Options { nodes: 3, ..Options::default() });
    assert_eq!(cluster.bootstrap().split(',').count(), 3);
    cluster.kill(2).unwrap();
    let create = ["--create", "--topic", "copied", "--partitions", "2", "--replication-factor", "2"];
    succeeded(cluster.tool(TOPICS, &create).unwrap());
    cluster.restart(2).unwrap();
    cluster.kill(0).unwrap();
    let told = succeeded(cluster.tool(TOPICS, &["--list"]).unwrap());
    assert!(told.contains("copied"), "{told}");
    cluster.stop().unwrap();
}

/// Who asks over a connection that is there already has an answer at once, on the slowest machine; one of Kafka's tools
/// takes seconds for it in any case.
#[test]
fn a_paused_node_answers_when_it_goes_on() {
    // Its length, ApiVersions, version 0, the number of the question, and no name of who asks.
    const QUESTION: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xFF, 0xFF];
    let cluster = start(Options::default());
    let mut client = TcpStream::connect(cluster.bootstrap()).unwrap();
    let answer = |client: &mut TcpStream, within: u64| -> io::Result<()> {
        client.set_read_timeout(Some(Duration::from_secs(within)))?;
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        client.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize])
    };
    client.write_all(&QUESTION).unwrap();
    answer(&mut client, 60).unwrap();
    cluster.pause(0).unwrap();
    client.write_all(&QUESTION).unwrap();
    let silence = answer(&mut client, 3).unwrap_err();
    assert_eq!(silence.kind(), io::ErrorKind::WouldBlock, "{silence}");
    cluster.resume(0).unwrap();
    answer(&mut client, 60).unwrap();
    succeeded(cluster.tool(TOPICS, &["--list"]).unwrap());
}

#[test]
fn a_folder_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { folder: Some(folder.path().to_owned()), ..Options::default() };
    let cluster = start(options());
    succeeded(cluster.tool(TOPICS, &["--create", "--topic", "old"]).unwrap());
    cluster.stop().unwrap();
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
