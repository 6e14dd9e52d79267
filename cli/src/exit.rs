//! How the program ends.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::Duration;

use autorma_service::files::is_out_of_files;
use autorma_service::{Shutdown, signals};

/// Finished, but not with all: some images are dead letters, some photos couldn't be judged, something was found.
const NOT_ALL: u8 = 2;

/// How a command ends that has finished.
pub(crate) fn all_or_not(is_all: bool) -> ExitCode {
    if is_all { ExitCode::SUCCESS } else { NOT_ALL.into() }
}

/// What to do, behind an error that doesn't say it itself: who meets that the process may open no more files may be anybody.
pub(crate) fn advice(error: &anyhow::Error) -> &'static str {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    if causes.any(is_out_of_files) { "; allow the process more (ulimit -n)" } else { "" }
}

/// What the shell reports for a process that SIGINT has ended.
const INTERRUPTED: i32 = 130;

/// How long the last line may take.
const SAYING: Duration = Duration::from_millis(200);

/// Ends the process on the spot if somebody insists: whatever isn't committed is done again by the next start.
pub(crate) fn at_once_if(insists: bool) {
    if insists {
        // Whoever reads what is logged may hang, and nobody waits for that.
        let (tell, told) = channel();
        let say = move || {
            tracing::warn!("a second signal: ended at once, and what isn't committed is done again");
            tell.send(())
        };
        drop(Builder::new().spawn(say));
        told.recv_timeout(SAYING).unwrap_or_default();
        // Whoever becomes another program is gone at once. `std::process::exit`, for where there is no shell, lets libraries
        // free first what the threads of ONNX Runtime and librdkafka still use.
        drop(Command::new("sh").args(["-c", &format!("exit {INTERRUPTED}")]).exec());
        std::process::exit(INTERRUPTED);
    }
}

/// What the first SIGINT or SIGTERM asks to stop; the second ends the process on the spot.
pub(crate) fn stop_at_signals() -> io::Result<Shutdown> {
    let stop = Shutdown::new();
    let on_signal = stop.clone();
    signals::install(move |times| {
        at_once_if(times > 1);
        on_signal.request();
    })?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHILD: &str = "EXIT_TEST_CHILD";

    #[test]
    fn who_may_open_no_more_files_is_told_what_to_do() {
        const EMFILE: i32 = 24;
        let none_left = anyhow::Error::new(io::Error::from_raw_os_error(EMFILE)).context("sink");
        assert!(advice(&none_left).contains("ulimit -n"));
        assert_eq!(advice(&io::Error::other("the disk is dying").into()), "");
        let says_it = autorma_classifier::Error::OutOfFiles(io::Error::from_raw_os_error(EMFILE));
        assert_eq!(advice(&says_it.into()), "", "it isn't said twice");
    }

    /// In a process of its own, called by the test below: leaves something to whoever tidies up at the end.
    #[test]
    fn a_child_that_insists() {
        if std::env::var_os(CHILD).is_some() {
            print!("half a line");
            at_once_if(true);
        }
    }

    #[test]
    fn who_insists_ends_the_process_and_nobody_tidies_up() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "exit::tests::a_child_that_insists", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert_eq!(child.status.code(), Some(INTERRUPTED));
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(said.contains("running 1 test") && !said.contains("half a line"), "{said}");
    }
}
