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
        variable(self.name)
    }

    /// The value as it may be printed.
    pub(super) fn printable(&self, value: &str) -> String {
        if self.secret && !value.is_empty() { "(hidden)".into() } else { value.into() }
    }
}

/// Settings whose names begin alike, and of which nobody knows the rest beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// What the dotted names begin with, the last dot included.
    pub prefix: &'static str,
    /// What the rest of a name is: the table is listed with that where nothing is set.
    pub rest: &'static str,
    /// What a setting in it means, in a few words.
    pub about: &'static str,
    /// Whether the rest of a name may have dots: in the environment, an underscore stands for one then.
    pub dotted: bool,
}

/// The environment variable of the setting `name`.
pub(super) fn variable(name: &str) -> String {
    format!("AUTORMA_{}", name.replace('.', "_").to_uppercase())
}
