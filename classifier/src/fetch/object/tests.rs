use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use autorma_schemas::{ImageEvent, sha256};
use autorma_service::Shutdown;
use autorma_stream::embedded::Embedded;
use object_store::PutPayload;
use object_store::memory::InMemory;

use super::moto::Moto;
use super::*;
use crate::fetch::Fetcher;

/// A store that is reached as `variables` say.
fn objects(url: &str, variables: &[(&str, &str)]) -> Result<Objects, StoreError> {
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Objects::with(&[url.into()], &variables)
}

fn read(objects: &Objects, uri: &str, most: u64) -> Result<Vec<u8>, Reason> {
    failure(objects, uri, most).map_err(|failure| failure.reason)
}

fn failure(objects: &Objects, uri: &str, most: u64) -> Result<Vec<u8>, Failure> {
    objects.read(uri, most).map_err(|trouble| match trouble {
        Trouble::Lasting(failure) => failure,
        Trouble::Passing(error) => panic!("{error}"),
        Trouble::Log(error) => panic!("{error}"),
        Trouble::Over => panic!("it is waited for"),
    })
}

/// A server that says the same to everybody. Its address.
fn server(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                request.push(byte[0]);
            }
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&request)).as_bytes());
        }
    });
    format!("http://{address}")
}

fn said(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn objects_below_an_allowed_url_are_read() {
    let memory = Arc::new(InMemory::new());
    futures::executor::block_on(memory.put(&Path::from("in/a b.jpg"), b"photo".to_vec().into())).unwrap();
    let store = Store { url: "s3://returns/".into(), store: memory, base: Path::default() };
    let objects = Objects::of(vec![store]).unwrap();
    let read = |uri: &str, most| read(&objects, uri, most);
    assert_eq!(read("s3://returns/in/a%20b.jpg", 5), Ok(b"photo".to_vec()));
    assert_eq!(read("s3://returns/in/a%20b.jpg", 4), Err(Reason::TooManyBytes));
    assert_eq!(read("s3://returns/in/none.jpg", 5), Err(Reason::Missing));
    assert_eq!(read("s3://returns/../secret.jpg", 5), Err(Reason::InvalidEvent));
    assert_eq!(read("s3://returns/%2e%2e/secret.jpg", 5), Err(Reason::InvalidEvent));
    assert_eq!(read("s3://others/a.jpg", 5), Err(Reason::ForbiddenReference));
    let told = failure(&objects, "file://host/a.jpg", 5).unwrap_err();
    assert!(told.message.contains("file:///PATH, absolute and without a host"), "{told}");
}

/// As who serves names may, when its network has gone.
#[test]
fn at_the_end_nobody_waits_for_what_hangs() {
    let objects = objects("http://127.0.0.1:1", &[]).unwrap();
    let ((begun, is_begun), (_go_on, goes_on)) = (channel(), channel::<()>());
    objects.runtime.as_ref().unwrap().spawn_blocking(move || {
        begun.send(()).unwrap();
        goes_on.recv()
    });
    is_begun.recv().unwrap();
    let (drops, dropped) = channel();
    thread::spawn(move || {
        drop(objects);
        drops.send(())
    });
    dropped.recv_timeout(Duration::from_secs(30)).expect("it waits for what hangs");
}

#[test]
fn a_store_that_can_t_be_used_is_said_at_the_start() {
    let cause = |url: &str| objects(url, &[]).unwrap_err().to_string();
    assert!(cause("returns").contains("classifier.stores: returns: "), "{}", cause("returns"));
    assert!(cause("ftp://returns").contains("ftp://returns"), "{}", cause("ftp://returns"));
    assert!(cause("file:///photos").contains("classifier.roots"), "{}", cause("file:///photos"));
    assert!(cause("az://returns").to_lowercase().contains("account"), "{}", cause("az://returns"));
}

#[test]
fn every_cloud_has_its_client() {
    let key = "a2V5";
    let azure = [("AZURE_STORAGE_ACCOUNT_NAME", "acme"), ("AZURE_STORAGE_ACCOUNT_KEY", key)];
    let stores = [
        ("s3://returns/photos", &[][..]),
        ("gs://returns/photos", &[("GOOGLE_SKIP_SIGNATURE", "true")]),
        ("az://returns/photos", &azure),
        ("https://acme.blob.core.windows.net/returns", &azure),
        ("https://photos.example/returns", &[]),
    ];
    for (url, variables) in stores {
        objects(url, variables).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// On a server that speaks S3, with requests that are signed.
#[test]
fn photos_are_read_from_s3() {
    let Some(moto) = Moto::start() else { return };
    let variables = [
        ("AWS_ENDPOINT_URL", moto.endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let objects = objects("s3://returns/photos", &variables).unwrap();
    let runtime = objects.runtime.as_ref().unwrap();
    let bucket = reqwest::Client::new().put(format!("{}/returns", moto.endpoint)).send();
    assert!(runtime.block_on(bucket).unwrap().status().is_success());
    let photo: Vec<u8> = (0..3 << 20).map(|at: u32| (at / 7) as u8).collect();
    let place = Path::parse("photos/in/a b+ü.jpg").unwrap();
    let put = objects.stores[0].store.put(&place, PutPayload::from(photo.clone()));
    runtime.block_on(put).unwrap();

    let read = |uri: &str, most| read(&objects, uri, most);
    assert!(read("s3://returns/photos/in/a%20b+%C3%BC.jpg", 4 << 20) == Ok(photo), "too long to be shown");
    assert_eq!(read("s3://returns/photos/in/a%20b+%C3%BC.jpg", 2 << 20), Err(Reason::TooManyBytes));
    assert_eq!(read("s3://returns/photos/none.jpg", 5), Err(Reason::Missing));
    assert_eq!(read("s3://returns/others/a.jpg", 5), Err(Reason::ForbiddenReference));
    let nowhere = self::objects("s3://no-such-bucket", &variables).unwrap();
    assert_eq!(self::read(&nowhere, "s3://no-such-bucket/a.jpg", 5), Err(Reason::Missing));
}

#[test]
fn photos_are_read_over_http() {
    let server = server(|request| match request.split(' ').nth(1) {
        Some("/photos/a%20b.jpg") => said("200 OK", "", "photo"),
        Some("/photos/secret.jpg") => said("403 Forbidden", "", ""),
        Some("/photos/away.jpg") => said("302 Found", "location: /photos/a%20b.jpg\r\n", ""),
        _ => said("404 Not Found", "", ""),
    });
    let objects = objects(&format!("{server}/photos"), &[]).unwrap();
    let at = |name: &str| format!("{server}/photos/{name}");
    assert_eq!(read(&objects, &at("a%20b.jpg"), 5), Ok(b"photo".to_vec()));
    assert_eq!(read(&objects, &at("a%20b.jpg"), 4), Err(Reason::TooManyBytes));
    assert_eq!(read(&objects, &at("none.jpg"), 5), Err(Reason::Missing));
    assert_eq!(read(&objects, &at("secret.jpg"), 5), Err(Reason::Unreadable));
    let away = failure(&objects, &at("away.jpg"), 5).unwrap_err();
    assert!(away.message.contains("redirects aren't followed"), "{away}");
    assert_eq!(away.reason, Reason::Unreadable);
}

/// Of an event: its photo, if it is the one that the event was made for.
#[test]
fn what_an_event_refers_to_comes_from_the_stores() {
    let server = server(|request| match request.split(' ').nth(1) {
        Some("/photos/a.jpg") => said("200 OK", "", "photo"),
        _ => said("404 Not Found", "", ""),
    });
    let log = Embedded::in_memory().unwrap();
    let fetcher = Fetcher::new(&[], &[format!("{server}/photos")], 10, &log).unwrap();
    let fetch = |uri: String, content: &[u8]| {
        let mut event = ImageEvent {
            event_id: "1".into(),
            source: "a test".into(),
            name: "a.jpg".into(),
            uri: Some(uri),
            sha256: sha256(content),
            length: 5,
            ..ImageEvent::default()
        };
        let fetched = fetcher.fetch(&mut event, &Shutdown::new()).unwrap().unwrap();
        fetched.map_err(|failure| failure.reason)
    };
    assert_eq!(fetch(format!("{server}/photos/a.jpg"), b"photo"), Ok(b"photo".to_vec()));
    assert_eq!(fetch(format!("{server}/photos/a.jpg"), b"other"), Err(Reason::ContentChanged));
    assert_eq!(fetch(format!("{server}/photos/none.jpg"), b"photo"), Err(Reason::Missing));
    assert_eq!(fetch(format!("{server}/others/a.jpg"), b"photo"), Err(Reason::ForbiddenReference));
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let answers = |broken: usize| {
        let asked = AtomicUsize::new(0);
        server(move |_| match asked.fetch_add(1, Relaxed) {
            asked if asked < broken => said("200 OK", "", "photo").replace("length: 5", "length: 9"),
            _ => said("200 OK", "", "photo"),
        })
    };
    for (broken, expected) in [(3, Ok(b"photo".to_vec())), (4, Err(Reason::Unreadable))] {
        let server = answers(broken);
        let objects = objects(&server, &[]).unwrap();
        assert_eq!(read(&objects, &format!("{server}/a.jpg"), 9), expected);
    }
}

/// By chunks, which are read whatever the length says.
#[test]
fn a_store_that_sends_more_than_it_says_is_not_read_to_the_end() {
    let server = server(|_| {
        let headers = "content-length: 10\r\ntransfer-encoding: chunked\r\nconnection: close\r\n";
        format!("HTTP/1.1 200 OK\r\n{headers}\r\n{}0\r\n\r\n", "5\r\nphoto\r\n".repeat(3))
    });
    let objects = objects(&server, &[]).unwrap();
    assert_eq!(read(&objects, &format!("{server}/a.jpg"), 10), Err(Reason::TooManyBytes));
}

#[test]
fn a_connection_that_no_file_is_left_for_is_no_dead_letter() {
    let cause = io::Error::from(rustix::io::Errno::MFILE);
    let error = Error::Generic { store: "HTTP", source: Box::new(cause) };
    assert!(matches!(Trouble::from(error), Trouble::Passing(cause) if is_out_of_files(&cause)));
}

/// Whatever is wrong with a store, its worker goes on, and the dead letter tells what it was.
#[test]
fn a_dead_store_holds_nobody_for_long() {
    // Where a client sits, nobody listens, and nobody can begin to.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let closed = client.local_addr().unwrap();
    let ill = server(|_| said("503 Slow Down", "", "busy"));
    for (server, cause) in [(format!("http://{closed}"), "refused"), (ill, "503")] {
        let variables = [("AWS_ENDPOINT_URL", server.as_str()), ("AWS_ALLOW_HTTP", "true")];
        let keys = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let s3 = objects("s3://returns", &[variables, keys].concat()).unwrap();
        let http = objects(&server, &[]).unwrap();
        for (objects, uri) in [(s3, "s3://returns/a.jpg".into()), (http, format!("{server}/a.jpg"))] {
            let begun = Instant::now();
            let failure = failure(&objects, &uri, 5).unwrap_err();
            assert_eq!(failure.reason, Reason::Unreadable);
            assert!(failure.message.to_lowercase().contains(cause), "{failure}");
            assert!(!failure.message.contains("secret"), "{failure}");
            assert!(begun.elapsed() < LONGEST, "{:?}", begun.elapsed());
        }
    }
}

/// Without the limit this would take as long as the store likes.
#[test]
fn a_store_that_says_a_byte_now_and_then_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0, "the request comes first");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").unwrap();
        while stream.write_all(b".").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let mut objects = objects(&server, &[]).unwrap();
    objects.longest = Duration::from_millis(300);
    let failure = failure(&objects, &format!("{server}/a.jpg"), 1 << 20).unwrap_err();
    assert_eq!(failure.message, "not read within 300ms");
}
