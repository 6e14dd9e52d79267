//! One node: its folder, its process, and what a test does to it.
//!
//! A shell stands between the test and Java. It holds the reading end of a pipe; when the test's process ends, however
//! it ends, the pipe is closed and the shell kills Java and removes the cluster's folder, if that is a temporary one.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::{Doing, Error},
    java,
};

/// Java starts within two seconds; on a machine that is busy with other tests it may take long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(20);
/// What Kafka logs when it answers requests.
const STARTED: &str = "Kafka Server started";

const KEEPER: &str = r#"
remove=$1 log=$2; shift 2
exec 3<&0
"$@" </dev/null >>"$log" 2>&1 3<&- &
java=$!
{ read -r word <&3
  [ "$word" = over ] && exit
  kill -9 "$java"
  [ -z "$remove" ] || rm -rf "$remove"
} >/dev/null 2>&1 &
exec 3<&-
echo "$java"
wait "$java"
"#;

#[derive(Debug)]
pub(crate) struct Node {
    properties: PathBuf,
    pub(crate) log: PathBuf,
    /// What to remove when the test's process dies.
    remove: Option<PathBuf>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    shell: Child,
    java: String,
    /// Where in the log this process began.
    from: usize,
}

impl Node {
    /// Writes the settings and formats the folder, if it isn't yet. `scram` are the users to begin with.
    pub(crate) fn prepare(
        folder: &Path,
        cluster: &str,
        settings: &str,
        scram: &[String],
        remove: Option<&Path>,
    ) -> Result<Self, Error> {
        fs::create_dir_all(folder).doing(format_args!("cannot create {}", folder.display()))?;
        let properties = folder.join("server.properties");
        fs::write(&properties, settings).doing("cannot write server.properties")?;
        if !folder.join("data/meta.properties").exists() {
            let path = properties.to_string_lossy();
            let mut args = vec!["format", "--cluster-id", cluster, "--config", &path];
            args.extend(scram.iter().flat_map(|user| ["--add-scram", user]));
            let output = java::tool("kafka.tools.StorageTool", &args)?;
            if !output.status.success() {
                let told = [output.stdout, output.stderr].concat();
                return Err(Error(format!("cannot format Kafka's data: {}", String::from_utf8_lossy(&told))));
            }
        }
        let log = folder.join("kafka.log");
        Ok(Self { properties, log, remove: remove.map(Path::to_owned), running: Mutex::default() })
    }

    /// The command that is Kafka.
    pub(crate) fn server(&self) -> Result<Command, Error> {
        let options = [
            "-Xmx512m",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        ];
        let mut command = java::class("kafka.Kafka", &options)?;
        command.arg(&self.properties);
        Ok(command)
    }

    /// Starts the process and doesn't wait.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let mut running = self.running();
        if running.is_some() {
            return Err(Error::new("this node runs already; kill it first"));
        }
        let from = length(&self.log);
        let server = self.server()?;
        let mut shell = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(self.remove.as_deref().unwrap_or(Path::new("")))
            .arg(&self.log)
            .arg(server.get_program())
            .args(server.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .doing("cannot run sh")?;
        let mut java = String::new();
        if let Some(stdout) = shell.stdout.take() {
            BufReader::new(stdout).read_line(&mut java).doing("cannot read Java's pid")?;
        }
        *running = Some(Running { shell, java: java.trim().to_owned(), from });
        Ok(())
    }

    /// Until it answers.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        let mut running = self.running();
        let Some(running) = running.as_mut() else { return Err(Error::new("this node doesn't run")) };
        wait_for_start(&self.log, running.from, || matches!(running.shell.try_wait(), Ok(None)))
    }

    /// Ends it at once. Nothing happens if it doesn't run.
    pub(crate) fn kill(&self) -> Result<(), Error> {
        let Some(mut running) = self.running().take() else { return Ok(()) };
        running.signal("KILL")?;
        running.bury()
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Whoever drops it can't be told; the shell stands by.
        let _ = self.kill();
    }
}

impl Running {
    fn signal(&mut self, name: &str) -> Result<(), Error> {
        // After its end, the number may be another process's.
        if !matches!(self.shell.try_wait(), Ok(None)) {
            return Ok(());
        }
        let kill = Command::new("kill").args([&format!("-{name}"), &self.java]).output();
        kill.doing("cannot run kill").map(drop)
    }

    /// Waits for the end and sends the shell's second half home.
    fn bury(&mut self) -> Result<(), Error> {
        let pipe = self.shell.stdin.take();
        self.shell.wait().doing("cannot wait for Kafka's end")?;
        if let Some(mut pipe) = pipe {
            let _ = pipe.write_all(b"over\n");
        }
        Ok(())
    }
}

/// The log's length in bytes.
pub(crate) fn length(log: &Path) -> usize {
    fs::metadata(log).map_or(0, |found| found.len() as usize)
}

/// Until the log, behind `from`, says that Kafka answers; an error if `alive` says no before.
pub(crate) fn wait_for_start(log: &Path, from: usize, mut alive: impl FnMut() -> bool) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lives = alive();
        let bytes = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default());
        if lives && text.contains(STARTED) {
            return Ok(());
        }
        if !lives || Instant::now() > deadline {
            let trouble: Vec<_> = text.lines().filter(|line| is_trouble(line)).collect();
            let told = if trouble.is_empty() { text.lines().collect() } else { trouble };
            let last = told[told.len().saturating_sub(15)..].join("\n");
            return Err(Error(format!("Kafka doesn't start; {} ends with\n{last}", log.display())));
        }
        thread::sleep(LOOK);
    }
}

fn is_trouble(line: &str) -> bool {
    ["ERROR", "WARN", "Exception", "Error"].iter().any(|word| line.contains(word))
}
