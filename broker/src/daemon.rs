//! The Kafka of `make kafka`: one node that outlives whoever starts it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cluster::{Cluster, Options},
    error::{Doing, Error},
    node,
};

const GRACE: Duration = Duration::from_secs(30);

/// A broker that was started in a folder and lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Its process.
    pub pid: u32,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    folder: PathBuf,
}

impl Daemon {
    /// The broker whose data is in this folder, if it lives.
    pub fn find(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let text = fs::read_to_string(pid_file(&folder)).ok()?;
        let (pid, port) = text.trim().split_once(' ')?;
        let found = Self { pid: pid.parse().ok()?, port: port.parse().ok()?, folder };
        found.lives().then_some(found)
    }

    /// Starts a broker with its data in this folder and waits until it answers.
    ///
    /// # Errors
    ///
    /// If one runs already, the port is taken, or Kafka doesn't start.
    pub fn start(folder: &Path, port: u16) -> Result<Self, Error> {
        if let Some(found) = Self::find(folder) {
            let (pid, port) = (found.pid, found.port);
            return Err(Error(format!("Kafka runs already, at 127.0.0.1:{port}, as process {pid}")));
        }
        let options = Options { folder: Some(folder.to_owned()), ports: Some(port), ..Options::default() };
        let cluster = Cluster::prepare(&options)?;
        let node = cluster.node(0)?;
        let log =
            fs::File::options().append(true).create(true).open(&node.log).doing("cannot open the log")?;
        let from = node::length(&node.log);
        let server = node.server()?;
        // nohup, and a group of its own: neither the terminal's end nor Ctrl-C reaches it.
        use std::os::unix::process::CommandExt;
        let mut child = Command::new("nohup")
            .arg(server.get_program())
            .args(server.get_args())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().doing("cannot open the log")?)
            .stderr(log)
            .spawn()
            .doing("cannot run nohup")?;
        let folder = cluster.folder().to_owned();
        let started = Self { pid: child.id(), port, folder };
        let text = format!("{} {port}\n", started.pid);
        let result = fs::write(pid_file(&started.folder), text)
            .doing("cannot write the pid file")
            .and_then(|()| node::wait_for_start(&node.log, from, || matches!(child.try_wait(), Ok(None))));
        if let Err(error) = result {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        Ok(started)
    }

    /// Ends it in an orderly way; one that doesn't end is killed.
    ///
    /// # Errors
    ///
    /// If it can't be signalled.
    pub fn stop(self) -> Result<(), Error> {
        self.signal("TERM")?;
        let deadline = Instant::now() + GRACE;
        while self.lives() {
            if Instant::now() > deadline {
                self.signal("KILL")?;
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        fs::remove_file(pid_file(&self.folder)).doing("cannot remove the pid file")
    }

    fn signal(&self, name: &str) -> Result<(), Error> {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid.to_string()]).status();
        match status.doing("cannot run kill")?.success() {
            true => Ok(()),
            false => Err(Error(format!("cannot send SIG{name} to process {}", self.pid))),
        }
    }

    /// Whether the process is this folder's Kafka, not one that has got its number later.
    fn lives(&self) -> bool {
        let settings = self.folder.join("node-1/server.properties");
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words: Vec<_> = line.split(|&byte| byte == 0).collect();
        words.contains(&b"kafka.Kafka".as_slice()) && words.contains(&settings.as_os_str().as_encoded_bytes())
    }
}

fn pid_file(folder: &Path) -> PathBuf {
    folder.join("pid")
}
