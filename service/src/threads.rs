//! Threads that the system doesn't give.

use std::io;

/// That it has given none, with what to do.
pub fn refused(error: io::Error) -> io::Error {
    let told = format!("no thread could be started: {error}; allow the process more (ulimit -u)");
    io::Error::new(error.kind(), told)
}
