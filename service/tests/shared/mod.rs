//! A process that may do less.

use std::process::Command;

/// A test of the program passes in a process that has these limits and a folder, named by a variable.
pub(crate) fn passes_under(limits: &str, test: &str, variable: &str) {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args(["-c", &format!("{limits}; exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}
