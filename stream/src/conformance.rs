//! What every home of the log must hold, as tests that any home can run.
