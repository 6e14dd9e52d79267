use std::collections::BTreeMap;
use std::fmt;

use super::problem::{Problem, unknown};
use super::{Key, Table, key};

/// Values from one place, by dotted name or, in the environment, by variable.
#[derive(Clone, Default)]
pub struct Layer {
    place: String,
    naming: Naming,
    values: BTreeMap<String, Entry>,
    /// What was wrong already when it was read.
    pub(super) problems: Vec<Problem>,
}

/// How a layer calls its settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Naming {
    #[default]
    Dotted,
    Variables,
}

/// A value as text.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) value: String,
    /// Where exactly it stands.
    pub(super) origin: String,
    /// Whether it is a mistake if nobody asks for it; otherwise it may be meant for another program.
    pub(super) ours: bool,
}

impl Layer {
    /// An empty layer whose unknown names are mistakes.
    pub fn new(place: impl Into<String>) -> Self {
        Self { place: place.into(), ..Self::default() }
    }

    pub(super) fn of_variables(place: &str) -> Self {
        Self { naming: Naming::Variables, ..Self::new(place) }
    }

    /// Sets a value; `origin` says where it stands, for people (`--batch-size`, `autorma.toml:3`).
    pub fn with(mut self, name: &str, value: impl Into<String>, origin: &str) -> Self {
        self.insert(name, Entry { value: value.into(), origin: origin.into(), ours: true });
        self
    }

    /// Notes that what stands at `origin` can't be the value of `name`, and what is allowed.
    pub fn with_problem(mut self, name: &str, origin: &str, allowed: &str) -> Self {
        self.problem(name, origin, allowed);
        self
    }

    /// The same.
    pub(super) fn problem(&mut self, name: &str, origin: &str, allowed: &str) {
        let (key, origin, allowed) = (name.into(), origin.into(), allowed.into());
        self.problems.push(Problem { key, value: None, origin, allowed });
    }

    /// Returns what stood there by this name before.
    pub(super) fn insert(&mut self, name: &str, entry: Entry) -> Option<Entry> {
        self.values.insert(name.into(), entry)
    }

    pub(super) fn find(&self, key: &Key) -> Option<&Entry> {
        self.find_own(key).or_else(|| match self.naming {
            Naming::Dotted => None,
            Naming::Variables => self.values.get(key.alias?),
        })
    }

    /// The value by our own name, not by its alias.
    pub(super) fn find_own(&self, key: &Key) -> Option<&Entry> {
        match self.naming {
            Naming::Dotted => self.values.get(key.name),
            Naming::Variables => self.values.get(&key.variable()),
        }
    }

    /// The entries of a table, by the rest of the dotted name.
    pub(super) fn below(&self, table: &Table) -> Vec<(String, Entry)> {
        let variable = key::variable(table.prefix);
        let named = |rest: &str| match table.dotted {
            true => rest.to_lowercase().replace('_', "."),
            false => rest.to_lowercase(),
        };
        let rest = |name: &String| match self.naming {
            Naming::Dotted => name.strip_prefix(table.prefix).map(str::to_owned),
            Naming::Variables => name.strip_prefix(&variable).map(named),
        };
        self.values.iter().filter_map(|(name, entry)| Some((rest(name)?, entry.clone()))).collect()
    }

    /// Problems with names that aren't among the settings `names`.
    pub(super) fn unknown(&self, names: &[&str]) -> Vec<Problem> {
        let naming = |name: &&str| match self.naming {
            Naming::Dotted => (*name).to_owned(),
            Naming::Variables => key::variable(name),
        };
        let known: Vec<String> = names.iter().map(naming).collect();
        let stray = self.values.iter().filter(|(name, entry)| entry.ours && !known.contains(name));
        // Names that hardly a variable has may end with what was to be its value.
        let told = |name: &String| match name.find(['-', '.']) {
            Some(sign) if self.naming == Naming::Variables => format!("{}…", &name[..=sign]),
            _ => name.clone(),
        };
        let problem = |(name, entry): (&String, &Entry)| Problem {
            key: told(name),
            // A misspelt secret is still one.
            value: None,
            origin: entry.origin.clone(),
            allowed: unknown(name, &known),
        };
        stray.map(problem).collect()
    }
}

/// Without the values: some are secrets, and in the environment most are other programs'.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = self.values.iter().filter(|(_, entry)| entry.ours).map(|(name, _)| name);
        let (place, names) = (&self.place, ours.collect::<Vec<_>>());
        f.debug_struct("Layer").field("place", place).field("names", &names).finish_non_exhaustive()
    }
}
