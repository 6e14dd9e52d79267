//! Settings in layers: defaults < `autorma.toml` < `.env` < environment < flags. Every problem is found in one pass
//! and reported together; every value knows where it comes from.
//!
//! [`load()`] reads the layers. Then each crate reads its settings into a struct of its own, and at the end
//! [`Settings::finish`] tells what was wrong, a name that nobody asked for included:
//!
//! ```
//! use std::time::Duration;
//! use autorma_service::settings::{Key, Layer, Settings};
//!
//! let file = Layer::from_toml("[classifier]\nbatch_size = 12\nmax_wait = '10ms'", "autorma.toml").unwrap();
//! let flags = Layer::new("flags").with("classifier.batch_size", "8", "--batch-size");
//! let mut settings = Settings::new(vec![file, flags]);
//! let size: usize = settings.get(&Key::new("classifier.batch_size", "10", "images a micro-batch"), 1..=256);
//! let wait: Duration = settings.get(&Key::new("classifier.max_wait", "5ms", "how long the first waits"), ..);
//! assert_eq!((size, wait), (8, Duration::from_millis(10)));
//! assert_eq!(settings.effective()[1].origin, "autorma.toml:3");
//! settings.finish().unwrap();
//! ```
//!
//! The same setting is `batch_size` in the table `[classifier]` of the file, `AUTORMA_CLASSIFIER_BATCH_SIZE` in
//! `.env` and the environment, and the value of a flag. Some have an alias there as well, of the system that autorma
//! replaces (`BATCH_SIZE`); where both are in one layer, the alias is the weaker.
//!
//! Unknown names are problems in the file and among the flags; in `.env` and the environment only if they begin with
//! `AUTORMA_`. An empty value is a value.

mod environment;
mod file;
mod key;
mod layer;
mod load;
mod problem;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::RangeBounds;
use std::path::PathBuf;

use serde::Serialize;

pub use file::SyntaxError;
pub use key::{Key, Table};
pub use layer::Layer;
pub use load::{LoadError, load};
pub use problem::{Invalid, Problem};
pub use value::{Value, Verbatim};

/// The origin of what no layer says.
const DEFAULT: &str = "default";

/// The layers, what was asked of them and what was wrong.
#[derive(Debug, Default)]
pub struct Settings {
    /// The strongest last.
    layers: Vec<Layer>,
    effective: Vec<Effective>,
    problems: Vec<Problem>,
}

/// A setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// The dotted name.
    pub key: String,
    /// The value, `"(hidden)"` if it is a secret that is set.
    pub value: String,
    /// Where it comes from: `"default"`, or a place in one of the layers.
    pub origin: String,
    /// What it means.
    pub about: String,
}

/// What was read of a file that a setting names, or what is allowed instead.
pub fn readable<T>(read: io::Result<T>) -> Result<T, String> {
    read.map_err(|error| format!("a file that can be read ({error})"))
}

impl Settings {
    /// Settings from layers, the strongest last.
    pub fn new(layers: Vec<Layer>) -> Self {
        Self { layers, ..Self::default() }
    }

    /// The value in force, within `allowed`. A value that isn't allowed is noted, and the default returned so that
    /// the other settings are looked at too.
    pub fn get<T: Value>(&mut self, key: &Key, allowed: impl RangeBounds<T> + fmt::Debug) -> T {
        let within = |value: &T| allowed.contains(value);
        self.read(key, |text| T::parse(text).filter(within).ok_or_else(|| value::allowed(&allowed)))
    }

    /// The value in force, if `check` finds nothing wrong with it; otherwise it says what is allowed.
    pub fn get_if<T: Value>(&mut self, key: &Key, check: impl Fn(&T) -> Result<(), String>) -> T {
        self.read(key, |text| {
            let value = T::parse(text).ok_or_else(|| value::allowed::<T>(&..))?;
            check(&value).map(|()| value)
        })
    }

    /// A folder, which must have a name.
    pub fn folder(&mut self, key: &Key) -> PathBuf {
        self.get_if(key, |folder: &PathBuf| match folder {
            it if it.as_os_str().is_empty() => Err("a folder; . is the current one".into()),
            // Whoever removed a folder of that name would ask a shell to, which takes it for another.
            it if it.starts_with("~") => Err("a folder; ~ means nothing here, so write it out".into()),
            _ => Ok(()),
        })
    }

    /// All settings of a table, by the rest of their names: those of another program, which autorma passes on, or those
    /// whose names nobody knows beforehand. `check` says what is wrong with a name and its value; a secret's value is never
    /// shown. Names have small letters in the environment.
    pub fn table(
        &mut self,
        table: &Table,
        is_secret: impl Fn(&str) -> bool,
        check: impl Fn(&str, &str) -> Result<(), String>,
    ) -> BTreeMap<String, String> {
        let Table { prefix, rest, about, .. } = *table;
        let mut found = BTreeMap::new();
        for layer in &self.layers {
            found.extend(layer.below(table));
        }
        if found.is_empty() {
            let (key, origin, about) = (format!("{prefix}{rest}"), DEFAULT.into(), about.into());
            self.effective.push(Effective { key, value: String::new(), origin, about });
        }
        let mut values = BTreeMap::new();
        for (rest, entry) in found {
            let key = format!("{prefix}{rest}");
            let value = if is_secret(&rest) { "(hidden)".to_owned() } else { entry.value.clone() };
            let (origin, about) = (entry.origin.clone(), about.to_owned());
            match check(&rest, &entry.value) {
                Ok(()) => drop(values.insert(rest, entry.value)),
                Err(allowed) => {
                    let value = Some(value.clone());
                    self.problems.push(Problem { key: key.clone(), value, origin: origin.clone(), allowed });
                }
            }
            self.effective.push(Effective { key, value, origin, about });
        }
        values
    }

    /// Where the value in force of a setting that was asked for comes from; None if it is the default.
    pub fn origin(&self, key: &str) -> Option<&str> {
        let setting = self.effective.iter().find(|setting| setting.key == key)?;
        (setting.origin != DEFAULT).then_some(setting.origin.as_str())
    }

    /// Whether the value in force is that of the alias, which may mean other things to whoever has made it.
    pub fn is_by_alias(&self, key: &Key) -> bool {
        let layer = self.layers.iter().rev().find(|layer| layer.find(key).is_some());
        layer.is_some_and(|layer| layer.find_own(key).is_none())
    }

    /// The settings asked for so far, in the order of asking.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// Every problem, among them names that nobody asked for.
    pub fn finish(&self) -> Result<(), Invalid> {
        let known: Vec<&str> = self.effective.iter().map(|setting| setting.key.as_str()).collect();
        let of_layer = |layer: &Layer| [layer.problems.clone(), layer.unknown(&known)].concat();
        let problems: Vec<_> =
            self.problems.iter().cloned().chain(self.layers.iter().flat_map(of_layer)).collect();
        if problems.is_empty() { Ok(()) } else { Err(Invalid(problems)) }
    }

    fn read<T: Value>(&mut self, key: &Key, read: impl Fn(&str) -> Result<T, String>) -> T {
        let found = self.layers.iter().rev().find_map(|layer| layer.find(key));
        let found = found.map(|entry| (entry.value.clone(), entry.origin.clone()));
        let (text, origin) = found.unwrap_or_else(|| (key.default.into(), DEFAULT.into()));
        // Two crates may ask for the same setting: it is listed once.
        let first = self.effective.iter().all(|setting| setting.key != key.name);
        let mut list = |value: &str| {
            if first {
                self.effective.push(Effective {
                    key: key.name.into(),
                    value: key.printable(value),
                    origin: origin.clone(),
                    about: key.about.into(),
                });
            }
        };
        match read(&text) {
            Ok(value) => {
                list(&value.show());
                value
            }
            Err(allowed) => {
                // As it is shown where nothing is wrong with it: an address may hold a password.
                let shown = T::parse(&text).map_or(text, |value| value.show());
                list(&shown);
                let value = Some(key.printable(&shown));
                let problem = Problem { key: key.name.into(), value, origin, allowed };
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                T::parse(key.default).expect("defaults can be read")
            }
        }
    }
}
