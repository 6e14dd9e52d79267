//! Moto, a server that speaks S3, from PyPI: `classifier/tests/moto/requirements.txt`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const REQUIREMENTS: &str = include_str!("../../../tests/moto/requirements.txt");

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

/// Python with what is required, made anew when that changes. One process makes it, the others wait.
fn environment() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/moto");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let (venv, stamp) = (folder.join("venv"), folder.join("stamp"));
    if fs::read_to_string(&stamp).ok().as_deref() != Some(REQUIREMENTS) {
        let _ = fs::remove_file(&stamp);
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, REQUIREMENTS).unwrap();
        let mut install = Command::new(venv.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r"]);
        succeed(install.arg(&requirements));
        fs::write(&stamp, REQUIREMENTS).unwrap();
    }
    venv
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
