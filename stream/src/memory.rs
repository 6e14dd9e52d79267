//! The home of the log in memory, for fast tests.
