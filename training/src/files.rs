use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::Error;

/// Writes a file that appears when it is whole, and after what was written before; its folder is created.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let failed = |cause| Error::File { path: path.to_owned(), cause };
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(failed)?;
    let temporary = path.with_extension("tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let appeared = written.and_then(|()| fs::rename(&temporary, path));
    appeared.and_then(|()| File::open(folder)?.sync_all()).map_err(failed)
}
