//! Photos that a model says nothing of.

use serde::Serialize;

use crate::table::printable;

/// One of them.
#[derive(Debug, Serialize)]
pub(crate) struct NotJudged {
    path: String,
    why: String,
}

impl NotJudged {
    /// A line each, for people.
    pub(crate) fn lines(all: &[Self]) -> String {
        all.iter().map(|it| line("", &it.path, &it.why)).collect()
    }
}

impl From<(String, String)> for NotJudged {
    fn from((path, why): (String, String)) -> Self {
        Self { path, why }
    }
}

/// A line for people; `whom` says by which model, where several were asked.
pub(super) fn line(whom: &str, path: &str, why: &str) -> String {
    format!("not judged{whom}: {}: {}\n", printable(path), printable(why))
}
