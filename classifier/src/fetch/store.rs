//! How to reach the allowed stores: which client, with which credentials, and how long it may try.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, Error, ObjectStore, ObjectStoreScheme, Result, RetryConfig,
};
use reqwest::redirect::Policy;
use url::{Position, Url};

/// How long a connection may take to be made: a dead endpoint often says nothing at all.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a store may send nothing.
const SILENCE: Duration = Duration::from_secs(10);
/// A busy store, or one that can't be reached, is asked three times more, and not again after this.
const RETRY: Duration = Duration::from_secs(15);

/// Environment variables that stores may be configured with. Nothing else is shown to the clients, which would take
/// TOKEN or BUCKET for theirs.
const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Environment variables, as the clients of the stores read them.
pub(super) fn variables() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let is_ours = |(name, _): &(String, String)| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    std::env::vars_os().filter_map(text).filter(is_ours).collect()
}

/// A client of one of the clouds, with the variables that it knows.
macro_rules! cloud {
    ($builder:ty, $url:expr, $variables:expr) => {{
        let known = |builder: $builder, (name, value): &(String, String)| match name.to_lowercase().parse() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder,
        };
        let builder = $variables.iter().fold(<$builder>::new(), known).with_url($url.as_str());
        Arc::new(builder.with_retry(retry()).with_http_connector(Connector).build()?)
    }};
}

/// The store that a URL is of, and the URL's place in it.
pub(super) fn open(url: &Url, variables: &[(String, String)]) -> Result<(Arc<dyn ObjectStore>, Path)> {
    // Only the first that is installed counts, and there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (scheme, base) = ObjectStoreScheme::parse(url)?;
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => cloud!(AmazonS3Builder, url, variables),
        ObjectStoreScheme::GoogleCloudStorage => cloud!(GoogleCloudStorageBuilder, url, variables),
        ObjectStoreScheme::MicrosoftAzure => cloud!(MicrosoftAzureBuilder, url, variables),
        ObjectStoreScheme::Http => {
            // Whoever allows http:// knows that nothing is encrypted there.
            let options = ClientOptions::new().with_allow_http(url.scheme() == "http");
            let builder = HttpBuilder::new().with_url(&url[..Position::BeforePath]);
            let builder = builder.with_client_options(options).with_retry(retry());
            Arc::new(builder.with_http_connector(Connector).build()?)
        }
        ObjectStoreScheme::Local => return Err(refused("folders are allowed by classifier.roots")),
        _ => return Err(refused("only s3, gs, az, http and https are known")),
    };
    Ok((store, base))
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: 3, retry_timeout: RETRY }
}

fn refused(why: &'static str) -> Error {
    Error::NotSupported { source: why.into() }
}

/// Makes HTTP clients that give up in time and stay with the store: a redirect would lead out of what is allowed.
#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|it| it == "true");
        let stay =
            Policy::custom(|attempt| attempt.error("the store redirects, and redirects aren't followed"));
        let client = reqwest::Client::builder()
            .user_agent(concat!("autorma/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .https_only(!allow_http)
            .redirect(stay)
            .http1_only()
            .build();
        let failed = |error| Error::Generic { store: "HTTP", source: Box::new(error) };
        client.map(HttpClient::new).map_err(failed)
    }
}
