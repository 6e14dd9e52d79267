use autorma_service::settings::{Key, Settings, Value};
use url::Url;

const STORES: Key = Key::new(
    "classifier.stores",
    "",
    "URLs that other references may begin with, separated by ','; empty: none",
);

/// URLs, separated by `,`.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
struct Urls(String);

impl Urls {
    fn each(&self) -> impl Iterator<Item = &str> {
        self.0.split(',').map(str::trim).filter(|url| !url.is_empty())
    }

    fn name_somebody(&self) -> bool {
        self.each().any(names_somebody)
    }
}

impl Value for Urls {
    const ALLOWED: &'static str = "URLs";

    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.trim().to_owned()))
    }

    /// Without names and passwords, which some write into URLs. A `,` in a password has made two URLs of one, so nothing is
    /// shown between the first scheme and the last host.
    fn show(&self) -> String {
        match self.0.rsplit_once('@').filter(|_| self.name_somebody()) {
            None => self.0.clone(),
            Some((front, host)) => match front.split_once("://") {
                Some((scheme, _)) if !scheme.contains('@') => format!("{scheme}://(hidden)@{host}"),
                _ => format!("(hidden)@{host}"),
            },
        }
    }
}

/// Whether a name or a password may be in it. In Azure's URLs the container can stand where others have a name.
fn names_somebody(url: &str) -> bool {
    match Url::parse(url) {
        Ok(it) if !it.cannot_be_a_base() => {
            let is_container = ["az", "abfs", "abfss"].contains(&it.scheme());
            it.password().is_some() || !is_container && !it.username().is_empty()
        }
        // What stands before the `@` nobody knows.
        _ => url.contains('@'),
    }
}

/// The URLs that references to objects may begin with.
pub(super) fn read(settings: &mut Settings) -> Vec<String> {
    let urls = settings.get_if(&STORES, |urls: &Urls| match urls.name_somebody() {
        true => {
            Err("URLs without a name or a password in them: credentials come from the environment".into())
        }
        false => Ok(()),
    });
    urls.each().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_service::settings::Layer;

    /// What is read of a text, what is shown of it, and what is wrong.
    fn told(text: &str) -> (Vec<String>, String, String) {
        let mut settings = Settings::new(vec![Layer::new("flags").with(STORES.name, text, "--set")]);
        let urls = read(&mut settings);
        let problems = settings.finish().err().map(|problems| problems.to_string()).unwrap_or_default();
        (urls, settings.effective()[0].value.clone(), problems)
    }

    #[test]
    fn urls_are_shown_as_they_are() {
        let text =
            "s3://returns/photos, https://photos.example/@home,,abfss://photos@account.dfs.core.windows.net/";
        let (urls, shown, problems) = told(text);
        assert_eq!((urls.join(", "), &*shown, &*problems), (text.replace(",,", ", "), text, ""));
        assert_eq!(told(""), (vec![], String::new(), String::new()));
    }

    #[test]
    fn a_password_is_refused_and_not_shown() {
        for text in [
            "https://ada:secret@photos.example/",
            "https://secret@photos.example/",
            "https://ada:secret@photos.example:8443/x",
            "https://ada:sec/secret@photos.example/",
            "https://ada:sec,secret@photos.example/",
            "ada:secret@photos.example/",
            "abfss://photos:secret@account.dfs.core.windows.net/",
            "s3://returns,https://ada:secret@photos.example/,gs://others",
        ] {
            let (urls, shown, problems) = told(text);
            assert_eq!(urls, [""; 0], "{text}");
            assert!(problems.contains("classifier.stores"), "{text}: {problems}");
            for told in [shown, problems] {
                assert!(told.contains("(hidden)@") && !told.contains("sec"), "{text}: {told}");
            }
        }
    }
}
