use std::error::Error as _;
use std::io;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use autorma_schemas::Reason;
use autorma_service::files::is_out_of_files;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use percent_encoding::percent_decode_str;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::{ATTEMPTS, Trouble, store};
use crate::Failure;
use crate::decode::too_many_bytes;

/// How long one object may take, with all that its client does to get it: a store that is dead or hardly alive must not
/// hold a worker for ever.
const LONGEST: Duration = Duration::from_secs(30);

/// Objects below the allowed URLs, read through `object_store`.
#[derive(Debug)]
pub(super) struct Objects {
    stores: Vec<Store>,
    /// None where no store is allowed.
    runtime: Option<Runtime>,
    /// [`LONGEST`].
    longest: Duration,
}

#[derive(Debug)]
struct Store {
    /// With a slash at its end.
    url: String,
    store: Arc<dyn ObjectStore>,
    base: Path,
}

/// An allowed store can't be used.
#[derive(Debug, thiserror::Error)]
#[error("classifier.stores: {url}: {cause}")]
pub struct StoreError {
    url: String,
    cause: String,
}

impl Objects {
    pub(super) fn open(urls: &[String]) -> Result<Self, StoreError> {
        Self::with(urls, &store::variables())
    }

    fn with(urls: &[String], variables: &[(String, String)]) -> Result<Self, StoreError> {
        let stores = urls.iter().map(|url| Store::open(url, variables)).collect::<Result<Vec<_>, _>>()?;
        Self::of(stores)
    }

    fn of(stores: Vec<Store>) -> Result<Self, StoreError> {
        let runtime =
            (!stores.is_empty()).then(|| Builder::new_multi_thread().worker_threads(1).enable_all().build());
        let failed = |error: io::Error| StoreError { url: "a thread".into(), cause: error.to_string() };
        Ok(Self { stores, runtime: runtime.transpose().map_err(failed)?, longest: LONGEST })
    }

    /// The content of an object.
    pub(super) fn read(&self, uri: &str, max_bytes: u64) -> Result<Vec<u8>, Trouble> {
        let found = self.stores.iter().find_map(|store| Some((store, uri.strip_prefix(store.url.as_str())?)));
        let (Some((store, rest)), Some(runtime)) = (found, &self.runtime) else {
            let message = format!(
                "{uri:?} is neither file:///PATH, absolute and without a host, nor below classifier.stores"
            );
            return Err(Failure::new(Reason::ForbiddenReference, message).into());
        };
        let invalid = |error: &dyn std::fmt::Display| Failure::new(Reason::InvalidEvent, error.to_string());
        let rest = percent_decode_str(rest).decode_utf8().map_err(|error| invalid(&error))?;
        let rest = Path::parse(&*rest).map_err(|error| invalid(&error))?;
        let place = Path::from_iter(store.base.parts().chain(rest.parts()));
        let get = get_whole(&*store.store, &place, max_bytes);
        let longest = self.longest;
        let too_long = |_| Failure::new(Reason::Unreadable, format!("not read within {longest:?}"));
        runtime.block_on(async { tokio::time::timeout(longest, get).await }).map_err(too_long)?
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // Nobody wants any more what it still does: a look-up of a name, for example, can't be called back.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// The client tries a request again as often as it should, but not an answer that broke off.
async fn get_whole(store: &dyn ObjectStore, place: &Path, max_bytes: u64) -> Result<Vec<u8>, Trouble> {
    for failed in 1..=ATTEMPTS {
        match get(store, place, max_bytes).await {
            Err(Trouble::Passing(error)) if !is_out_of_files(&error) => {
                tracing::debug!(%error, %place, failed, "reading again");
            }
            known => return known,
        }
    }
    let lasting = |trouble| match trouble {
        Trouble::Passing(error) if !is_out_of_files(&error) => {
            Failure::new(Reason::Unreadable, error.to_string()).into()
        }
        known => known,
    };
    get(store, place, max_bytes).await.map_err(lasting)
}

/// The size is known before the content is read, and not believed: a store may say one length and send another.
async fn get(store: &dyn ObjectStore, place: &Path, max_bytes: u64) -> Result<Vec<u8>, Trouble> {
    let object = store.get(place).await?;
    if object.meta.size > max_bytes {
        return Err(too_many_bytes(object.meta.size, max_bytes).into());
    }
    let mut content = object.into_stream();
    let mut bytes = Vec::new();
    let broken = |error| Trouble::Passing(io::Error::other(told(&error)));
    while let Some(chunk) = content.try_next().await.map_err(broken)? {
        let read = (bytes.len() + chunk.len()) as u64;
        if read > max_bytes {
            return Err(too_many_bytes(read, max_bytes).into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

impl Store {
    fn open(text: &str, variables: &[(String, String)]) -> Result<Self, StoreError> {
        let failed = |cause: String| StoreError { url: text.into(), cause };
        let mut url = text.trim_end_matches('/').to_owned();
        url.push('/');
        let parsed = Url::parse(&url).map_err(|error| failed(error.to_string()))?;
        let (store, base) = store::open(&parsed, variables).map_err(|error| failed(told(&error)))?;
        Ok(Self { url, store, base })
    }
}

/// What the client gave up on, after trying again where that may help.
impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        if let Some(cause) = no_file(&error) {
            return Trouble::Passing(cause);
        }
        let reason = match error {
            Error::NotFound { .. } => Reason::Missing,
            _ => Reason::Unreadable,
        };
        Failure::new(reason, told(&error)).into()
    }
}

/// That there was no file left for a connection, if that is what was wrong.
fn no_file(error: &Error) -> Option<io::Error> {
    let mut causes = successors(error.source(), |&cause| cause.source());
    let found = causes.find_map(|cause| cause.downcast_ref::<io::Error>().filter(|it| is_out_of_files(it)));
    found?.raw_os_error().map(io::Error::from_raw_os_error)
}

/// An error with those causes that it doesn't tell itself, for example that nobody listens there.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let further = error.to_string();
        if !text.contains(&further) {
            text = format!("{text}: {further}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod moto;
#[cfg(test)]
mod tests;
