//! How the program ends.

use std::io;

use autorma_service::{Shutdown, signals};

/// Finished, but not with all: some images are dead letters, some photos couldn't be judged, something was found.
pub(crate) const DEAD_LETTERS: u8 = 2;

/// Ends the process on the spot if somebody insists: whatever isn't committed is done again by the next start.
pub(crate) fn at_once_if(insists: bool) {
    if insists {
        // What the shell reports for a process that SIGINT has ended.
        std::process::exit(130);
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
