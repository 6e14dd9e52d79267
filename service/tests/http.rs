//! The server, asked over real connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use autorma_service::http::{Health, Server};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Registry};
use serde_json::{Value, json};

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap()
    }
}

fn request(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.into() }
}

fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path)
}

fn start(registry: &Registry, health: &Health) -> Server {
    Server::start("127.0.0.1:0".parse().unwrap(), registry.clone(), health.clone()).unwrap()
}

#[test]
fn metrics_are_in_the_text_format() {
    let registry = Registry::new();
    let counter = IntCounter::new("autorma_tests_total", "Tests").unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    counter.inc_by(3);
    let server = start(&registry, &Health::default());
    assert_ne!(server.address().port(), 0);
    let answer = get(server.address(), "/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    assert!(answer.body.contains("\nautorma_tests_total 3\n"), "{}", answer.body);
}

#[test]
fn health_follows_the_stages() {
    let health = Health::default();
    let stage = health.stage("ingest");
    let server = start(&Registry::new(), &health);
    let ready = || get(server.address(), "/health/ready");
    let starting = ready();
    assert_eq!(starting.status, 503);
    assert_eq!(starting.json(), json!({ "status": "not ready", "stages": { "ingest": "starting" } }));
    stage.ready();
    let now = ready();
    assert_eq!(now.status, 200);
    assert_eq!(now.json(), json!({ "status": "ready", "stages": { "ingest": "ready" } }));
    assert_eq!(get(server.address(), "/health/live").status, 200);
    stage.failed("no space");
    let live = get(server.address(), "/health/live");
    assert_eq!(live.status, 503);
    assert_eq!(live.json()["errors"]["ingest"], "no space");
}

#[test]
fn everything_else_is_a_json_error() {
    let server = start(&Registry::new(), &Health::default());
    let missing = get(server.address(), "/nothing");
    assert_eq!(missing.status, 404);
    assert!(missing.json()["error"].is_string());
    let refused = request(server.address(), "POST", "/metrics");
    assert_eq!(refused.status, 405);
    assert!(refused.json()["error"].is_string());
    assert_eq!(request(server.address(), "HEAD", "/health/live").status, 200);
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let first = start(&Registry::new(), &Health::default());
    let error = Server::start(first.address(), Registry::new(), Health::default()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let text = error.to_string();
    assert!(text.contains(&first.address().to_string()) && text.contains("http.address"), "{text}");
}

#[test]
fn who_says_nothing_has_a_place_for_seconds_and_the_others_wait_for_it() {
    let server = start(&Registry::new(), &Health::default());
    // As many as have a place at a time.
    let mut silent: Vec<_> = (0..32).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    assert_eq!(get(server.address(), "/health/live").status, 200);
    let is_ended = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        matches!(stream.read(&mut [0]), Ok(0))
    };
    assert!(silent.iter_mut().any(is_ended), "the answer came before a place was free");
}

/// A scrape that takes its time.
struct Slow(Desc, std::sync::mpsc::SyncSender<()>);

impl Collector for Slow {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.1.send(()).unwrap();
        std::thread::sleep(Duration::from_secs(20));
        Vec::new()
    }
}

#[test]
fn it_stops_soon_whoever_is_connected() {
    let registry = Registry::new();
    let (scraping, begun) = std::sync::mpsc::sync_channel(1);
    let desc = Desc::new("slow".into(), "Slow".into(), Vec::new(), Default::default()).unwrap();
    registry.register(Box::new(Slow(desc, scraping))).unwrap();
    let server = start(&registry, &Health::default());
    let address = server.address();
    let _idle = TcpStream::connect(address).unwrap();
    let mut half = TcpStream::connect(address).unwrap();
    half.write_all(b"GET /metr").unwrap();
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    begun.recv().unwrap();
    assert_eq!(get(address, "/health/live").status, 200, "probes don't wait for scrapes");
    let asked = Instant::now();
    drop(server);
    // A busy machine may take longer than the second that is promised; waiting for one of them takes five.
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert!(TcpStream::connect(address).is_err());
}
