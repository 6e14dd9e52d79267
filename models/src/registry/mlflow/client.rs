use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client as Http, RequestBuilder, Response};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, StatusCode, Url};
use rustls::CertificateError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::registry::{NOT_MLFLOW, RegistryError};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// How long the server may say nothing, but of a model's files: where these are in an object store, it fetches a file whole
/// before it says a word.
const SILENCE: Duration = Duration::from_secs(10);
/// How long an answer may take from its beginning to its end, however often the server says something meanwhile.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a file may take, to the server or from it.
const TRANSFER: Duration = Duration::from_secs(300);
/// How often the same is asked, and how long the first pause is; the next are twice as long each.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(200);
/// A server that takes longer than this to say no isn't asked again.
const PATIENCE: Duration = Duration::from_secs(8);
/// What an answer may have, in bytes.
const MOST_OF_AN_ANSWER: u64 = 64 << 20;

/// Where the server is, and who asks.
#[derive(Clone, Default)]
pub struct Server {
    /// Its address, `http://` or `https://`; the path of a proxy may follow.
    pub url: String,
    /// A token (RFC 6750); empty for none. It outweighs name and password.
    pub token: String,
    /// The name for basic authentication (RFC 7617); empty for none.
    pub username: String,
    /// The password that goes with it.
    pub password: String,
    /// PEM file of authorities that are trusted besides the system's.
    pub ca: Option<PathBuf>,
}

/// Without what is secret.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("url", &self.url).field("ca", &self.ca).finish_non_exhaustive()
    }
}

/// Asks a server, with patience that ends.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    base: Url,
    server: Server,
}

/// What MLflow says when it doesn't do something.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error_code: String,
    message: String,
}

impl Client {
    pub(super) fn new(server: Server) -> Result<Self, RegistryError> {
        Self::bearing(SILENCE, server)
    }

    /// One that bears so long a silence.
    fn bearing(silence: Duration, server: Server) -> Result<Self, RegistryError> {
        let wrong = |what: String| RegistryError::Server(what);
        // Only the first that is installed counts, and there is no other.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base =
            Url::parse(&server.url).map_err(|error| wrong(format!("the URL can't be read: {error}")))?;
        if !["http", "https"].contains(&base.scheme()) {
            return Err(wrong("the URL must begin with http:// or https://".into()));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("name and password belong in mlflow.username and mlflow.password".into()));
        }
        let mut http = Http::builder()
            .user_agent(concat!("autorma/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(silence)
            // The credentials are for this server.
            .redirect(Policy::none());
        if let Some(path) = &server.ca {
            let pem = fs::read(path).map_err(|error| error.to_string());
            let unreadable = |cause| wrong(format!("mlflow.ca, {}: {cause}", path.display()));
            http = http.tls_certs_merge(pem.and_then(authorities).map_err(unreadable)?);
        }
        if base.scheme() == "http" {
            // The system's authorities are of no use, and there may be none: a proxy's is in `mlflow.ca`.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| {
            wrong(format!("{}: mlflow.ca may name a PEM file of authorities", cause(&error)))
        })?;
        Ok(Self { http, base, server })
    }

    /// Asks for something.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, RegistryError> {
        let mut url = self.place(&format!("api/2.0/mlflow/{path}"));
        url.query_pairs_mut().extend_pairs(query);
        self.json(&|| self.http.get(url.clone()), ATTEMPTS)
    }

    /// Has something done that may be done twice.
    pub(super) fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, RegistryError> {
        self.send_times(method, path, body, ATTEMPTS)
    }

    /// Has something done that must not be done twice without a look.
    pub(super) fn send_once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, RegistryError> {
        self.send_times(method, path, body, 1)
    }

    fn send_times<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        attempts: u32,
    ) -> Result<T, RegistryError> {
        let url = self.place(&format!("api/2.0/mlflow/{path}"));
        let request = || {
            let request = self.http.request(method.clone(), url.clone());
            request.header(CONTENT_TYPE, "application/json").body(body.to_string())
        };
        self.json(&request, attempts)
    }

    /// Puts an artifact where the server keeps such.
    pub(super) fn upload(&self, path: &str, content: &[u8]) -> Result<(), RegistryError> {
        let url = self.artifact(path);
        let request = || self.http.put(url.clone()).timeout(TRANSFER).body(content.to_vec());
        self.ask(&request, ATTEMPTS).map(drop)
    }

    /// An artifact of at most so many bytes. One that breaks off is asked for once more, within the same time.
    pub(super) fn download(&self, path: &str, most: u64) -> Result<Vec<u8>, RegistryError> {
        let (url, begun) = (self.artifact(path), Instant::now());
        let ask = |within: Duration| self.ask(&|| self.http.get(url.clone()).timeout(within), ATTEMPTS);
        let content = self.content(path, ask(TRANSFER)?, most, TRANSFER);
        match TRANSFER.checked_sub(begun.elapsed()) {
            Some(left) if content.as_ref().is_err_and(RegistryError::is_away) => {
                self.content(path, ask(left)?, most, left)
            }
            _ => content,
        }
    }

    /// A small artifact, of at most so many bytes, which no server takes long to say.
    pub(super) fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, RegistryError> {
        let url = self.artifact(path);
        let answer = self.ask(&|| self.http.get(url.clone()), ATTEMPTS)?;
        self.content(path, answer, most, TRANSFER)
    }

    /// The content of an answer, which is called so, of at most so many bytes, unless it takes longer than that: where the
    /// request has no time-out of its own, the connection's is for each piece.
    fn content(
        &self,
        what: &str,
        mut answer: Response,
        most: u64,
        within: Duration,
    ) -> Result<Vec<u8>, RegistryError> {
        let (begun, mut content, mut buffer) = (Instant::now(), Vec::new(), vec![0; 1 << 16]);
        loop {
            let read = answer.read(&mut buffer).map_err(|error| self.away(error))?;
            if read == 0 {
                return Ok(content);
            }
            content.extend_from_slice(&buffer[..read]);
            if content.len() as u64 > most {
                return Err(self.unfit(format!("{what} has more than the {most} bytes that it may have")));
            }
            if begun.elapsed() > within {
                return Err(self.away(format!("{what} takes longer than {within:?}")));
            }
        }
    }

    /// All that a list has, which is asked for by a query. `page` takes an answer apart: what is on the page, and the token of
    /// the next one.
    pub(super) fn list<A: DeserializeOwned, T>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        page: impl Fn(A) -> (Vec<T>, String),
    ) -> Result<Vec<T>, RegistryError> {
        self.pages(|token| {
            let token = (!token.is_empty()).then_some(("page_token", token));
            let query: Vec<_> = query.iter().copied().chain(token).collect();
            Ok(page(self.get(path, &query)?))
        })
    }

    /// All that a list has, which the server tells page by page. `ask` is given the token of the page, which the first one has
    /// none of, and returns what is on it and the token of the next one, if there is one.
    pub(super) fn pages<T>(
        &self,
        mut ask: impl FnMut(&str) -> Result<(Vec<T>, String), RegistryError>,
    ) -> Result<Vec<T>, RegistryError> {
        let (mut all, mut page, mut told) = (Vec::new(), String::new(), BTreeSet::new());
        loop {
            let (found, next) = ask(&page)?;
            all.extend(found);
            if next.is_empty() {
                return Ok(all);
            }
            // Something between us may not know of pages, and tell the first one for ever.
            if !told.insert(next.clone()) {
                return Err(self.refused(
                    NOT_MLFLOW,
                    "the answer isn't MLflow's: a page of a list comes again and again",
                ));
            }
            page = next;
        }
    }

    /// The address of a page for people.
    pub(super) fn page(&self, path: &str) -> String {
        let mut url = self.place("");
        url.set_fragment(Some(&format!("/{path}")));
        url.into()
    }

    fn place(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    fn artifact(&self, path: &str) -> Url {
        self.place(&format!("api/2.0/mlflow-artifacts/artifacts/{path}"))
    }

    fn json<T: DeserializeOwned>(
        &self,
        request: &dyn Fn() -> RequestBuilder,
        attempts: u32,
    ) -> Result<T, RegistryError> {
        let text = self.text(self.ask(request, attempts)?)?;
        serde_json::from_slice(&text)
            .map_err(|error| self.refused(NOT_MLFLOW, &format!("the answer isn't MLflow's: {error}")))
    }

    fn text(&self, answer: Response) -> Result<Vec<u8>, RegistryError> {
        self.content("the answer", answer, MOST_OF_AN_ANSWER, ANSWER)
    }

    /// The answer, if it is one that helps. A server that can't be reached, or is busy or broken, is asked again; so is one
    /// whose database has refused, as it does to one of two who write the same row at the same moment.
    fn ask(&self, request: &dyn Fn() -> RequestBuilder, attempts: u32) -> Result<Response, RegistryError> {
        let (begun, mut pause) = (Instant::now(), PAUSE);
        for attempt in 1.. {
            let error = match self.signed(request()).send() {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => self.no(answer),
                // The URL, which is in the message, says too little to be worth its length.
                Err(error) => self.away(cause(&error.without_url())),
            };
            if !may_pass(&error) || attempt >= attempts || begun.elapsed() > PATIENCE {
                return Err(error);
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        unreachable!("the last attempt has returned")
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        let Server { token, username, password, .. } = &self.server;
        match (token.is_empty(), username.is_empty()) {
            (false, _) => request.bearer_auth(token),
            (true, false) => request.basic_auth(username, Some(password)),
            (true, true) => request,
        }
    }

    /// What an answer that doesn't help means.
    fn no(&self, answer: Response) -> RegistryError {
        let status = answer.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return self.away(status);
        }
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status) {
            let advice =
                "mlflow.token, or mlflow.username and mlflow.password, must be of one who may do this";
            return self.refused(status.as_str(), advice);
        }
        let text = self.text(answer).unwrap_or_default();
        match serde_json::from_slice::<Refusal>(&text) {
            Ok(Refusal { error_code, message }) if !error_code.is_empty() => {
                self.refused(&error_code, &message)
            }
            _ => self.refused(status.as_str(), "the answer isn't MLflow's: is this its address?"),
        }
    }

    pub(super) fn away(&self, cause: impl fmt::Display) -> RegistryError {
        RegistryError::Away { server: self.server.url.clone(), cause: cause.to_string() }
    }

    pub(super) fn refused(&self, code: &str, message: &str) -> RegistryError {
        let (server, code, message) = (self.server.url.clone(), code.to_owned(), message.to_owned());
        RegistryError::Refused { server, code, message }
    }

    /// A problem with what the server has, of which it says nothing.
    pub(super) fn unfit(&self, problem: String) -> RegistryError {
        RegistryError::Unfit { server: self.server.url.clone(), problem }
    }
}

/// The certificates in a PEM file.
fn authorities(pem: Vec<u8>) -> Result<Vec<Certificate>, String> {
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())?;
    if certificates.is_empty() { Err("there is no certificate in it".into()) } else { Ok(certificates) }
}

/// What is at the bottom of an error: "connection refused" rather than "error sending request"; and what helps, where that
/// is known.
fn cause(error: &(dyn Error + 'static)) -> String {
    match error.source() {
        Some(inner) => cause(inner),
        None if is_of_unknown_authority(error) => {
            "it has a certificate of an authority that isn't known here: mlflow.ca must name a PEM file that has the \
             authority's"
                .into()
        }
        None => error.to_string(),
    }
}

fn is_of_unknown_authority(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<io::Error>() {
        // What an I/O error wraps, which may be another one, is no source of it.
        Some(error) => error.get_ref().is_some_and(|wrapped| is_of_unknown_authority(wrapped)),
        None => matches!(
            error.downcast_ref(),
            Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
        ),
    }
}

/// Whether the same may succeed a moment later: the server is away, or says what it says (`mlflow/store/db/utils.py`) where its
/// database takes no row.
pub(super) fn may_pass(error: &RegistryError) -> bool {
    error.is_away() || matches!(error, RegistryError::Refused { code, .. } if code == "BAD_REQUEST")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    /// The place of a file of two bytes.
    const FILE: &str = "1/r/artifacts/model/a.onnx";

    /// A server that says this, of two bytes, to the first who asks, whatever it is, to the second, and so on.
    fn saying(answer: impl Fn(usize) -> &'static str + Send + 'static) -> Server {
        answering(move |number| ("200 OK", 2, answer(number)))
    }

    /// The same with a status and a length.
    fn answering(answer: impl Fn(usize) -> (&'static str, usize, &'static str) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                let (status, length, answer) = answer(number);
                // Who asked may have gone.
                drop(write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
                ));
            }
        });
        Server { url, ..Server::default() }
    }

    #[test]
    fn a_file_that_breaks_off_is_asked_for_once_more() {
        let download = |broken: usize| {
            let server = saying(move |number| if number < broken { "{" } else { "{}" });
            Client::new(server).unwrap().download(FILE, 2)
        };
        assert_eq!(download(1).unwrap(), b"{}");
        assert!(download(2).unwrap_err().is_away());
    }

    #[test]
    fn what_the_database_refuses_is_tried_again_unless_it_must_not_be_done_twice() {
        let refusal = r#"{"error_code": "BAD_REQUEST", "message": "UNIQUE constraint failed"}"#;
        let client = |refused: usize| {
            let answer = move |number| match number < refused {
                true => ("400 BAD REQUEST", refusal.len(), refusal),
                false => ("200 OK", 2, "{}"),
            };
            Client::new(answering(answer)).unwrap()
        };
        let tag =
            |client: Client| client.send::<Value>(Method::POST, "registered-models/set-tag", &Value::Null);
        tag(client(1)).unwrap();
        assert!(tag(client(ATTEMPTS as usize)).unwrap_err().to_string().contains("UNIQUE"));
        client(1).send_once::<Value>(Method::POST, "runs/create", &Value::Null).unwrap_err();
    }

    #[test]
    fn a_file_is_waited_for_longer_than_a_word() {
        let thinking = saying(|_| {
            std::thread::sleep(Duration::from_secs(2));
            "{}"
        });
        let client = Client::bearing(Duration::from_millis(200), thinking).unwrap();
        assert_eq!(client.download(FILE, 2).unwrap(), b"{}");
        let answer = client.send_once::<Value>(Method::POST, "runs/create", &Value::Null);
        assert!(answer.as_ref().is_err_and(RegistryError::is_away), "{answer:?}");
    }
}
