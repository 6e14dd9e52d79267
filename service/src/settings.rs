//! Settings in layers: defaults < `autorma.toml` < environment < flags. Every problem is found in one pass and
//! reported together; every value knows where it comes from.
//!
//! A crate reads its settings into a struct of its own:
//!
//! ```
//! use std::time::Duration;
//! use autorma_service::settings::{Key, Layer, Settings};
//!
//! let flags = Layer::new("flag").with("classifier.batch_size", "8", "--batch-size");
//! let mut settings = Settings::new(vec![flags]);
//! let size: usize = settings.get(&Key::new("classifier.batch_size", "10", "images a micro-batch"), 1..=256);
//! let wait: Duration = settings.get(&Key::new("classifier.max_wait", "5ms", "how long the first waits"), ..);
//! assert_eq!((size, wait), (8, Duration::from_millis(5)));
//! settings.finish().unwrap();
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// One setting: its name in the file (`classifier.batch_size`), from which the environment's name follows
/// (`AUTORMA_CLASSIFIER_BATCH_SIZE`), its default and what it is.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The dotted name.
    pub name: &'static str,
    /// The default, as it would be written.
    pub default: &'static str,
    /// What it means, in a few words.
    pub about: &'static str,
    /// Whether the value must never be printed.
    pub secret: bool,
    /// Another environment variable that is honoured, of the contract of the system that autorma replaces.
    pub alias: Option<&'static str>,
}

impl Key {
    /// A setting that may be printed.
    pub const fn new(name: &'static str, default: &'static str, about: &'static str) -> Self {
        Self { name, default, about, secret: false, alias: None }
    }

    /// A setting that must never be printed.
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// A setting that another environment variable sets as well.
    pub const fn alias(self, variable: &'static str) -> Self {
        Self { alias: Some(variable), ..self }
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("AUTORMA_{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// Values from one place, by dotted name or, in the environment, by variable.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    place: String,
    /// By name: the value as text and where exactly it stands.
    values: BTreeMap<String, (String, String)>,
    /// Whether a name that nobody asks for is a mistake.
    closed: bool,
}

impl Layer {
    /// An empty layer whose unknown names are mistakes.
    pub fn new(place: impl Into<String>) -> Self {
        Self { place: place.into(), closed: true, ..Self::default() }
    }

    /// Sets a value; `origin` says where it stands, for people (`--batch-size`, `autorma.toml`).
    pub fn with(mut self, name: &str, value: impl Into<String>, origin: &str) -> Self {
        self.values.insert(name.into(), (value.into(), origin.into()));
        self
    }
}

/// A value that a setting can have.
pub trait Value: Sized + PartialOrd + fmt::Debug {
    /// What is allowed, in a few words.
    const ALLOWED: &'static str;
    /// Reads it, `None` if it can't be read.
    fn parse(text: &str) -> Option<Self>;
    /// As it would be written.
    fn show(&self) -> String;
}

/// The layers, what was asked of them and what was wrong.
#[derive(Debug, Default)]
pub struct Settings {
    /// The strongest last.
    layers: Vec<Layer>,
    effective: Vec<Effective>,
    problems: Vec<Problem>,
}

/// A setting as it is in force.
#[derive(Debug, Clone, Serialize)]
pub struct Effective {
    /// The dotted name.
    pub key: String,
    /// The value, `"(hidden)"` if it is a secret that is set.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
    /// What it means.
    pub about: String,
}

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The dotted name.
    pub key: String,
    /// The value, hidden if it is a secret.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:?} (from {}): {}", self.key, self.value, self.origin, self.allowed)
    }
}

/// Every problem of the settings.
#[derive(Debug, thiserror::Error)]
pub struct Invalid(pub Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} problem(s):", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl Settings {
    /// Settings from layers, the strongest last.
    pub fn new(layers: Vec<Layer>) -> Self {
        Self { layers, ..Self::default() }
    }

    /// The value in force, within `allowed`. A value that isn't allowed is noted, and the default returned so that
    /// the other settings are looked at too.
    pub fn get<T: Value>(&mut self, key: &Key, allowed: impl RangeBounds<T> + fmt::Debug) -> T {
        self.get_if(key, |value: &T| {
            if allowed.contains(value) {
                Ok(())
            } else {
                Err(format!("{} within {}", T::ALLOWED, range(&allowed)))
            }
        })
    }

    /// The value in force, if `check` finds nothing wrong with it; it says what is allowed.
    pub fn get_if<T: Value>(&mut self, key: &Key, check: impl Fn(&T) -> Result<(), String>) -> T {
        let (text, origin) = self.find(key).unwrap_or((key.default.into(), "default".into()));
        let hidden = |text: &str| {
            if key.secret && !text.is_empty() { "(hidden)".into() } else { text.to_owned() }
        };
        let value = T::parse(&text).ok_or_else(|| T::ALLOWED.to_owned());
        let checked = value.and_then(|value| check(&value).map(|()| value));
        let effective = |value: String, origin| Effective {
            key: key.name.into(),
            value,
            origin,
            about: key.about.into(),
        };
        match checked {
            Ok(value) => {
                self.effective.push(effective(hidden(&value.show()), origin));
                value
            }
            Err(allowed) => {
                self.effective.push(effective(hidden(&text), origin.clone()));
                self.problems.push(Problem { key: key.name.into(), value: hidden(&text), origin, allowed });
                T::parse(key.default).expect("defaults are valid")
            }
        }
    }

    /// The settings asked for so far, in the order of asking.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// Every problem, among them names that nobody asked for.
    pub fn finish(&self) -> Result<(), Invalid> {
        let known = |name: &str| self.effective.iter().any(|setting| setting.key == name);
        let unknown = self.layers.iter().filter(|layer| layer.closed).flat_map(|layer| &layer.values);
        let unknown = unknown.filter(|(name, _)| !known(name)).map(|(name, (value, origin))| Problem {
            key: name.clone(),
            value: value.clone(),
            origin: origin.clone(),
            allowed: "there is no such setting; `autorma config` lists them".into(),
        });
        let problems: Vec<_> = self.problems.iter().cloned().chain(unknown).collect();
        if problems.is_empty() { Ok(()) } else { Err(Invalid(problems)) }
    }

    fn find(&self, key: &Key) -> Option<(String, String)> {
        let names = [Some(key.name.to_owned()), Some(key.variable()), key.alias.map(str::to_owned)];
        let found = |layer: &Layer| names.iter().flatten().find_map(|name| layer.values.get(name).cloned());
        self.layers.iter().rev().find_map(found)
    }
}

fn range<T: Value>(range: &impl RangeBounds<T>) -> String {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let show = |bound| match bound {
        Included(value) | Excluded(value) => T::show(value),
        Unbounded => String::new(),
    };
    format!("{}..{}", show(range.start_bound()), show(range.end_bound()))
}

macro_rules! parsed {
    ($($kind:ty: $allowed:literal),*) => {$(
        impl Value for $kind {
            const ALLOWED: &'static str = $allowed;
            fn parse(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

parsed!(usize: "a whole number", u64: "a whole number", u32: "a whole number", u16: "a whole number",
        f64: "a number", bool: "true or false", String: "a text");

impl Value for PathBuf {
    const ALLOWED: &'static str = "a path";
    fn parse(text: &str) -> Option<Self> {
        Some(PathBuf::from(text))
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Duration {
    const ALLOWED: &'static str = "a duration like 5ms, 2s, 10m, 1h or 7d";
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let unit = text.find(|c: char| c.is_alphabetic())?;
        let number: f64 = text[..unit].trim().parse().ok()?;
        let seconds = match &text[unit..] {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        Duration::try_from_secs_f64(number * seconds).ok()
    }
    fn show(&self) -> String {
        format!("{self:?}")
    }
}
