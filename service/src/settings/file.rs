//! The layer of `autorma.toml`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layer::{Entry, Layer};

/// The lists of folders. In all other lists ',' stands between the items, and ':' within them: HOST:PORT.
const FOLDERS: [&str; 1] = ["classifier.roots"];

/// The file isn't TOML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}:{line}: {message}")]
pub struct SyntaxError {
    /// The file.
    pub place: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl Layer {
    /// The settings of a TOML text: `batch_size` in the table `[classifier]` is `classifier.batch_size`. A list of
    /// folders may be an array; it is joined with `:`.
    pub fn from_toml(text: &str, place: &str) -> Result<Self, SyntaxError> {
        let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let document = DeTable::parse(text).map_err(|error| SyntaxError {
            place: place.into(),
            line: line(error.span().map_or(0, |span| span.start)),
            message: error.message().into(),
        })?;
        let mut layer = Layer::new(place);
        layer.table("", document.get_ref(), &|at| format!("{place}:{}", line(at)));
        Ok(layer)
    }

    fn table(&mut self, prefix: &str, table: &DeTable<'_>, origin: &dyn Fn(usize) -> String) {
        for (key, value) in table.iter() {
            let name = format!("{prefix}{}", key.get_ref());
            if let DeValue::Table(table) = value.get_ref() {
                self.table(&format!("{name}."), table, origin);
                continue;
            }
            let origin = origin(key.span().start);
            match text(&name, value) {
                Ok(value) => {
                    let entry = Entry { value, origin: origin.clone(), ours: true };
                    // As `a.b` in quotes and as `b` in the table `[a]`.
                    if let Some(other) = self.insert(&name, entry) {
                        let allowed = format!("one value; it has another at {}", other.origin);
                        self.problem(&name, &origin, &allowed);
                    }
                }
                Err(allowed) => self.problem(&name, &origin, allowed),
            }
        }
    }
}

/// A setting's value as it would be written in the environment, or what is allowed instead.
fn text(name: &str, value: &Spanned<DeValue<'_>>) -> Result<String, &'static str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Ok(number.to_string()),
        },
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Array(items) if FOLDERS.contains(&name) => {
            let item = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
                DeValue::String(text) if !text.contains(':') => Ok(text.to_string()),
                _ => Err("the items of a list are texts without ':'"),
            };
            Ok(items.iter().map(item).collect::<Result<Vec<_>, _>>()?.join(":"))
        }
        DeValue::Array(_) => Err("one value, not a list; several are one text, separated by ','"),
        DeValue::Datetime(_) | DeValue::Table(_) => Err("a text, a number, true or false"),
    }
}
