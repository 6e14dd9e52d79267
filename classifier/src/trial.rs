//! Tries a model in a process of its own before anything else loads it. A model is a program that somebody else has
//! written: one may take all memory, never end, or make ONNX Runtime crash. Then it is that process that ends.

use std::fs;
use std::io::{self, BufRead, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use autorma_models::Model;
use autorma_service::Shutdown;
use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, nice, set_parent_process_death_signal, setrlimit,
};

use crate::{AT_ONCE, LoadError, Runtime, Session};

/// What a model may take beside four times its files, in bytes of address space: ONNX Runtime reads, optimizes and packs
/// it, and the process itself needs about half of this.
const MEMORY: u64 = 2 << 30;
/// Seconds of computing that it may take to load it and to ask it about a few pictures.
const COMPUTING: u64 = 30;
/// The stack for that, in bytes: half of what Rust gives a thread, on which it is loaded and asked later. What overflows that
/// one ends the process, so it must overflow this one. ONNX Runtime needs a fraction, unless calls are nested in calls.
const STACK: u64 = 1 << 20;
/// How long all of it may take, whatever else the machine does: it is nice, so that photos come first.
const PATIENCE: Duration = Duration::from_secs(1200);
/// How much is told of what is wrong, in characters. ONNX Runtime repeats names of the model, which may be of any length,
/// and who has asked reads nothing before the end: it must fit into a pipe.
const LONGEST: usize = 4000;
/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// How a model is tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// A program that calls [`sit`] when it is given these arguments.
    pub program: PathBuf,
    /// They say where ONNX Runtime is.
    pub arguments: Vec<PathBuf>,
}

impl Trial {
    /// How many pictures go into one call of the model ([`Session::at_once`]), if it can be loaded and says numbers of
    /// pictures; why not, otherwise. A shutdown ends it.
    pub(crate) fn passes(&self, model: &Model, shutdown: Option<&Shutdown>) -> Result<usize, LoadError> {
        let mut command = Command::new(&self.program);
        // Ctrl-C is for the one who asks.
        command.args(&self.arguments).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(LoadError::Process)?;
        let stdin = child.stdin.take();
        // One that doesn't read would hold up who writes for ever. Who has ended doesn't read either: that shows below.
        let write = move || drop(stdin.map(|mut stdin| model.write(&mut stdin)));
        let status = thread::scope(|scope| {
            let writing = Builder::new().spawn_scoped(scope, write).map_err(LoadError::Process);
            let ended = writing.and_then(|_| until_it_ends(&mut child, shutdown));
            // Where it hasn't ended by itself. Then nobody writes any more, either.
            drop(child.kill());
            child.wait().map_err(lost)?;
            ended
        })?;
        let mut said = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut said).map_err(lost)?;
        }
        match said.trim().parse() {
            Ok(at_once) if status.success() => Ok(at_once),
            _ => Err(LoadError::Trial(why(status, said))),
        }
    }
}

/// How it has ended; an error if nobody waits for that any more.
fn until_it_ends(child: &mut Child, shutdown: Option<&Shutdown>) -> Result<ExitStatus, LoadError> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(lost)? {
            return Ok(status);
        }
        let is_stopped = match shutdown {
            Some(shutdown) => !shutdown.sleep(LOOK),
            None => {
                thread::sleep(LOOK);
                false
            }
        };
        if is_stopped {
            return Err(LoadError::Trial("the process is ending".into()));
        }
        if begun.elapsed() > PATIENCE {
            return Err(LoadError::Trial("it has taken twenty minutes".into()));
        }
    }
}

fn lost(error: io::Error) -> LoadError {
    LoadError::Trial(format!("the process for it was lost: {error}"))
}

/// What has ended it.
fn why(status: ExitStatus, said: String) -> String {
    if !said.is_empty() {
        return said;
    }
    match status.signal() {
        Some(signal) if signal == Signal::XCPU.as_raw() => {
            format!(
                "the model has computed for {COMPUTING} seconds, or as long as it may here, without an end"
            )
        }
        _ => format!(
            "the model has crashed the process that tried it, or had too little memory there ({status})"
        ),
    }
}

/// The other side: reads a model from `from` and tries it, in a process that has nothing else to do. How many pictures go
/// into one call, or what is wrong with it, is for standard output.
pub fn sit(runtime: &Path, from: &mut impl BufRead) -> Result<usize, String> {
    let mut tried = || -> Result<Result<Session, LoadError>, io::Error> {
        // Whoever asked is gone: nobody wants to know any more.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Where memory runs out, this one is to go, if the system takes such wishes.
        drop(fs::write("/proc/self/oom_score_adj", "1000"));
        // Photos that are computed meanwhile come first.
        nice(5)?;
        limit(Resource::Core, 0)?;
        limit(Resource::Cpu, COMPUTING)?;
        limit(Resource::Stack, STACK)?;
        let model = Model::read(from, |bytes| limit(Resource::As, MEMORY + 4 * bytes))?;
        Ok(Runtime::load(runtime).and_then(|runtime| Session::load(&runtime, &model, AT_ONCE)))
    };
    match tried() {
        Ok(Ok(session)) => Ok(session.at_once()),
        Ok(Err(error)) => Err(error.to_string().chars().take(LONGEST).collect()),
        Err(error) => Err(format!("the model can't be tried: {error}")),
    }
}

/// The soft one; at the hard one, a second later, the kernel gives no signal that tells why. What holds already may be less,
/// and nobody may raise that.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let highest = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let maximum = highest.min(most + 1);
    let current = most.min(maximum.saturating_sub(1));
    Ok(setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })?)
}

#[cfg(test)]
mod tests {
    use autorma_models::handmade::{means, write};

    use super::*;

    #[test]
    fn a_process_that_does_not_read_holds_up_nobody_who_is_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("means");
        write(&folder, "means", &means()).unwrap();
        let mut model = Model::open(&folder).unwrap();
        // More than a pipe takes.
        model.onnx = vec![vec![0; 1 << 20]];
        let trial = Trial { program: "sleep".into(), arguments: vec!["60".into()] };
        let shutdown = Shutdown::new();
        shutdown.request();
        let said = trial.passes(&model, Some(&shutdown)).unwrap_err().to_string();
        assert_eq!(said, "the process is ending");
    }
}
