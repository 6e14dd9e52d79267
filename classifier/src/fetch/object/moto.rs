//! Moto, a server that speaks S3, from PyPI: `classifier/tests/moto/requirements.txt`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// It ends when its standard input does: with the test's process, however that ends.
const SERVER: &str = "
import os, sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
os._exit(0)
";

/// A server of this test.
#[derive(Debug)]
pub(super) struct Moto {
    child: Child,
    /// Where it listens.
    pub(super) endpoint: String,
}

impl Moto {
    /// None where there is no Python, which CI must have.
    pub(super) fn start() -> Option<Self> {
        let there = Command::new("python3").arg("--version").output().is_ok();
        assert!(there || std::env::var_os("CI").is_none(), "there is no python3");
        if !there {
            eprintln!("skipped: there is no python3");
            return None;
        }
        let mut command = Command::new(environment().join("bin/python"));
        command.args(["-c", SERVER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Some(Self { child, endpoint: format!("http://127.0.0.1:{}", port.trim()) })
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Python with what is required.
fn environment() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(repository.join("scripts/venv.sh"));
    let output = command.args(["moto", "classifier/tests/moto/requirements.txt"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    repository.join("target/tools/moto/venv")
}
