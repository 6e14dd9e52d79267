//! How the program ends.

/// Finished, but some images are dead letters.
pub(crate) const DEAD_LETTERS: u8 = 2;

/// Ends the process on the spot if somebody insists: whatever isn't committed is done again by the next start.
pub(crate) fn at_once_if(insists: bool) {
    if insists {
        // What the shell reports for a process that SIGINT has ended.
        std::process::exit(130);
    }
}
