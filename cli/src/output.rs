//! What the program prints: on standard output what was asked for, on standard error what is wrong.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use autorma_service::logging;
use serde::Serialize;

use crate::table::printable;

/// Whether standard error is a log in JSON by now.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Tells what has come of a command: JSON for scripts, or the text of it for people.
pub(crate) fn tell<R: Serialize>(
    json: bool,
    report: R,
    text: impl FnOnce(R) -> String,
) -> anyhow::Result<()> {
    if json { tell_scripts(&report) } else { print(&text(report)) }
}

/// Prints JSON.
pub(crate) fn tell_scripts(report: &impl Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(report)? + "\n"))
}

/// Writes to standard output. That whoever reads has gone, `autorma runs | head` for example, changes nothing of what was
/// done, and of the exit status.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    emit(text).or_else(|error| if is_broken_pipe(&error) { Ok(()) } else { Err(error) })
}

/// Writes to standard output, for those that go on until nobody reads; `println!` would panic then.
pub(crate) fn emit(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

/// Whether it is that nobody reads any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// From now on, standard error is a log in this format.
pub(crate) fn log_begins(format: logging::Format) {
    IS_JSON.store(format == logging::Format::Json, Ordering::Relaxed);
}

/// Says on standard error what is wrong, if anybody reads it; `eprintln!` would panic where nobody does. Who reads a log in
/// JSON there can't read anything else.
pub(crate) fn complain(what: &str) {
    // The log names the program, not the module, as who says it.
    if IS_JSON.load(Ordering::Relaxed) && tracing::enabled!(target: "autorma", tracing::Level::ERROR) {
        tracing::error!(target: "autorma", "{what}");
        return;
    }
    drop(writeln!(std::io::stderr(), "autorma: {}", printable_lines(what)));
}

/// Several lines without what would move the cursor: ONNX Runtime repeats the names that a model has.
fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::printable_lines;

    #[test]
    fn no_complaint_plays_with_the_terminal() {
        assert_eq!(printable_lines("a\u{1b}[2J\r\n  b"), "a\\u{1b}[2J\\u{d}\n  b");
    }
}
