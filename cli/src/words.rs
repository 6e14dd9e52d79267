//! Words for people.

use autorma_schemas::ModelVersion;

use crate::table::printable;

/// So many of something: `1 photo`, `2 photos`.
pub(crate) fn counted(count: impl TryInto<u64>, what: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Name and version, which may be any text in a model's folder.
pub(crate) fn model_name(model: &ModelVersion) -> String {
    printable(&format!("{}/{}", model.name, model.version))
}

/// A word that a shell takes for one, whatever is in it.
pub(crate) fn for_a_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:,=@%+".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::{counted, for_a_shell};

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "photo")), ["0 photos", "1 photo", "2 photos"]);
    }

    #[test]
    fn a_shell_has_the_words_back() {
        let words = ["/data/a-b_1.d", "h:9092,i:9092", "my data", "", "it's $HOME", "*", "\u{e9}"];
        let words = words.map(str::to_owned);
        let line = words.each_ref().map(|word| for_a_shell(word)).join(" ");
        let mut shell = std::process::Command::new("sh");
        let said = shell.args(["-c", &format!("printf '%s|' {line}")]).output().unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap(), words.map(|word| word + "|").concat());
        assert!(line.starts_with("/data/a-b_1.d h:9092,i:9092 'my data' '' "), "{line}");
    }
}
