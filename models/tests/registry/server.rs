//! A real MLflow server, from PyPI: `models/tests/registry/requirements.txt`. It has users and passwords.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use autorma_broker::Port;
use tempfile::TempDir;

pub(crate) const USER: &str = "admin";
pub(crate) const PASSWORD: &str = "a password of a test";

/// The server and all that it starts end when standard input does: with the test's process, however that ends.
const WATCHED: &str = "
import os, signal, subprocess, sys
subprocess.Popen([sys.executable, '-m', 'mlflow', *sys.argv[1:]], stdin=subprocess.DEVNULL)
sys.stdin.read()
os.killpg(0, signal.SIGKILL)
";

/// How long a server may take to start: it reads a lot of Python.
const START: Duration = Duration::from_secs(240);

/// How a server is come to.
#[derive(Debug)]
pub(crate) struct Door {
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// Further options of `mlflow server`.
    pub(crate) options: Vec<String>,
    /// MLflow's setting of this name: the Python function that says who asks.
    pub(crate) authorization_function: &'static str,
}

/// A server of this test, on loopback.
#[derive(Debug)]
pub(crate) struct Mlflow {
    folder: TempDir,
    /// Ours while the server starts, for which it takes seconds, and while it is down.
    port: Port,
    door: Door,
    child: Option<Child>,
}

impl Mlflow {
    /// Without TLS, for those who have a name and a password. None where there is no Python, which CI must have.
    pub(crate) fn start() -> Option<Self> {
        let authorization_function = "mlflow.server.auth:authenticate_request_basic_auth";
        Self::start_with(|_| Door { scheme: "http", options: Vec::new(), authorization_function })
    }

    /// The same with another door, for which there may be files in the server's folder, where it finds Python's modules.
    pub(crate) fn start_with(door: impl FnOnce(&Path) -> Door) -> Option<Self> {
        let there = Command::new("python3").arg("--version").output().is_ok();
        assert!(there || std::env::var_os("CI").is_none(), "there is no python3");
        if !there {
            eprintln!("skipped: there is no python3");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = Port::any().unwrap();
        let door = door(folder.path());
        let users = folder.path().join("users.db");
        // To check a password takes half a second a request: one that was right is remembered.
        let auth = format!(
            "[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{}\nadmin_username = {USER}\n\
             admin_password = {PASSWORD}\nauth_cache_ttl_seconds = 3600\nauthorization_function = {}\n",
            users.display(),
            door.authorization_function
        );
        fs::write(folder.path().join("auth.ini"), auth).unwrap();
        let mut mlflow = Self { folder, port, door, child: None };
        mlflow.restart();
        Some(mlflow)
    }

    /// Starts it again where it was, with what it had.
    pub(crate) fn restart(&mut self) {
        let place = self.folder();
        let store = format!("sqlite:///{}", place.join("mlflow.db").display());
        let mut command = python();
        command.args(["-c", WATCHED, "server", "--backend-store-uri", &store, "--serve-artifacts"]);
        command.arg("--artifacts-destination").arg(self.artifacts());
        command.args(["--workers", "1", "--host", "127.0.0.1", "--port", &self.port.number.to_string()]);
        command.args(["--app-name", "basic-auth"]).args(&self.door.options);
        command.current_dir(place).env("PYTHONPATH", place).process_group(0);
        command.env("MLFLOW_AUTH_CONFIG_PATH", place.join("auth.ini"));
        command.env("MLFLOW_FLASK_SERVER_SECRET_KEY", "a secret of a test");
        command.env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false");
        let log = File::options().create(true).append(true).open(place.join("log")).unwrap();
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        while !self.answers() {
            let told = || fs::read_to_string(place.join("log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "{}", told());
            assert!(begun.elapsed() < START, "it doesn't start:\n{}", told());
            std::thread::sleep(Duration::from_millis(50));
        }
        self.child = Some(child);
    }

    /// SIGKILL, to all its processes.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.door.scheme, self.port.number)
    }

    /// What a program's environment says of where it is, and of who asks it.
    pub(crate) fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("MLFLOW_TRACKING_URI", self.url()),
            ("MLFLOW_TRACKING_USERNAME", USER.into()),
            ("MLFLOW_TRACKING_PASSWORD", PASSWORD.into()),
        ]
    }

    /// The folder of all that it has.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of its artifacts.
    pub(crate) fn artifacts(&self) -> PathBuf {
        self.folder().join("artifacts")
    }

    /// What a Python program says that uses `mlflow` as a client, `mlflow` and `sys` imported.
    #[track_caller]
    pub(crate) fn python(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = python();
        command.arg("-c").arg(format!("import mlflow, sys\n{program}")).args(arguments);
        command.envs(self.variables()).env("GIT_PYTHON_REFRESH", "quiet");
        let output = command.current_dir(self.folder()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port.number)) else { return false };
        if self.door.scheme == "https" {
            // It listens when it is ready; asking takes more than a stream.
            return true;
        }
        let mut answer = String::new();
        let asked = stream.write_all(b"GET /health HTTP/1.1\r\nHost: mlflow\r\nConnection: close\r\n\r\n");
        asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.contains(" 200 ")
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Without the tester's own settings.
fn python() -> Command {
    let mut command = Command::new(environment().join("bin/python"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MLFLOW_")) {
        command.env_remove(name);
    }
    command.env("MLFLOW_DISABLE_TELEMETRY", "true");
    command
}

/// Python with what is required.
fn environment() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(repository.join("scripts/venv.sh"));
    let output = command.args(["mlflow", "models/tests/registry/requirements.txt"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    repository.join("target/tools/mlflow/venv")
}
