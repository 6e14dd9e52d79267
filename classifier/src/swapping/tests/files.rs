use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use crate::Trial;

const CHILD: &str = "SWAPPING_TEST_CHILD";

/// In a process of its own, called by the test below: other tests need files.
#[test]
fn a_child_that_gets_no_more_files() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = registered(folder.path(), &[means()]).load("means", 1).unwrap();
    let registered = config(folder.path(), "means@production");
    let in_a_folder = Config { model: Source::Folder(folder.path().join("0")), ..registered.clone() };
    let trial = Trial { program: "true".into(), arguments: Vec::new() };
    let tried = Config { trial: Some(trial), ..registered.clone() };
    let (metrics, runtime, shutdown) = (metrics(), Runtime::of_the_clone(), Shutdown::new());
    let open = |config: &Config| Opening::of(config, &runtime, &metrics, &shutdown).map(drop);
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: before.maximum }).unwrap();
    let workshop = Workshop { config: &tried, runtime: &runtime, shutdown: &shutdown, like: None };
    let prepared = workshop.prepare(model).map(drop).map_err(Error::or_out_of_files);
    let begun = [open(&registered), open(&in_a_folder), prepared];
    setrlimit(Resource::Nofile, before).unwrap();
    for begun in begun {
        assert!(matches!(begun, Err(Error::OutOfFiles(_))), "{begun:?}");
    }
    println!("\nno model's fault");
}

#[test]
fn a_model_that_no_file_is_left_for_is_not_at_fault() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "swapping::tests::files::a_child_that_gets_no_more_files", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("no model's fault"), "{said}");
}

#[test]
fn who_lacks_files_at_the_start_does_not_go_back_to_the_former_version() {
    at_the_start(&[means(), negatives()], |fickle, workshop| {
        *fickle.giving.lock() = Some(no_file);
        let begun = following(fickle).begin(workshop).map(drop);
        assert!(matches!(begun, Err(Error::OutOfFiles(_))), "{begun:?}");
    });
}
