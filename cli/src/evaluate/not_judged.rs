//! Photos that a model says nothing of, for people.

use autorma_evaluation::NotJudged;

use crate::table::printable;

/// A line each.
pub(crate) fn lines(all: &[NotJudged]) -> String {
    all.iter().map(|it| line("", it)).collect()
}

/// A line; `whom` says by which model, where several were asked.
pub(super) fn line(whom: &str, NotJudged { path, why }: &NotJudged) -> String {
    format!("not judged{whom}: {}: {}\n", printable(path), printable(why))
}
