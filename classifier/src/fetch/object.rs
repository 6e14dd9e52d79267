use std::io;
use std::sync::Arc;

use autorma_schemas::Reason;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use percent_encoding::percent_decode_str;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::Trouble;
use crate::Failure;
use crate::decode::too_many_bytes;

/// Objects below the allowed URLs, read through `object_store`.
#[derive(Debug)]
pub(super) struct Objects {
    stores: Vec<Store>,
    /// None where no store is allowed.
    runtime: Option<Runtime>,
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
        let stores = urls.iter().map(|url| Store::open(url)).collect::<Result<Vec<_>, _>>()?;
        Self::of(stores)
    }

    fn of(stores: Vec<Store>) -> Result<Self, StoreError> {
        let runtime =
            (!stores.is_empty()).then(|| Builder::new_multi_thread().worker_threads(1).enable_all().build());
        let failed = |error: io::Error| StoreError { url: "a thread".into(), cause: error.to_string() };
        Ok(Self { stores, runtime: runtime.transpose().map_err(failed)? })
    }

    /// The content of an object.
    pub(super) fn read(&self, uri: &str, max_bytes: u64) -> Result<Vec<u8>, Trouble> {
        let found = self.stores.iter().find_map(|store| Some((store, uri.strip_prefix(store.url.as_str())?)));
        let (Some((store, rest)), Some(runtime)) = (found, &self.runtime) else {
            let message = format!("{uri:?} is neither file:// nor below one of classifier.stores");
            return Err(Failure::new(Reason::ForbiddenReference, message).into());
        };
        let invalid = |error: &dyn std::fmt::Display| Failure::new(Reason::InvalidEvent, error.to_string());
        let rest = percent_decode_str(rest).decode_utf8().map_err(|error| invalid(&error))?;
        let rest = Path::parse(&*rest).map_err(|error| invalid(&error))?;
        let place = Path::from_iter(store.base.parts().chain(rest.parts()));
        runtime.block_on(get(&*store.store, &place, max_bytes))
    }
}

/// The size is known before the content is read.
async fn get(store: &dyn ObjectStore, place: &Path, max_bytes: u64) -> Result<Vec<u8>, Trouble> {
    let object = store.get(place).await?;
    if object.meta.size > max_bytes {
        return Err(too_many_bytes(object.meta.size, max_bytes).into());
    }
    let mut content = object.into_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = content.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

impl Store {
    fn open(text: &str) -> Result<Self, StoreError> {
        let failed =
            |cause: &dyn std::fmt::Display| StoreError { url: text.into(), cause: cause.to_string() };
        let mut url = text.trim_end_matches('/').to_owned();
        url.push('/');
        let parsed = Url::parse(&url).map_err(|error| failed(&error))?;
        let (store, base) = object_store::parse_url(&parsed).map_err(|error| failed(&error))?;
        Ok(Self { url, store: store.into(), base })
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { .. } => Failure::new(Reason::Missing, error.to_string()).into(),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                Failure::new(Reason::Unreadable, error.to_string()).into()
            }
            other => Trouble::Passing(io::Error::other(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    #[test]
    fn objects_below_an_allowed_url_are_read() {
        let memory = Arc::new(InMemory::new());
        futures::executor::block_on(memory.put(&Path::from("in/a b.jpg"), b"photo".to_vec().into())).unwrap();
        let store = Store { url: "s3://returns/".into(), store: memory, base: Path::default() };
        let objects = Objects::of(vec![store]).unwrap();
        let read = |uri: &str, most| match objects.read(uri, most) {
            Ok(bytes) => Ok(bytes),
            Err(Trouble::Lasting(failure)) => Err(failure.reason),
            Err(Trouble::Passing(error)) => panic!("{error}"),
        };
        assert_eq!(read("s3://returns/in/a%20b.jpg", 5), Ok(b"photo".to_vec()));
        assert_eq!(read("s3://returns/in/a%20b.jpg", 4), Err(Reason::TooManyBytes));
        assert_eq!(read("s3://returns/in/none.jpg", 5), Err(Reason::Missing));
        assert_eq!(read("s3://returns/../secret.jpg", 5), Err(Reason::InvalidEvent));
        assert_eq!(read("s3://others/a.jpg", 5), Err(Reason::ForbiddenReference));
    }

    #[test]
    fn a_store_that_can_t_be_used_is_said_at_the_start() {
        assert!(Objects::open(&["s3://returns".into()]).unwrap_err().to_string().contains("s3://returns"));
    }
}
