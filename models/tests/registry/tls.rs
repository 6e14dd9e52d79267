//! A server that speaks TLS, with a certificate of an authority of its own, and lets in who has a token.

use std::fs;
use std::path::Path;
use std::process::Command;

use autorma_models::handmade;
use autorma_models::registry::{MlflowRegistry, Registry, RegistryError, Server};

use crate::scripted::{ok, saying};
use crate::server::{Door, Mlflow, PASSWORD, USER};
use crate::suite::{Models, signed};

const TOKEN: &str = "a-token-of-a-test";

/// MLflow itself knows names and passwords; tokens are for a function of the operator's.
const TOKENS: &str = "
from flask import request
from mlflow.server.auth import authenticate_request_basic_auth, make_basic_auth_response
from werkzeug.datastructures import Authorization

def authenticate():
    given = request.authorization
    if given is None or given.type != 'bearer':
        return authenticate_request_basic_auth()
    if given.token != 'a-token-of-a-test':
        return make_basic_auth_response()
    return Authorization('basic', {'username': 'admin'})
";

fn secured(folder: &Path) -> Door {
    authority(folder, "ca");
    authority(folder, "another");
    openssl(
        folder,
        "-CA ca.pem -CAkey ca.key -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 \
         -addext basicConstraints=critical,CA:FALSE -keyout server.key -out server.pem",
    );
    fs::write(folder.join("tokens.py"), TOKENS).unwrap();
    let at = |name| folder.join(name).display().to_string();
    let tls = format!("--ssl-keyfile {} --ssl-certfile {}", at("server.key"), at("server.pem"));
    let options = vec!["--uvicorn-opts".into(), tls];
    Door { scheme: "https", options, authorization_function: "tokens:authenticate" }
}

/// A key and a certificate that may sign others.
fn authority(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!("-subj /CN={name} -addext keyUsage=critical,keyCertSign -keyout {name}.key -out {name}.pem"),
    );
}

/// Makes a certificate.
fn openssl(folder: &Path, arguments: &str) {
    let all = format!("req -x509 -newkey rsa:2048 -noenc -days 30 {arguments}");
    let output = Command::new("openssl").args(all.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{all}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_server_with_tls_is_known_by_its_authority_and_knows_who_asks() {
    let (Some(mlflow), cache) = (Mlflow::start_with(secured), tempfile::tempdir().unwrap()) else { return };
    let at = |name: &str| Some(mlflow.folder().join(name));
    let nobody = || Server { url: mlflow.url(), ca: at("ca.pem"), ..Server::default() };
    let with_token = |token: &str| Server { token: token.into(), ..nobody() };
    let with_password =
        |password: &str| Server { username: USER.into(), password: password.into(), ..nobody() };
    let registry = |server| MlflowRegistry::new(server, cache.path());

    // Requests, and files in both directions.
    let here = registry(with_token(TOKEN)).unwrap();
    Models::registered("secured", 1, &here);
    here.point("secured", "production", 1, &signed("")).unwrap();
    fs::remove_dir_all(cache.path()).unwrap();
    assert_eq!(here.load("secured", 1).unwrap().onnx, [handmade::means()]);
    // A token outweighs a password.
    let both = Server { token: TOKEN.into(), ..with_password("wrong secret") };
    for server in [with_password(PASSWORD), both] {
        assert_eq!(registry(server).unwrap().names().unwrap(), ["secured"]);
    }
    for server in [nobody(), with_token("wrong-secret"), with_password("wrong secret")] {
        let error = registry(server).unwrap().names().unwrap_err();
        assert!(matches!(&error, RegistryError::Refused { code, .. } if code == "401"), "{error}");
        assert!(
            error.to_string().contains("mlflow.token, or mlflow.username and mlflow.password"),
            "{error}"
        );
        assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
    }

    // The system doesn't know the authority, and neither does who trusts another one; nobody hears the token.
    for ca in [None, at("another.pem")] {
        let error = registry(Server { ca, ..with_token(TOKEN) }).unwrap().names().unwrap_err().to_string();
        assert!(error.contains(&mlflow.url()) && error.contains("mlflow.ca must name a PEM file"), "{error}");
        assert!(!error.contains(TOKEN), "{error}");
    }
    for (ca, expected) in [("none.pem", "No such file"), ("tokens.py", "no certificate in it")] {
        let error = registry(Server { ca: at(ca), ..nobody() }).unwrap_err().to_string();
        assert!(error.contains("mlflow.ca") && error.contains(ca) && error.contains(expected), "{error}");
    }
}

const CHILD: &str = "AUTORMA_TEST_AUTHORITIES";

/// Not a test: the process that the next one starts.
#[test]
fn somebody_whose_system_knows_no_authorities() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let registry = |url: &str| {
        let server = Server { url: url.into(), ..Server::default() };
        MlflowRegistry::new(server, cache.path())
    };
    let (url, asked) = saying(&[&ok("{}")]);
    assert!(registry(&url).unwrap().names().unwrap().is_empty());
    assert_eq!(asked.join().unwrap().len(), 1);
    let error = registry("https://127.0.0.1:1").unwrap_err().to_string();
    assert!(error.contains("No CA certificates") && error.contains("mlflow.ca"), "{error}");
}

#[test]
fn where_the_system_knows_no_authorities_a_server_without_tls_is_asked_all_the_same() {
    let (here, nowhere) = (std::env::current_exe().unwrap(), tempfile::tempdir().unwrap());
    let mut child = Command::new(here);
    child.args(["--exact", "tls::somebody_whose_system_knows_no_authorities"]).env(CHILD, "1");
    child.env("SSL_CERT_FILE", nowhere.path().join("none.pem")).env("SSL_CERT_DIR", nowhere.path());
    let output = child.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}
