use std::path::Path;

use jiff::Zoned;
use serde::{Deserialize, Serialize};

/// Who has a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The role.
    pub role: String,
    /// The process.
    pub process: u32,
    /// What it does, `autorma up` for example.
    pub command: String,
    /// Since when, in its local time with the offset from UTC, `2026-11-24 20:01:02+01:00`.
    pub since: String,
}

/// What a lock's file holds.
#[derive(Serialize, Deserialize)]
struct Content {
    process: u32,
    command: String,
    since: String,
}

impl Holder {
    pub(super) fn this_process(command: &str) -> String {
        let since = Zoned::now().strftime("%Y-%m-%d %H:%M:%S%:z").to_string();
        serde_json::json!(Content { process: std::process::id(), command: command.into(), since }).to_string()
    }

    /// Who holds the locked file. For an instant, a new holder hasn't written yet who it is.
    pub(super) fn read(path: &Path, role: &str) -> Self {
        let content = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Content { process, command, since } = content.unwrap_or_else(|| Content {
            process: 0,
            command: "a process that has just started".into(),
            since: "now".into(),
        });
        Self { role: role.into(), process, command, since }
    }
}
