use object_store::MultipartUpload;

use super::Store;
use crate::Error;

/// Bytes that are written at once to a file that is streamed.
const CHUNK: usize = 1 << 20;

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    store: &'a Store,
    path: &'a str,
    upload: Box<dyn MultipartUpload>,
    chunk: Vec<u8>,
}

impl<'a> Upload<'a> {
    pub(super) fn new(store: &'a Store, path: &'a str, upload: Box<dyn MultipartUpload>) -> Self {
        Self { store, path, upload, chunk: Vec::with_capacity(CHUNK) }
    }

    /// What is to be written next: it grows until `flush` finds it large enough.
    pub(crate) fn chunk(&mut self) -> &mut Vec<u8> {
        &mut self.chunk
    }

    /// Writes what there is if it is worth it.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        if self.chunk.len() >= CHUNK { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Error> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        let written = self.store.runtime.block_on(self.upload.put_part(chunk.into()));
        written.map_err(|error| Error::at(self.store.place(self.path), &error))
    }

    pub(super) fn complete(mut self) -> Result<(), Error> {
        self.write()?;
        let completed = self.store.runtime.block_on(self.upload.complete());
        completed.map(drop).map_err(|error| Error::at(self.store.place(self.path), &error))
    }
}
