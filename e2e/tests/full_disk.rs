//! A full disk under the log, under the output and under the registry: a clear error, nothing lost, and an end once there
//! is space.
//!
//! The disks are small tmpfs mounts, which needs root; elsewhere the tests say that they were skipped. In CI that is
//! a failure.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use autorma_e2e::{Photos, Sandbox};
use autorma_models::handmade::write_ensemble;

/// A small file system, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "autorma-test"]).arg(at).status();
        let mounted = status.is_ok_and(|status| status.success());
        assert!(mounted || std::env::var_os("CI").is_none(), "a tmpfs can't be mounted");
        if !mounted {
            eprintln!("skipped: a tmpfs can't be mounted here");
        }
        mounted.then(|| Self(at.to_owned()))
    }

    /// How many bytes it has room for.
    fn free(&self) -> u64 {
        let free = Command::new("df").args(["--output=avail", "-B1"]).arg(&self.0).output().unwrap();
        let text = String::from_utf8(free.stdout).unwrap();
        text.lines().nth(1).unwrap().trim().parse().unwrap()
    }

    /// Fills it but for so many bytes.
    fn fill(&self, left: u64) {
        fs::write(self.0.join("ballast"), vec![0; self.free().saturating_sub(left) as usize]).unwrap();
    }

    fn make_space(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// Names of the photos, all of which must get their predictions in the end.
fn drop_in(sandbox: &Sandbox, photos: &Photos) -> BTreeSet<String> {
    sandbox.drop_photos(photos.good.iter().take(150).map(|(path, _)| path));
    (0..150).map(|number| format!("photo-{number:05}.jpg")).collect()
}

fn breaks_and_mends(sandbox: &Sandbox, disk: &Disk, names: &BTreeSet<String>, left: u64) {
    disk.fill(left);
    let ended = sandbox.run_batch().expect(1);
    assert!(ended.errors.contains("no space left"), "{}", ended.errors);
    assert!(ended.errors.contains("start again"), "{}", ended.errors);
    assert_eq!(ended.output, "");
    disk.make_space();
    sandbox.run_batch().expect(0);
    sandbox.results().expect(names, &BTreeSet::new()).unwrap();
}

#[test]
fn a_full_disk_under_the_log() {
    let Some(photos) = Photos::shared() else { return };
    for left in [0, 64 << 10, 400 << 10] {
        let sandbox = Sandbox::new();
        let Some(disk) = Disk::mount(&sandbox.data(), "8m") else { return };
        let names = drop_in(&sandbox, &photos);
        breaks_and_mends(&sandbox, &disk, &names, left);
    }
}

#[test]
fn a_full_disk_under_the_output() {
    let Some(photos) = Photos::shared() else { return };
    for left in [0, 16 << 10, 100 << 10] {
        let sandbox = Sandbox::new();
        let Some(disk) = Disk::mount(&sandbox.output(), "8m") else { return };
        let names = drop_in(&sandbox, &photos);
        breaks_and_mends(&sandbox, &disk, &names, left);
    }
}

/// The log is in the same folder, and a pipeline that goes on needs what room there is.
#[test]
fn a_full_disk_under_the_registry() {
    let sandbox = Sandbox::new();
    let Some(disk) = Disk::mount(&sandbox.data(), "8m") else { return };
    let folder = sandbox.path().join("model");
    // The last of its files has no room, whichever that is.
    let members = [1, 2, 3].map(|byte| (vec![byte; 1 << 20], 1.0));
    write_ensemble(&folder, "large", &members).unwrap();
    disk.fill(5 << 19);
    let free = disk.free();
    let register = || sandbox.run(&["models", "register", folder.to_str().unwrap()]);
    let ended = register().expect(1);
    assert!(ended.errors.contains("No space left"), "{}", ended.errors);
    assert_eq!(disk.free(), free, "what came to nothing takes room");
    disk.make_space();
    register().expect(0);
}
