//! Where the registry is: in a folder, or on an MLflow server.

use std::fs::File;
use std::path::{Path, PathBuf};

use autorma_models::registry::{Location, Server};
use autorma_service::settings::{Key, Settings, Value, Verbatim, readable};

const REGISTRY: Key = Key::new(
    "registry",
    "",
    "the model registry: a folder, or the http:// or https:// address of an MLflow server; empty: `registry` in the data folder",
)
.alias("MLFLOW_TRACKING_URI");
const TOKEN: Key = Key::new(
    "mlflow.token",
    "",
    "token for the MLflow server; set it in the environment, not on the command line",
)
.secret()
.alias("MLFLOW_TRACKING_TOKEN");
const USERNAME: Key = Key::new("mlflow.username", "", "name for the MLflow server, where there is no token")
    .alias("MLFLOW_TRACKING_USERNAME");
const PASSWORD: Key = Key::new(
    "mlflow.password",
    "",
    "the password that goes with it; set it in the environment, not on the command line",
)
.secret()
.alias("MLFLOW_TRACKING_PASSWORD");
const CA: Key = Key::new(
    "mlflow.ca",
    "",
    "PEM file of authorities that are trusted for the MLflow server besides the system's",
)
.alias("MLFLOW_TRACKING_SERVER_CERT_PATH");

/// A folder or an address. What is wrong with an address is told by who opens it, without what it holds.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
struct Address(String);

impl Address {
    fn is_url(&self) -> bool {
        self.0.contains("://")
    }

    /// Whether its scheme was forgotten: no folder that anybody has begins with a name and a password.
    fn lacks_scheme(&self) -> bool {
        let who = self.0.rsplit_once('@').map(|(who, _)| who);
        !self.is_url() && who.and_then(|who| who.split('/').next()).is_some_and(|it| it.contains(':'))
    }

    /// Whether autorma and MLflow mean the same by it. MLflow knows other places, too, and none of them is a folder of ours.
    fn is_mlflows(&self) -> bool {
        let scheme = self.0.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        self.0.is_empty() || matches!(scheme.as_deref(), Some("http" | "https"))
    }
}

impl Value for Address {
    const ALLOWED: &'static str = "a folder or an address";

    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    /// Without a name and a password, which some write into addresses.
    fn show(&self) -> String {
        match (self.0.split_once("://"), self.0.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://(hidden)@{host}"),
            (None, Some((_, host))) if self.lacks_scheme() => format!("(hidden)@{host}"),
            _ => self.0.clone(),
        }
    }
}

/// Where it is: in the data folder, unless another place is said.
pub(crate) fn read(settings: &mut Settings, data: &Path) -> Location {
    let is_by_alias = settings.is_by_alias(&REGISTRY);
    let registry = settings.get_if(&REGISTRY, |it: &Address| match it.lacks_scheme() {
        true => Err("http:// or https:// before it, or ./ before a folder's name".into()),
        false if is_by_alias && !it.is_mlflows() => {
            Err(format!("http:// or https:// there; {} may name a folder", REGISTRY.variable()))
        }
        false => Ok(()),
    });
    let (token, username) = (settings.get(&TOKEN, ..), settings.get(&USERNAME, ..));
    let Verbatim(password) = settings.get(&PASSWORD, ..);
    let ca = settings.get_if(&CA, |path: &PathBuf| match path.as_os_str().is_empty() {
        true => Ok(()),
        false => readable(File::open(path)).map(drop),
    });
    if registry.0.is_empty() {
        return Location::Folder(data.join("registry"));
    }
    match registry.is_url() {
        true => {
            let ca = (!ca.as_os_str().is_empty()).then_some(ca);
            let server = Server { url: registry.0, token, username, password, ca };
            Location::Mlflow(server, data.join("mlflow"))
        }
        false => Location::Folder(registry.0.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_service::settings::Layer;

    fn read(settings: &mut Settings) -> Location {
        super::read(settings, Path::new("data"))
    }

    #[test]
    fn an_address_is_a_server_and_what_is_secret_stays_so() {
        let layer = Layer::from_environment(
            [
                ("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000"),
                ("MLFLOW_TRACKING_TOKEN", "secret\n"),
                ("MLFLOW_TRACKING_PASSWORD", " secret \n"),
            ]
            .map(|(name, value)| (name.into(), value.into()))
            .into_iter(),
        );
        let mut settings = Settings::new(vec![layer.clone()]);
        let Location::Mlflow(server, cache) = read(&mut settings) else { panic!("it is a server") };
        assert_eq!((&*server.url, &*server.token), ("http://127.0.0.1:5000", "secret"));
        assert_eq!(cache, Path::new("data/mlflow"));
        assert_eq!(server.password, " secret ", "the spaces are the password's");
        settings.finish().unwrap();
        assert!(!format!("{:?} {server:?}", settings.effective()).contains("secret"));

        let flags = Layer::new("flags").with("registry", "https://ada:secret@registry/x", "--set");
        let mut settings = Settings::new(vec![layer, flags]);
        let location = read(&mut settings);
        assert_eq!(settings.effective()[0].value, "https://(hidden)@registry/x");
        assert!(!location.open().unwrap_err().to_string().contains("secret"), "it isn't for addresses");

        let shown = |text: &str| Address(text.to_owned()).show();
        assert_eq!(shown("ada:se/cret@registry/x"), "(hidden)@registry/x", "its scheme was forgotten");
        assert_eq!(["/data/a:b@c", "models@home"].map(shown), ["/data/a:b@c", "models@home"]);
    }

    #[test]
    fn a_folder_is_the_one_that_is_said_or_in_the_data_folder() {
        for (said, expected) in [("models", "models"), ("", "data/registry")] {
            let flags = Layer::new("flags").with("registry", said, "--set");
            let location = read(&mut Settings::new(vec![flags]));
            assert!(
                matches!(&location, Location::Folder(it) if it == Path::new(expected)),
                "{said:?}: {location:?}"
            );
        }
    }

    #[test]
    fn why_a_file_can_t_be_read_is_told() {
        let mut settings = Settings::new(vec![Layer::new("flags").with("mlflow.ca", "nowhere.pem", "--set")]);
        read(&mut settings);
        let told = settings.finish().unwrap_err().to_string();
        assert!(
            told.contains("mlflow.ca") && told.contains("a file that can be read (No such file"),
            "{told}"
        );
    }

    #[test]
    fn places_that_only_mlflow_knows_are_no_folders() {
        let problem = |place: &str| {
            let layer = Layer::from_environment([("MLFLOW_TRACKING_URI".into(), place.into())].into_iter());
            let mut settings = Settings::new(vec![layer]);
            read(&mut settings);
            settings.finish().err().map(|problems| problems.to_string())
        };
        for place in ["databricks", "./mlruns", "file:./mlruns", "mysql://ada:secret@db/mlflow"] {
            let said = problem(place).unwrap();
            assert!(said.contains("AUTORMA_REGISTRY") && !said.contains("secret"), "{said}");
        }
        assert_eq!([problem(""), problem("HTTPS://mlflow/x")], [None, None]);
    }

    #[test]
    fn an_address_without_its_scheme_is_no_folder_whoever_says_it() {
        let of_alias = [("MLFLOW_TRACKING_URI".into(), "ada:secret@mlflow:5000".into())].into_iter();
        let own = Layer::new("flags").with("registry", "ada:secret@mlflow:5000", "--set");
        for layer in [own, Layer::from_environment(of_alias)] {
            let mut settings = Settings::new(vec![layer]);
            let location = read(&mut settings);
            let told = settings.finish().unwrap_err().to_string();
            assert!(told.contains("(hidden)@mlflow:5000") && told.contains("https:// before it"), "{told}");
            assert!(!format!("{told} {location:?}").contains("secret"), "{told} {location:?}");
        }
        let mut settings = Settings::new(vec![Layer::new("flags").with("registry", "./a:b@c", "--set")]);
        assert!(matches!(read(&mut settings), Location::Folder(_)) && settings.finish().is_ok());
    }
}
