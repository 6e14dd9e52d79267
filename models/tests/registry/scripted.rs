//! What is made of answers that a real server gives seldom: here a server says what it is told to.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use autorma_models::MANIFEST;
use autorma_models::registry::{MlflowRegistry, Registry, RegistryError, Server};

use crate::suite::{Models, signed};

/// A server that says this to each request in turn, and what it was asked.
pub(crate) fn saying(answers: &[&str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    saying_bytes(answers.iter().map(|answer| answer.as_bytes().to_vec()).collect())
}

/// The same of answers that are no text.
fn saying_bytes(answers: Vec<Vec<u8>>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = move || {
        let answer = |answer: &Vec<u8>| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        };
        answers.iter().map(answer).collect()
    };
    (url, std::thread::spawn(asked))
}

/// A server's answer, of which this is JSON.
pub(crate) fn ok(json: &str) -> String {
    let length = json.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{json}")
}

/// The same of a file.
fn ok_file(path: &Path) -> Vec<u8> {
    let content = fs::read(path).unwrap();
    let length = content.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.into_bytes(), content].concat()
}

const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn a_version_that_a_passing_fault_has_hidden_is_found_again() {
    let (home, models) = (tempfile::tempdir().unwrap(), Models::new("mine", 1));
    let version = r#"{"version": "1", "source": "mlflow-artifacts:/1/r/artifacts/model", "status": "READY"}"#;
    let file = |name: &str| ok_file(&models.model(1).join(name));
    let versions = ok(&format!(r#"{{"model_versions": [{version}]}}"#));
    let model = ok(r#"{"registered_model": {"name": "mine"}}"#);
    // The versions; no manifest, as often as it is asked for; the model is there; so the version's files once more.
    let texts: [&str; 6] = [&versions, BUSY, BUSY, BUSY, BUSY, &model];
    let texts = texts.map(|text| text.as_bytes().to_vec());
    let (url, asked) = saying_bytes([&texts[..], &[file(MANIFEST), file("mine.onnx")]].concat());
    let here = MlflowRegistry::new(Server { url, ..Server::default() }, home.path()).unwrap();
    let registered = here.register(&models.model(1), &signed(""));
    assert_eq!(registered.map_err(|error| error.to_string()).map(|it| it.number), Ok(1));
    let asked = asked.join().unwrap();
    assert!(asked.iter().all(|request| request.starts_with("GET ")), "{asked:#?}");
}

#[test]
fn what_is_wrong_with_a_version_is_told_with_its_name_and_not_as_what_the_server_says() {
    let models = Models::new("mine", 1);
    let version = |tags: &str| {
        let source = r#""source": "mlflow-artifacts:/1/r/artifacts/model""#;
        let version = format!(r#"{{"version": "12", {source}, "status": "READY", "tags": [{tags}]}}"#);
        ok(&format!(r#"{{"model_version": {version}}}"#)).into_bytes()
    };
    let [manifest, mut changed] = [MANIFEST, "mine.onnx"].map(|name| ok_file(&models.model(1).join(name)));
    *changed.last_mut().unwrap() ^= 1;
    let lost = ok(r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No such artifact"}"#);
    let lost = lost.replace("200 OK", "404 NOT FOUND").into_bytes();
    let tag = r#"{"key": "autorma.manifest_sha256", "value": "another"}"#;
    for (name, tags, onnx, whose, advice) in [
        ("mine", tag, None, "the artifacts of mine/12 aren't", "register it anew"),
        ("yours", "", None, "the manifest of yours/12 is of the model \"mine\"", "name it yours"),
        ("mine", "", Some(changed), "mine.onnx of mine/12 is not", "register it anew"),
        ("mine", "", Some(lost), "mine.onnx of mine/12 isn't on the server", "register it anew"),
    ] {
        let answers = [Some(version(tags)), Some(manifest.clone()), onnx];
        let (url, asked) = saying_bytes(answers.into_iter().flatten().collect());
        let (cache, address) = (tempfile::tempdir().unwrap(), url.clone());
        let here = MlflowRegistry::new(Server { url, ..Server::default() }, cache.path()).unwrap();
        let error = here.load(name, 12).unwrap_err().to_string();
        let is_named = [&*address, whose].iter().all(|it| error.contains(*it));
        assert!(is_named && error.ends_with(advice), "{error}");
        assert!(["says", "unfinished"].iter().all(|it| !error.contains(it)), "{error}");
        asked.join().unwrap();
    }
}

#[test]
fn an_alias_that_another_has_moved_meanwhile_stays_as_it_is() {
    let models = Models::new("mine", 1);
    let version = r#"{"version": "1", "source": "mlflow-artifacts:/1/r/artifacts/model", "status": "READY"}"#;
    let version = ok(&format!(r#"{{"model_version": {version}}}"#));
    let naming = |number: &str| {
        let alias = format!(r#"{{"alias": "production", "version": "{number}"}}"#);
        ok(&format!(r#"{{"registered_model": {{"name": "mine", "aliases": [{alias}]}}}}"#))
    };
    let (mine, others) = (naming("1"), naming("2"));
    let (none, nobodys) = (ok("{}"), ok(r#"{"registered_model": {"name": "mine"}}"#));
    let refused = ok(r#"{"error_code": "BAD_REQUEST", "message": "UNIQUE constraint failed"}"#)
        .replace("200 OK", "400 BAD REQUEST");
    // The alias is moved, to which there are these answers.
    let point = |answers: &[&str]| {
        // The version and its files; the model, twice; the version's two tags; the note.
        let files = [MANIFEST, "mine.onnx"].map(|name| ok_file(&models.model(1).join(name)));
        let before: [&str; 5] = [&nobodys, &nobodys, &none, &none, &none];
        let after = before.iter().chain(answers).map(|it| it.as_bytes().to_vec());
        let version = std::iter::once(version.clone().into_bytes());
        let (url, asked) = saying_bytes(version.chain(files).chain(after).collect());
        let cache = tempfile::tempdir().unwrap();
        let here = MlflowRegistry::new(Server { url, ..Server::default() }, cache.path()).unwrap();
        let moved = here.point_from(None, "mine", "production", 1, &signed(""));
        (moved, asked.join().unwrap())
    };
    let of_another: [[&str; 3]; 2] = [[&refused, &others, &none], [BUSY, &others, &none]];
    for answers in of_another {
        let (moved, asked) = point(&answers);
        assert!(matches!(moved, Err(RegistryError::Moved { .. })), "{moved:?}");
        let note = asked.last().unwrap();
        assert!(note.starts_with("DELETE /api/2.0/mlflow/registered-models/delete-tag"), "{asked:#?}");
    }
    // The answer was lost; and nobody has moved it, so that it is moved again. Then the note is confirmed.
    let of_nobody: [&[&str]; 2] = [&[BUSY, &mine, &none], &[&refused, &nobodys, &none, &none]];
    for answers in of_nobody {
        assert_eq!(point(answers).0.unwrap().version, 1);
    }
}

#[test]
fn a_version_of_another_model_from_the_same_run_isnt_taken_for_what_was_registered() {
    let (home, models) = (tempfile::tempdir().unwrap(), Models::new("mine", 1));
    let version = |number: u64, source: &str| {
        format!(r#"{{"version": "{number}", "source": "{source}", "run_id": "r", "status": "READY"}}"#)
    };
    let elsewhere =
        format!(r#"{{"model_versions": [{}]}}"#, version(5, "mlflow-artifacts:/7/r/artifacts/model"));
    let made = format!(r#"{{"model_version": {}}}"#, version(1, "mlflow-artifacts:/1/r/artifacts/model"));
    let experiment = r#"{"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}}"#;
    let trained =
        r#"{"runs": [{"info": {"run_id": "r", "artifact_uri": "mlflow-artifacts:/1/r/artifacts"}}]}"#;
    let (none, made, experiment) = (ok("{}"), ok(&made), ok(experiment));
    let (trained, elsewhere) = (ok(trained), ok(&elsewhere));
    // No twin; the model; its experiment; the training's run; its two files; no twin; no answer; a version of it, but another
    // model's; the version.
    let answers: [&str; 10] =
        [&none, &none, &experiment, &trained, &none, &none, &none, BUSY, &elsewhere, &made];
    let (url, asked) = saying(&answers);
    let here = MlflowRegistry::new(Server { url, ..Server::default() }, home.path()).unwrap();
    let registered = here.register(&models.model(1), &signed(""));
    assert_eq!(registered.map_err(|error| error.to_string()).map(|it| it.number), Ok(1));
    let asked = asked.join().unwrap();
    let made = |request: &&String| request.starts_with("POST") && request.contains("model-versions/create");
    assert_eq!(asked.iter().filter(made).count(), 2, "{asked:#?}");
}

#[test]
fn a_list_whose_pages_never_end_is_no_list() {
    let page = ok(r#"{"registered_models": [], "next_page_token": "on"}"#);
    let (url, asked) = saying(&[&page, &page]);
    let cache = tempfile::tempdir().unwrap();
    let names = MlflowRegistry::new(Server { url, ..Server::default() }, cache.path()).unwrap().names();
    assert!(matches!(&names, Err(RegistryError::Refused { code, .. }) if code == "NOT_MLFLOW"), "{names:?}");
    assert!(asked.join().unwrap()[1].contains("page_token=on"));
}

#[test]
fn an_answer_that_drips_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").unwrap();
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let names = MlflowRegistry::new(Server { url, ..Server::default() }, cache.path()).unwrap().names();
    assert!(names.as_ref().is_err_and(RegistryError::is_away), "{names:?}");
}

#[test]
fn a_token_is_sent_and_a_server_that_is_busy_is_asked_again() {
    const LATER: &str = "HTTP/1.1 429 Later\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const NONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    const ELSEWHERE: &str = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let cache = tempfile::tempdir().unwrap();
    let ask = |answers: &[&str]| {
        let (url, asked) = saying(answers);
        let server = Server { url: format!("{url}/proxy/"), token: "secret".into(), ..Server::default() };
        (MlflowRegistry::new(server, cache.path()).unwrap().names(), asked.join().unwrap())
    };
    let (names, asked) = ask(&[BUSY, LATER, NONE]);
    assert!(names.unwrap().is_empty());
    assert_eq!(asked.len(), 3);
    for request in asked {
        assert!(request.starts_with("GET /proxy/api/2.0/mlflow/registered-models/search"), "{request}");
        assert!(request.to_lowercase().contains("authorization: bearer secret"), "{request}");
    }
    let (names, _) = ask(&[BUSY, BUSY, BUSY, BUSY]);
    assert!(names.unwrap_err().is_away());
    // A redirect would take the token elsewhere.
    let (names, _) = ask(&[ELSEWHERE]);
    assert!(matches!(names, Err(RegistryError::Refused { code, .. }) if code == "302"));
}
