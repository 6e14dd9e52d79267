use std::fmt;

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The name, as it was written.
    pub key: String,
    /// The value, hidden if it is a secret. None if it isn't known whether it may be shown.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: String,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value:?}")?;
        }
        write!(f, " (from {}): {}", self.origin, self.allowed)
    }
}

/// Every problem of the settings.
#[derive(Debug, thiserror::Error)]
pub struct Invalid(pub Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a problem:")?,
            count => write!(f, "the configuration has {count} problems:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// What to say about a name that nobody asked for.
pub(super) fn unknown(name: &str, known: &[String]) -> String {
    match closest(name, known) {
        Some(meant) => format!("there is no such setting; did you mean {meant}?"),
        None => "there is no such setting; `autorma config` lists them".into(),
    }
}

/// The known name that was probably meant: the section was left out, or a few letters are wrong.
fn closest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let section_missing = |known: &&String| known.split_once('.').is_some_and(|(_, rest)| rest == name);
    if let Some(meant) = known.iter().find(section_missing) {
        return Some(meant);
    }
    let distance = |known: &'a String| (strsim::osa_distance(name, known), known);
    let (distance, meant) = known.iter().map(distance).min()?;
    (distance <= 3.min(name.len() / 3)).then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_name_is_suggested() {
        let known =
            ["classifier.batch_size", "classifier.max_wait", "data", "AUTORMA_DATA"].map(String::from);
        let meant = |name: &str| closest(name, &known);
        assert_eq!(meant("classifier.bacth_size"), Some("classifier.batch_size"));
        assert_eq!(meant("clasifier.max_wiat"), Some("classifier.max_wait"));
        assert_eq!(meant("batch_size"), Some("classifier.batch_size"));
        assert_eq!(meant("AUTORMA_DATE"), Some("AUTORMA_DATA"));
        assert_eq!(meant("dota"), Some("data"));
        assert_eq!(meant("ingest.input"), None);
        assert_eq!(meant("x"), None);
    }
}
