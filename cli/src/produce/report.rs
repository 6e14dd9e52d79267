use std::path::Path;

use autorma_schemas::readable;
use serde::Serialize;

use crate::photo::Photo;
use crate::table::printable;
use crate::words::counted;

/// What `autorma produce` says.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) run_id: Option<String>,
    pub(super) published: usize,
    pub(super) failed: Vec<Failed>,
    pub(super) events: Vec<Published>,
}

#[derive(Debug, Serialize)]
pub(super) struct Published {
    pub(super) file: String,
    pub(super) event_id: String,
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Failed {
    pub(super) file: String,
    pub(super) error: String,
}

impl Published {
    pub(super) fn of(file: &Path, photo: &Photo) -> Self {
        Self {
            file: readable(file.as_os_str()),
            event_id: photo.event_id(),
            sha256: photo.sha256.clone(),
            bytes: photo.length,
        }
    }
}

impl Report {
    /// A file can't be published.
    pub(super) fn failed(&mut self, file: String, error: String) {
        tracing::error!(file, error, "not published");
        self.failed.push(Failed { file, error });
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let of_run = match &self.run_id {
            Some(run) => format!(" in the run {}", printable(run)),
            None => String::new(),
        };
        let failed = match self.failed.len() {
            0 => String::new(),
            count => format!("; {} can't be published: the log says why", counted(count, "file")),
        };
        format!("{} published{of_run}{failed}.\n", counted(self.published, "photo"))
    }
}
