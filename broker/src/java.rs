//! The Java that Kafka runs on.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use crate::{
    error::{Doing, Error},
    jars,
};

const OLDEST: u32 = 17;

/// A command that runs a class out of Kafka's jars; what is added becomes its arguments.
pub(crate) fn class(name: &str, options: &[&str]) -> Result<Command, Error> {
    let mut command = Command::new(program()?);
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]).args(options);
    command.arg("-cp").arg(jars::folder()?.join("*")).arg(name);
    Ok(command)
}

/// Runs one of Kafka's tools to its end. [`crate::Cluster::tool`] names the cluster too.
///
/// # Errors
///
/// If there is no Java or there are no jars; a tool that fails says so in its status.
pub fn tool(name: &str, args: &[&str]) -> Result<Output, Error> {
    class(name, &["-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"])?
        .args(args)
        .output()
        .doing(format_args!("cannot run {name}"))
}

fn program() -> Result<&'static Path, Error> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOUND.get_or_init(find) {
        Ok(program) => Ok(program),
        Err(error) => Err(Error::new(error)),
    }
}

fn find() -> Result<PathBuf, String> {
    let set = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let candidates = set.into_iter().chain([PathBuf::from("java")]);
    let mut told = String::from("there is no Java");
    for candidate in candidates {
        let Ok(output) = Command::new(&candidate).arg("-version").output() else { continue };
        let text = String::from_utf8_lossy(&output.stderr);
        match version(&text) {
            Some(version) if version >= OLDEST => return Ok(candidate),
            _ => told = format!("{} is too old", candidate.display()),
        }
    }
    Err(format!("{told}; install {OLDEST} or newer (on Debian: apt-get install openjdk-17-jre-headless)"))
}

/// The first number of `openjdk version "17.0.15"`. Java 8 calls itself 1.8, which is also older than 17.
fn version(text: &str) -> Option<u32> {
    let quoted = text.split("version \"").nth(1)?;
    let digits = quoted.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK"), Some(17));
        assert_eq!(version("Picked up JAVA_TOOL_OPTIONS: -Xint\njava version \"21\""), Some(21));
        assert_eq!(version("java version \"1.8.0_412\""), Some(1));
        assert_eq!(version("command not found"), None);
    }
}
