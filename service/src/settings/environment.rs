//! The layers of the environment and of `.env`.

use std::ffi::OsString;

use super::layer::{Entry, Layer};

/// What makes a variable ours.
const PREFIX: &str = "AUTORMA_";

/// Names the file, which is chosen before `.env` is read.
const CONFIG: &str = "AUTORMA_CONFIG";

/// Ours, but not settings: the file itself, where a test kills the program, and which program it tests.
const NOT_SETTINGS: [&str; 3] = [CONFIG, "AUTORMA_FAILPOINT", "AUTORMA_PROGRAM"];

impl Layer {
    /// The variables of the environment. Those that begin with `AUTORMA_` must be settings; of the others, only
    /// aliases of settings are ever looked at.
    pub fn from_environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut layer = Layer::of_variables("environment");
        for (name, value) in variables {
            let Ok(name) = name.into_string() else { continue };
            let origin = format!("{name} in the environment");
            match value.into_string() {
                Ok(value) => layer.variable(&name, value, origin),
                Err(_) => layer.refuse(&name, origin, "a text in UTF-8"),
            }
        }
        layer
    }

    /// The lines `NAME=VALUE` of a `.env` file: comments, quotes and `export` as a shell knows them, but nothing is
    /// substituted. The file is shared with other programs, so only names that begin with `AUTORMA_` must be right.
    pub fn from_dotenv(text: &str, place: &str) -> Self {
        let mut layer = Layer::of_variables(place);
        // Editors of Windows begin a file with this mark.
        let text = text.trim_start_matches('\u{feff}');
        for (line, number) in text.lines().zip(1..) {
            let line = without_export(line.trim());
            let origin = format!("{place}:{number}");
            // Aliases have a '-', and librdkafka's properties a '.'.
            let end =
                line.find(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c)).unwrap_or(line.len());
            let (name, rest) = line.split_at(end);
            // What stands behind another sign, or there instead of a '=', is never told: it may be a password.
            let told = name.split(['-', '.']).next().unwrap_or(name);
            match rest.trim_start().strip_prefix('=').map(|value| unquoted(value.trim())) {
                None => layer.refuse(told, origin, "NAME=VALUE"),
                // Unless it was in the environment in time, maybe out of this very file.
                Some(_) if name == CONFIG && std::env::var_os(CONFIG).is_none() => {
                    layer.problem(
                        CONFIG,
                        &origin,
                        "it comes too late here: set it in the environment, or use --config",
                    );
                }
                // What stands for bytes that aren't UTF-8.
                Some(Some(value)) if value.contains(char::REPLACEMENT_CHARACTER) => {
                    layer.refuse(told, origin, "a text in UTF-8");
                }
                Some(Some(value)) => layer.variable(name, value, origin),
                Some(None) => layer.refuse(told, origin, "the closing quote is missing"),
            }
        }
        layer
    }

    fn variable(&mut self, name: &str, value: String, origin: String) {
        let ours = name.starts_with(PREFIX) && !NOT_SETTINGS.contains(&name);
        self.insert(name, Entry { value, origin, ours });
    }

    fn refuse(&mut self, name: &str, origin: String, allowed: &str) {
        if name.starts_with(PREFIX) && !NOT_SETTINGS.contains(&name) {
            self.problem(name, &origin, allowed);
        }
    }
}

/// The line without `export`, which a shell would read.
fn without_export(line: &str) -> &str {
    match line.strip_prefix("export") {
        Some(rest) if rest.starts_with(char::is_whitespace) => rest.trim_start(),
        _ => line,
    }
}

/// The value without quotes and without the comment behind it; none if a quote isn't closed.
fn unquoted(text: &str) -> Option<String> {
    let mut rest = text.chars();
    match rest.next() {
        Some('\'') => Some(rest.as_str().split_once('\'')?.0.into()),
        Some('"') => {
            let mut value = String::new();
            loop {
                value.push(match rest.next()? {
                    '"' => return Some(value),
                    '\\' => match rest.next()? {
                        'n' => '\n',
                        't' => '\t',
                        other => other,
                    },
                    other => other,
                });
            }
        }
        _ => {
            let comment = text.starts_with('#').then_some(0).or_else(|| text.find(" #"));
            Some(text[..comment.unwrap_or(text.len())].trim_end().into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::unquoted;

    #[test]
    fn quotes_and_comments() {
        let read = |text| unquoted(text);
        assert_eq!(read("10").unwrap(), "10");
        assert_eq!(read("10 # ten").unwrap(), "10");
        assert_eq!(read("a#b").unwrap(), "a#b");
        assert_eq!(read("# nothing").unwrap(), "");
        assert_eq!(read(r#""a \"b\" # c" # d"#).unwrap(), r#"a "b" # c"#);
        assert_eq!(read(r"'a\n$b' # c").unwrap(), r"a\n$b");
        assert_eq!(read(r#""open"#), None);
        assert_eq!(read("'open"), None);
    }
}
