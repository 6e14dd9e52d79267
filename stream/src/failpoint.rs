//! Places where a test may kill the process: at the moments that matter, inside the ways of committing.
//!
//! With the feature `failpoints`, `AUTORMA_FAILPOINT=log-after-commit:3` kills the process with SIGKILL when it comes
//! to the place `log-after-commit` for the third time. Without the feature a place is nothing at all.

/// The variable that says where to die: `name:times`.
pub const VARIABLE: &str = "AUTORMA_FAILPOINT";

/// The process is at the place `name`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &str) {}

/// The process is at the place `name`: it dies here if it is its turn.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PLAN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);
    let plan = PLAN.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?));
    if let Some((place, times)) = plan
        && place == name
        && HITS.fetch_add(1, Ordering::Relaxed) + 1 == *times
    {
        die();
    }
}

/// `name:times`; without a number, the first time.
#[cfg(feature = "failpoints")]
fn parse(plan: &str) -> Option<(String, u64)> {
    let (name, times) = plan.rsplit_once(':').unwrap_or((plan, "1"));
    Some((name.to_owned(), times.parse().ok()?))
}

/// As the kernel would do it when memory is short: nothing is cleaned up, nothing is said.
#[cfg(feature = "failpoints")]
fn die() -> ! {
    let pid = std::process::id().to_string();
    let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
    // The signal ends the process while it waits for `kill`; only a missing `kill` leads here.
    eprintln!("failpoint: {killed:?}");
    std::process::abort()
}
