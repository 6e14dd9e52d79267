//! `examples/`, run as its README says, on a real Kafka: what the producers write is an image event, and what the
//! consumers print is what was written.

use std::path::{Path, PathBuf};
use std::process::Command;

use autorma_broker::{Cluster, Options, PASSWORD, Security, USER};
use autorma_e2e::{Examples, Photos, succeed};
use autorma_schemas::{Event, ImageEvent, event_id, file_url, sha256};

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

/// A few photos of different classes.
fn photos() -> Option<Vec<PathBuf>> {
    let good = Photos::shared()?.good;
    Some(
        good.iter().step_by(good.len() / 3).take(3).map(|(photo, _)| photo.canonicalize().unwrap()).collect(),
    )
}

/// Topics of one test.
struct Place(&'static str);

/// Cargo leads tests to the libraries that it has built, librdkafka among them, which would stand in for the system's.
fn as_users_have_it(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH");
    command
}

impl Place {
    /// Compressed as the classifier compresses: consumers must be able to read that.
    fn new(prefix: &'static str) -> Self {
        let topic = format!("{prefix}images");
        let args = ["--create", "--topic", &topic, "--partitions", "3", "--config", "compression.type=lz4"];
        let output = autorma_broker::shared().tool(TOPICS, &args).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        Self(prefix)
    }

    /// A program of an example with the flags that every one understands.
    fn command(&self, program: &Path, script: Option<PathBuf>) -> Command {
        let mut command = as_users_have_it(program);
        command.args(script).args(["--brokers", &autorma_broker::shared().bootstrap(), "--prefix", self.0]);
        command
    }

    /// The records of the topic, read with Kafka's own consumer: key and event.
    fn events(&self, count: usize) -> Vec<(String, ImageEvent)> {
        let (key, end) = ("<the key is before this>", "<the record is before this>");
        let properties =
            ["print.key=true", &format!("key.separator={key}"), &format!("line.separator={end}")];
        let (topic, count) = (format!("{}images", self.0), count.to_string());
        let mut args = vec!["--topic", &topic, "--from-beginning", "--max-messages", &count];
        args.extend(["--timeout-ms", "60000"]);
        args.extend(properties.iter().flat_map(|property| ["--property", property]));
        let output = autorma_broker::shared().tool(CONSUMER, &args).unwrap();
        let records = split(&output.stdout, end.as_bytes()).into_iter().filter(|record| !record.is_empty());
        let event = |record: &[u8]| {
            let parts = split(record, key.as_bytes());
            let id = String::from_utf8(parts[0].to_vec()).unwrap();
            (id, ImageEvent::decode(parts[1]).unwrap())
        };
        records.map(event).collect()
    }
}

fn split<'a>(mut bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(separator.len()).position(|window| window == separator) {
        parts.push(&bytes[..at]);
        bytes = &bytes[at + separator.len()..];
    }
    parts.push(bytes);
    parts
}

/// Every photo has its event, by reference or inline, and the ids are the keys.
fn check(events: &[(String, ImageEvent)], photos: &[PathBuf], inline: bool, source: &str) {
    for photo in photos {
        let name = photo.file_name().unwrap().to_str().unwrap();
        let (content, uri) = (std::fs::read(photo).unwrap(), file_url(photo));
        let is_it = |event: &ImageEvent| event.name == name && event.uri.is_none() == inline;
        let (key, event) = events.iter().find(|(_, event)| is_it(event)).unwrap();
        assert_eq!((key, event.source.as_str()), (&event.event_id, source));
        assert_eq!((&event.sha256, event.length as usize), (&sha256(&content), content.len()));
        assert_eq!((event.run_id.as_ref(), event.sequence), (None, 0));
        if inline {
            assert_eq!(event.bytes.as_ref(), Some(&content));
            assert_eq!(event.event_id.len(), 32);
        } else {
            assert_eq!((event.uri.as_ref(), &event.bytes), (Some(&uri), &None));
            assert_eq!(event.event_id, event_id(&uri, &event.sha256), "ingest would give the same id");
        }
    }
}

/// The ids in lines of JSON, in order of their text.
fn ids(lines: &str) -> Vec<String> {
    let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let id = |line: &str| event(line)["event_id"].as_str().unwrap().to_owned();
    let mut ids: Vec<_> = lines.lines().map(id).collect();
    ids.sort();
    ids
}

/// A program whose flags are those of `produce.py` and `consume.py`.
fn produces_and_consumes(
    prefix: &'static str,
    program: &Path,
    [produce, consume]: [PathBuf; 2],
    source: &str,
) {
    let Some(photos) = photos() else { return };
    let place = Place::new(prefix);
    let produce = || place.command(program, Some(produce.clone()));
    succeed(produce().args(["--attribute", "order=4711"]).args(&photos));
    succeed(produce().arg("--inline").args(&photos));
    let events = place.events(2 * photos.len());
    check(&events, &photos, false, source);
    check(&events, &photos, true, source);
    let attributed =
        events.iter().filter(|(_, event)| event.attributes.get("order").is_some_and(|it| it == "4711"));
    assert_eq!(attributed.count(), photos.len());

    let count = events.len().to_string();
    let printed =
        succeed(place.command(program, Some(consume)).args(["--topic", "images", "--count", &count]));
    let mut expected: Vec<_> = events.into_iter().map(|(key, _)| key).collect();
    expected.sort();
    assert_eq!(ids(&printed), expected);

    let missing = produce().arg("no-such-photo.jpg").output().unwrap();
    let told = String::from_utf8_lossy(&missing.stderr);
    assert!(missing.status.code() == Some(1) && told.contains("no-such-photo.jpg"), "{told}");
}

#[test]
fn python() {
    let examples = Examples::new();
    let Some(python) = examples.python() else { return };
    let scripts = ["python/produce.py", "python/consume.py"].map(|script| examples.path(script));
    produces_and_consumes("python.", &python, scripts, "python-example");
}

/// Sends what is no event and, behind it, an event, whose id it prints. A file gets the same as `kcat -f '%R%s'` says it.
const DAMAGED: &str = "
import pathlib, struct, sys
from confluent_kafka import Producer
from events import encode_image_event
from produce import image_event
brokers, topic, photo, file = sys.argv[1:]
event = image_event(pathlib.Path(photo), False, {})
whole = encode_image_event(event)
header, union = 10, 10 + 1 + len(event['event_id'])
damaged = whole[:union] + bytes([8]) + whole[union + 1:]
producer = Producer({'bootstrap.servers': brokers})
with open(file, 'wb') as file:
    for value in (whole[:header] + bytes([128]), whole[:-1], damaged, None, whole):
        producer.produce(topic, value, partition=0)
        file.write(struct.pack('>i', -1 if value is None else len(value)) + (value or b''))
assert producer.flush(60) == 0
print(event['event_id'])
";

#[test]
fn python_goes_on_behind_what_is_no_event() {
    let examples = Examples::new();
    let Some(python) = examples.python() else { return };
    let (place, folder) = (Place::new("damaged."), tempfile::tempdir().unwrap());
    let [photo, file] = ["photo.jpg", "records"].map(|name| folder.path().join(name));
    std::fs::write(&photo, "a photo").unwrap();
    let mut produce = Command::new(&python);
    produce.args(["-c", DAMAGED, &autorma_broker::shared().bootstrap(), "damaged.images"]);
    let id = succeed(produce.args([&photo, &file]).env("PYTHONPATH", examples.path("python")));

    let mut consume = place.command(&python, Some(examples.path("python/consume.py")));
    let printed = succeed(consume.args(["--topic", "images", "--count", "5"]));
    assert_eq!(ids(&printed), [id.trim()]);
    let mut decode = Command::new(&python);
    decode.arg(examples.path("python/decode.py")).stdin(std::fs::File::open(&file).unwrap());
    assert_eq!(ids(&succeed(&mut decode)), [id.trim()]);
}

#[test]
fn node() {
    let examples = Examples::new();
    let Some(node) = examples.node() else { return };
    let scripts = ["node/produce.js", "node/consume.js"].map(|script| examples.path(script));
    produces_and_consumes("node.", &node, scripts, "node-example");
}

#[test]
fn kcat() {
    let examples = Examples::new();
    let (Some(_), Some(python), Some(photos)) = (examples.kcat(), examples.python(), photos()) else {
        return;
    };
    let place = Place::new("kcat.");
    let [produce, consume] = ["kcat/produce.sh", "kcat/consume.sh"].map(|script| examples.path(script));
    succeed(place.command(&produce, None).args(&photos));
    let events = place.events(photos.len());
    check(&events, &photos, true, "kcat-example");

    let printed = succeed(place.command(&consume, None).args(["--topic", "images"]));
    assert!(events.iter().all(|(key, _)| printed.contains(key)), "{printed}");
    let consume = || place.command(&consume, None);
    let printed = succeed(consume().args(["--topic", "images", "--json"]).env("PYTHON", python));
    let mut expected: Vec<_> = events.into_iter().map(|(key, _)| key).collect();
    expected.sort();
    assert_eq!(ids(&printed), expected);
}

#[test]
fn all_of_them_come_in_by_tls_and_a_password() {
    let examples = Examples::new();
    let (Some(_), Some(python), Some(node)) = (examples.kcat(), examples.python(), examples.node()) else {
        return;
    };
    let Some(photos) = photos() else { return };
    let secured = Options { security: Security::SaslSsl, ..Options::default() };
    let cluster = Cluster::start(secured).unwrap();
    let output = cluster.tool(TOPICS, &["--create", "--topic", "images", "--partitions", "1"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("properties");
    let properties = |mechanism: &str, password: &str| {
        let ca = cluster.ca();
        let text = format!(
            "# who we are\nsecurity.protocol=sasl_ssl\nssl.ca.location={}\nsasl.mechanism={mechanism}\n\
             sasl.username={USER}\nsasl.password={password}\n",
            ca.display()
        );
        std::fs::write(&file, text).unwrap();
    };
    let command = |program: &Path, script: Option<&str>| {
        let mut command = as_users_have_it(program);
        command.args(script.map(|it| examples.path(it))).args(["--brokers", &cluster.secure_bootstrap()]);
        command.arg("--properties").arg(&file);
        command
    };
    let (kcat, consume) = (examples.path("kcat/produce.sh"), examples.path("kcat/consume.sh"));
    properties("SCRAM-SHA-256", PASSWORD);
    succeed(command(&python, Some("python/produce.py")).args(&photos));
    succeed(command(&node, Some("node/produce.js")).args(&photos));
    // Debian's librdkafka is too old for SCRAM at this Kafka.
    properties("PLAIN", PASSWORD);
    succeed(command(&kcat, None).args(&photos));
    let count = (3 * photos.len()).to_string();
    let wanted = ["--topic", "images", "--count", &count];
    let printed = [
        succeed(command(&python, Some("python/consume.py")).args(wanted)),
        succeed(command(&node, Some("node/consume.js")).args(wanted)),
        succeed(command(&consume, None).args(["--topic", "images", "--json"]).env("PYTHON", &python)),
    ];
    let printed = printed.map(|it| ids(&it));
    assert_eq!(printed[0].len(), 3 * photos.len());
    assert!(printed.iter().all(|it| *it == printed[0]), "{printed:?}");

    properties("PLAIN", "guessed");
    for mut stranger in [command(&node, Some("node/produce.js")), command(&kcat, None)] {
        assert!(!stranger.args(&photos[..1]).output().unwrap().status.success(), "{stranger:?}");
    }
}
