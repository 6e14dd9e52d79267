use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Instant;

use autorma_models::handmade::{means, picture, write};
use autorma_models::registry::{Location, Source};
use autorma_schemas::{Event, ImageEvent, sha256};
use autorma_service::settings::Settings;
use autorma_stream::embedded::Embedded;
use autorma_stream::{Append, NextOffset, Retention, Topic, TopicPartition, Transaction};

use super::*;
use crate::fixtures;

/// Nothing here takes so long, on the slowest machine.
const LONG: Duration = Duration::from_secs(60);

/// The address of a store that says a byte of its one object now and then, and when it was asked for it.
fn dripping() -> (String, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (says, said) = mpsc::channel();
    // It ends with the connection, or with the process.
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0, "the request comes first");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").unwrap();
        says.send(()).unwrap();
        while stream.write_all(b".").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    (format!("http://{address}"), said)
}

fn event(id: &str, uri: Option<String>, bytes: Option<Vec<u8>>) -> Append {
    let event = ImageEvent {
        event_id: id.into(),
        uri,
        sha256: sha256(bytes.as_deref().unwrap_or_default()),
        bytes,
        ..fixtures::event()
    };
    Append { topic: topics::IMAGES.into(), value: event.encode(), ..Append::default() }
}

/// Such an object is given half a minute, and a stop the time that it is told. Neither the photo nor the one that is done
/// behind it has an outcome then: both are there for who comes next.
#[test]
fn a_stop_does_not_wait_for_a_photo_that_does_not_come() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("means");
    write(&model, "means", &means()).unwrap();
    let (store, is_asked) = dripping();
    let config = Config {
        model: Source::Folder(model),
        runtime: Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/onnxruntime/libonnxruntime.so"),
        workers: 2,
        drain: Duration::from_secs(1),
        stores: vec![store.clone()],
        ..Config::read(&mut Settings::default(), Location::Folder(folder.path().join("registry")))
    };
    let log = Embedded::in_memory().unwrap();
    let topic = |name: &str| Topic { name: name.into(), partitions: 1, retention: Retention::Compact };
    log.create(&[topics::IMAGES, topics::PREDICTIONS, topics::DEAD_LETTERS].map(topic)).unwrap();
    let slow = event("slow", Some(format!("{store}/a.jpg")), None);
    let appends = vec![slow, event("behind", None, Some(picture([200, 0, 0])))];
    log.producer("a test").unwrap().commit(&Transaction { appends, advance: None }).unwrap();

    let (metrics, shutdown) = (Metrics::new(&prometheus::Registry::new()).unwrap(), Shutdown::new());
    thread::scope(|scope| {
        let stage = scope.spawn(|| run(&config, &log, &metrics, &shutdown, || ()));
        is_asked.recv_timeout(LONG).unwrap();
        let begun = Instant::now();
        while metrics.infer_seconds.get_sample_count() == 0 {
            assert!(begun.elapsed() < LONG, "the other photo isn't classified");
            thread::sleep(Duration::from_millis(10));
        }
        let begun = Instant::now();
        shutdown.request();
        stage.join().unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(15), "the stop has taken {:?}", begun.elapsed());
    });
    let in_flight = metrics.queues.with_label_values(&["in_flight"]).get();
    assert_eq!(in_flight, 0, "what is left is for who comes next");
    for topic in [topics::PREDICTIONS, topics::DEAD_LETTERS] {
        let outcomes = log.read(&TopicPartition::new(topic, 0), NextOffset::START, 10).unwrap();
        assert!(outcomes.is_empty(), "{topic}: {outcomes:?}");
    }
    let next = log.committed(GROUP).unwrap().remove(&TopicPartition::new(topics::IMAGES, 0));
    assert_eq!(next.unwrap_or_default(), NextOffset::START);
}
