//! Kafka's jars: fetched by Maven, once for all processes, into `target/kafka/libs`.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{Doing, Error};

/// What Maven is asked for. A copy lies beside the jars, so that another version fetches again.
const POM: &str = include_str!("../pom.xml");

/// Where the jars, the leases of ports and the data of tests are: below the folder that Cargo builds in.
pub(crate) fn home() -> Result<PathBuf, Error> {
    let target = match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target"),
    };
    let home = target.join("kafka");
    fs::create_dir_all(&home).doing(format_args!("cannot create {}", home.display()))?;
    home.canonicalize().doing(format_args!("cannot find {}", home.display()))
}

/// The folder of the jars. Whoever comes first fetches them, others wait for it.
pub(crate) fn folder() -> Result<PathBuf, Error> {
    let home = home()?;
    let libs = home.join("libs");
    let lock = File::create(home.join("lock")).doing("cannot create the lock of Kafka's jars")?;
    lock.lock().doing("cannot lock Kafka's jars")?;
    if fs::read_to_string(libs.join("pom.xml")).is_ok_and(|pom| pom == POM) {
        return Ok(libs);
    }
    clear(&home);
    let work = tempfile::Builder::new()
        .prefix("fetch.")
        .tempdir_in(&home)
        .doing("cannot create a folder for Kafka's jars")?;
    fetch(work.path())?;
    // Others look for this file: it and the jars appear together.
    let fresh = work.path().join("libs");
    if libs.exists() {
        fs::rename(&libs, work.path().join("old")).doing("cannot replace Kafka's jars")?;
    }
    fs::rename(&fresh, &libs).doing("cannot put Kafka's jars in place")?;
    Ok(libs)
}

/// Removes what processes that were killed while they fetched have left; the lock is ours.
fn clear(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("fetch.") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn fetch(work: &Path) -> Result<(), Error> {
    let pom = work.join("pom.xml");
    fs::write(&pom, POM).doing("cannot write the pom")?;
    let libs = work.join("libs");
    eprintln!("fetching Apache Kafka");
    let fetched = Command::new("mvn")
        .args(["--batch-mode", "--quiet", "--strict-checksums", "--file"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", libs.display()))
        .output()
        .doing("cannot run mvn; install Maven (on Debian: apt-get install maven)")?;
    if !fetched.status.success() {
        let told = String::from_utf8_lossy(&fetched.stdout);
        return Err(Error(format!("mvn could not fetch Kafka ({}):\n{told}", fetched.status)));
    }
    fs::copy(&pom, libs.join("pom.xml")).doing("cannot keep the pom")?;
    Ok(())
}
