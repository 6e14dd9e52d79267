use std::net::SocketAddr;

use crate::settings::{Key, Settings, Value};

const ADDRESS: Key = Key::new(
    "http.address",
    "127.0.0.1:9464",
    "where /metrics, /health/live and /health/ready are served, to everybody who can reach it; off: nowhere",
);

/// Where metrics and health are served.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// None: nowhere. Port 0: any that is free.
    pub address: Option<SocketAddr>,
}

impl Config {
    /// Reads `http.address`.
    pub fn read(settings: &mut Settings) -> Self {
        let Address(address) = settings.get(&ADDRESS, ..);
        Self { address }
    }
}

#[derive(Debug, PartialEq, PartialOrd)]
struct Address(Option<SocketAddr>);

impl Value for Address {
    const ALLOWED: &'static str = "an address with a port like 127.0.0.1:9464, or off";

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if matches!(text, "" | "off") {
            return Some(Address(None));
        }
        // The one name that needs no resolver.
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        numeric.as_deref().unwrap_or(text).parse().ok().map(|address| Address(Some(address)))
    }

    fn show(&self) -> String {
        self.0.map_or_else(|| "off".into(), |address| address.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Layer;

    #[test]
    fn addresses_and_off() {
        let read = |text: &str| {
            let mut settings = Settings::new(vec![Layer::new("flags").with("http.address", text, "--http")]);
            let address = Config::read(&mut settings).address;
            settings.finish().map(|()| address.map(|address| address.to_string()))
        };
        assert_eq!(read("0.0.0.0:80").unwrap().as_deref(), Some("0.0.0.0:80"));
        assert_eq!(read("[::1]:0").unwrap().as_deref(), Some("[::1]:0"));
        assert_eq!(read("localhost:9464").unwrap().as_deref(), Some("127.0.0.1:9464"));
        assert_eq!(read("off").unwrap(), None);
        assert_eq!(read("").unwrap(), None);
        let problem = read("9464").unwrap_err().to_string();
        assert!(problem.contains("an address with a port like 127.0.0.1:9464, or off"), "{problem}");
    }

    #[test]
    fn the_default_is_of_this_machine() {
        let address = Config::read(&mut Settings::default()).address.unwrap();
        assert!(address.ip().is_loopback());
    }
}
