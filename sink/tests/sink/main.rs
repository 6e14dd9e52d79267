//! The sink on a log in memory and a real folder.

mod contract;
mod crashes;
mod elsewhere;
mod faulty;
mod namesakes;
mod put_back;
mod runs;
mod shape;
mod strays;
mod telling;
mod vanished;
mod workplace;
