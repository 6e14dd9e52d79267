//! The files that containers are made of, checked as far as that goes without an engine.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker").canonicalize().unwrap()
}

/// `docker/check.sh` on these files. None where there is no npm and this isn't CI.
fn check(files: &[(&str, &Path)]) -> Option<Output> {
    if Command::new("npm").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "there is no npm");
        eprintln!("skipped: there is no npm");
        return None;
    }
    Some(Command::new(folder().join("check.sh")).envs(files.iter().copied()).output().unwrap())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// First the files as they are, then each with a mistake, which must be found.
#[test]
fn compose_file_and_dockerfile_hold_together() {
    let Some(output) = check(&[]) else { return };
    assert!(output.status.success(), "{}", said(&output));
    let compose = [
        ("restart: unless-stopped", "restart: unless-stopped", ""),
        ("stop_grace_period: 60s\n    restart", "stop_grace: 60s\n    restart", "invalid-schema"),
        ("      kafka:\n        condition", "      kafkaa:\n        condition", "no kafkaa to depend on"),
        ("condition: service_completed_successfully", "condition: done", "invalid-schema"),
        ("--slot, \"2\"", "--slot, \"1\"", "have one slot"),
        ("\n  results:\n", "\n", "no volume results"),
        ("    healthcheck:\n      test", "    x-healthcheck:\n      test", "kafka has no health check"),
    ];
    let dockerfile = [
        ("COPY --from=build", "COPY --from=build", ""),
        ("COPY --from=build", "COPY --from=built", "no stage built"),
        ("USER autorma\n", "", "runs as root"),
        ("ENTRYPOINT", "ENTRYPOINTS", "Unknown instruction"),
        ("make program \\", "make program && (\\", "Syntax error"),
        ("docker/ready.sh", "docker/raedy.sh", "no docker/raedy.sh"),
    ];
    find("COMPOSE_FILE", "compose.yaml", &compose);
    find("DOCKERFILE", "Dockerfile", &dockerfile);
}

/// In a copy of the file with a mistake in it, the check finds that; what is empty is no mistake.
fn find(variable: &str, name: &str, mistakes: &[(&str, &str, &str)]) {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join(name);
    for (right, wrong, found) in mistakes {
        assert!(text.contains(right), "{right}");
        fs::write(&path, text.replacen(right, wrong, 1)).unwrap();
        let output = check(&[(variable, &path)]).unwrap();
        assert_eq!(output.status.success(), found.is_empty(), "{wrong:?}: {}", said(&output));
        assert!(said(&output).contains(found), "{wrong:?}: {}", said(&output));
    }
}

#[test]
fn the_health_check_believes_only_a_server_that_is_ready() {
    for (answer, is_ready) in [("200 OK", true), ("503 Service Unavailable", false), ("", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of it: who closes with something unread takes back what it has written.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            if !answer.is_empty() {
                stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).unwrap();
            }
            String::from_utf8(request).unwrap()
        });
        let check = || Command::new(folder().join("ready.sh")).arg(port.to_string()).output().unwrap();
        assert_eq!(check().status.success(), is_ready, "{answer}");
        assert!(server.join().unwrap().starts_with("GET /health/ready HTTP/1.1\r\n"));
        assert!(!check().status.success(), "nobody listens");
    }
}
