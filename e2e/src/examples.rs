//! `examples/` with what it needs, installed as its README says: in a copy below `target`, once for all tests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::succeed;

/// A copy of `examples/` and of the schemas that it reads.
#[derive(Debug)]
pub struct Examples(PathBuf);

impl Examples {
    /// The copy, brought up to date.
    pub fn new() -> Self {
        let repository = repository();
        let examples = Self(repository.join("target/examples"));
        examples.alone(|| {
            for folder in ["examples", "schemas/avro"] {
                copy(&repository.join(folder), &examples.0.join(folder));
            }
        });
        examples
    }

    /// A file or folder of the copy.
    pub fn path(&self, place: &str) -> PathBuf {
        self.0.join("examples").join(place)
    }

    /// The Python that has what the examples require. None where it can't be had and this isn't CI.
    pub fn python(&self) -> Option<PathBuf> {
        if !works(Command::new("python3").args(["-c", "import ensurepip"])) {
            return missing("python3 with venv: install python3-venv");
        }
        let repository = repository();
        let mut install = Command::new(repository.join("scripts/venv.sh"));
        succeed(install.args(["examples", "examples/python/requirements.txt"]));
        Some(repository.join("target/tools/examples/venv/bin/python"))
    }

    /// Node, with what the examples require. None where it can't be had and this isn't CI.
    pub fn node(&self) -> Option<PathBuf> {
        if !works(Command::new("npm").arg("--version")) {
            return missing("Node with npm: install nodejs and npm");
        }
        let folder = self.path("node");
        self.once("node", &folder.join("package-lock.json"), || {
            succeed(Command::new("npm").args(["ci", "--silent"]).current_dir(&folder));
        });
        Some(PathBuf::from("node"))
    }

    /// kcat, which is installed if this process may. None where it can't be had and this isn't CI.
    pub fn kcat(&self) -> Option<PathBuf> {
        let is_there = || works(Command::new("kcat").arg("-V"));
        self.alone(|| {
            if is_there() || !works(Command::new("sh").args(["-c", "[ $(id -u) = 0 ] && command -v apt-get"]))
            {
                return;
            }
            let install = || works(Command::new("apt-get").args(["install", "--yes", "--quiet", "kcat"]));
            if !install() {
                works(Command::new("apt-get").args(["update", "--quiet"]));
                install();
            }
        });
        if is_there() { Some(PathBuf::from("kcat")) } else { missing("kcat: install it") }
    }

    /// Does it unless it was done with this pin before.
    fn once(&self, name: &str, pin: &Path, install: impl FnOnce()) {
        self.alone(|| {
            let done = self.0.join(format!("{name}.pin"));
            let pin = fs::read(pin).unwrap();
            if fs::read(&done).is_ok_and(|done| done == pin) {
                return;
            }
            install();
            fs::write(done, pin).unwrap();
        });
    }

    /// Does it while no other process does anything of the kind.
    fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        fs::create_dir_all(&self.0).unwrap();
        let lock = File::create(self.0.join("lock")).unwrap();
        lock.lock().unwrap();
        work()
    }
}

impl Default for Examples {
    fn default() -> Self {
        Self::new()
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn missing(what: &str) -> Option<PathBuf> {
    assert!(std::env::var_os("CI").is_none(), "there is no {what}");
    eprintln!("skipped: there is no {what}");
    None
}

/// Copies what is newer or isn't there; a process that runs a script keeps the script that it has begun.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true if ["node_modules", "__pycache__"].iter().any(|name| entry.file_name() == *name) => {}
            true => copy(&from, &to),
            false if fs::read(&from).ok() == fs::read(&to).ok() => {}
            false => drop(fs::copy(&from, &to).unwrap()),
        }
    }
}
