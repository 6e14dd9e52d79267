//! Ports that nobody else takes while a broker, or another server of a test, is down.
//!
//! They lie below the range that the kernel gives to outgoing connections: from within it, a client that keeps knocking
//! at a dead broker's port would sooner or later be connected to itself, and hold the port. Between the processes of
//! tests, a locked file stands for each port.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    net::TcpListener,
};

use crate::{
    error::{Doing, Error},
    jars,
};

const LOWEST: u16 = 12_000;
const ATTEMPTS: usize = 1_000;

/// A port that is ours until this is dropped.
#[derive(Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    _lease: Option<File>,
}

impl Port {
    /// A port that is free now, and that nobody else takes who asks for one here.
    ///
    /// # Errors
    ///
    /// If none is free, or the folder for the leases can't be used.
    pub fn any() -> Result<Self, Error> {
        let folder = jars::home()?.join("ports");
        fs::create_dir_all(&folder).doing("cannot create the folder for ports")?;
        let highest = highest();
        for _ in 0..ATTEMPTS {
            // The standard library's only source of chance.
            let chance = RandomState::new().hash_one(0);
            let number = LOWEST + (chance % u64::from(highest - LOWEST)) as u16;
            let lease = File::create(folder.join(number.to_string())).doing("cannot lease a port")?;
            if lease.try_lock().is_ok() && is_free(number) {
                return Ok(Self { number, _lease: Some(lease) });
            }
        }
        Err(Error(format!("no port between {LOWEST} and {highest} is free")))
    }

    /// This port, and an error if somebody listens there.
    pub(crate) fn exactly(number: u16) -> Result<Self, Error> {
        if is_free(number) {
            Ok(Self { number, _lease: None })
        } else {
            Err(Error(format!("port {number} is taken by another program; choose another one")))
        }
    }
}

pub(crate) fn is_free(number: u16) -> bool {
    TcpListener::bind(("127.0.0.1", number)).is_ok()
}

/// Where the ports for outgoing connections begin.
fn highest() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .filter(|&begin| begin > LOWEST + 1_000)
        .unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once() {
        let ports: Vec<_> = (0..50).map(|_| Port::any().unwrap()).collect();
        let mut numbers: Vec<_> = ports.iter().map(|port| port.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }

    #[test]
    fn a_taken_port_is_refused() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = taken.local_addr().unwrap().port();
        let error = Port::exactly(number).unwrap_err();
        assert!(error.to_string().contains("is taken"), "{error}");
    }
}
