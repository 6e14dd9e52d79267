//! The embedded home of the log: one SQLite file that several processes of one machine share.
