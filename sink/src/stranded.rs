use autorma_schemas::Micros;

use crate::bookkeeping::Bookkeeping;

/// How many seconds the clocks of classifier and sink may be apart.
const APART: f64 = 5.0;

/// Complains of outcomes without a run that are in another output folder, in a run of the sink's own that isn't finished:
/// as long as no sink works there, they come into no results file.
#[derive(Debug, Default)]
pub(crate) struct Stranded {
    told: bool,
}

impl Stranded {
    /// The folder in which they are is put aside, and it was said: no sink can be started with it.
    pub(crate) fn are_put_aside(&mut self) {
        self.told = true;
    }

    /// Such an outcome, which was made at `done_at`. What is younger than the last finished run of the sink's own isn't in
    /// it, nor in an earlier one.
    pub(crate) fn look(&mut self, books: &Bookkeeping, done_at: Micros) {
        let is_in = |closed_at: Micros| done_at.seconds_since(closed_at) <= APART;
        let is_finished = books.outside_closed().is_some_and(is_in);
        if !is_finished && !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                "outcomes without a run wait in another output folder, in a run of the sink's own (outside_…) that is \
                 finished only there: start a sink with that folder (sink.output) once more, and let it work until the \
                 run's time (sink.run_length) is over; what has come without a run meanwhile is then in both folders"
            );
        }
    }
}
