//! The signals that ask a process to stop, and one that would end it without a word.

use std::io;
use std::thread::Builder;

use rustix::process::Signal;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::threads;

/// Calls `on` with 1 at the first SIGTERM or SIGINT, with 2 at the second, and so on, on a thread of its own. From
/// now on, neither ends the process by itself.
pub fn install(on: impl Fn(u32) + Send + 'static) -> io::Result<()> {
    let runtime = reactor()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let listen = async move {
        for times in 1.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            on(times);
        }
    };
    let listening = Builder::new().name("signals".into()).spawn(move || runtime.block_on(listen));
    listening.map(drop).map_err(threads::refused)
}

/// From now on, a file that would grow larger than any may (`ulimit -f`) is an error for who writes it. Before, SIGXFSZ ends
/// the process.
pub fn let_writes_fail() -> io::Result<()> {
    let runtime = reactor()?;
    let _inside = runtime.enter();
    // Who is called at a signal stays, also when nobody listens any more.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

fn reactor() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_io().build()
}
