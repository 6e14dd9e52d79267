//! The signals that ask a process to stop.

use std::io;
use std::thread::Builder;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

/// Calls `on` with 1 at the first SIGTERM or SIGINT, with 2 at the second, and so on, on a thread of its own. From
/// now on, neither ends the process by itself.
pub fn install(on: impl Fn(u32) + Send + 'static) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
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
    Builder::new().name("signals".into()).spawn(move || runtime.block_on(listen))?;
    Ok(())
}
