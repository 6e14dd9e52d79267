use std::collections::HashMap;
use std::path::Path;

use autorma_schemas::readable;

use super::sources::{Source, real};
use super::{CONTRIBUTOR, Folders, GROUP};
use crate::Error;
use crate::dataset::MANIFEST;

/// What a list says of a photo. With it goes the number of the list: another one's Anna is another Anna.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Listed {
    /// Who has sent it.
    pub(super) contributor: Option<(usize, String)>,
    /// The look-alikes that it belongs to.
    pub(super) group: Option<(usize, String)>,
}

impl Listed {
    /// What a further list says of the photo. What it says nothing of stays.
    fn hear(&mut self, Listed { contributor, group }: Listed) {
        self.contributor = contributor.or(self.contributor.take());
        self.group = group.or(self.group.take());
    }
}

/// What `manifest.csv` in the folders says of the photos at these paths, each with the folder that it belongs to.
pub(super) fn listed(folders: &Folders, paths: &[(&Path, &Source)]) -> Result<Vec<Listed>, Error> {
    let mut listed = vec![Listed::default(); paths.len()];
    for (number, folder) in folders.data.iter().chain(&folders.other).enumerate() {
        let folder = real(folder)?;
        let strays = read(&folder, number, paths, &mut listed)?;
        if strays > 0 {
            tracing::warn!(
                list = %folder.join(MANIFEST).display(),
                rows = strays,
                "rows that name no photo there: what they say of contributors and look-alikes counts for nothing"
            );
        }
    }
    Ok(listed)
}

/// Reads the list in a folder, if there is one that says who has sent photos or which look alike. How many of its rows name
/// no photo.
fn read(
    folder: &Path,
    number: usize,
    paths: &[(&Path, &Source)],
    listed: &mut [Listed],
) -> Result<usize, Error> {
    let list = folder.join(MANIFEST);
    if !list.is_file() {
        return Ok(0);
    }
    let wrong = |error: csv::Error| Error::List { path: list.clone(), cause: error.to_string() };
    let mut rows = csv::Reader::from_path(&list).map_err(wrong)?;
    let names = rows.headers().map_err(wrong)?.clone();
    let column = |wanted: &str| names.iter().position(|name| name == wanted);
    let (file, contributor, group) = (column("path"), column(CONTRIBUTOR), column(GROUP));
    if contributor.is_none() && group.is_none() {
        return Ok(0);
    }
    let named = |(photo, (path, source)): (usize, &(&Path, &Source))| {
        let inside = match source.number == number {
            true => source.inside(path),
            false => path.strip_prefix(folder).ok()?.to_owned(),
        };
        // As a prepared data set writes them, whose names may be no UTF-8.
        Some((folder.join(readable(inside.as_os_str())), photo))
    };
    let photos: HashMap<_, _> = paths.iter().enumerate().filter_map(named).collect();
    let mut strays = 0;
    for row in rows.records() {
        let row = row.map_err(wrong)?;
        let cell = |column: Option<usize>| column.and_then(|it| row.get(it)).filter(|it| !it.is_empty());
        let said = |column| cell(column).map(|text| (number, text.to_owned()));
        match cell(file).and_then(|file| photos.get(&folder.join(file))) {
            Some(photo) => {
                listed[*photo].hear(Listed { contributor: said(contributor), group: said(group) });
            }
            None => strays += 1,
        }
    }
    Ok(strays)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    use super::*;
    use crate::photos::sources::Role;

    /// The folder that was named as the one of this number.
    fn source(folder: &Path, number: usize) -> Source {
        Source { folder: folder.into(), name: PathBuf::new(), side: None, number, role: Role::Data }
    }

    #[test]
    fn photos_are_found_by_what_people_read_of_their_names_and_rows_of_no_photo_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let rows = "path,contributor,group\nshirts/a\\x5Cb.jpg,Anna,\nshirts/caf\\xE9.jpg,Ben,7\n./shirts/c.jpg,,7\n\
                    shirts/none.jpg,Anna,8\n";
        fs::write(root.path().join("manifest.csv"), rows).unwrap();
        let names = [&b"shirts/a\\b.jpg"[..], b"shirts/caf\xe9.jpg", b"shirts/c.jpg", b"shirts/d.jpg"];
        let paths = names.map(|name| root.path().join(OsStr::from_bytes(name)));
        let source = source(root.path(), 3);
        let paths: Vec<_> = paths.iter().map(|path| (path.as_path(), &source)).collect();
        let mut listed = vec![Listed::default(); 4];
        assert_eq!(read(root.path(), 3, &paths, &mut listed).unwrap(), 1);
        let said = |contributor: &str, group: &str| {
            let [contributor, group] =
                [contributor, group].map(|it| Some((3, it.to_owned())).filter(|(_, it)| !it.is_empty()));
            Listed { contributor, group }
        };
        assert_eq!(listed, [said("Anna", ""), said("Ben", "7"), said("", "7"), said("", "")]);
    }

    #[test]
    fn of_two_lists_the_second_replaces_what_it_says_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("home");
        fs::create_dir(&inner).unwrap();
        let rows = "path,contributor,group\nhome/shirts/a.jpg,Anna,1\nhome/shirts/b.jpg,Ben,2\n";
        fs::write(root.path().join("manifest.csv"), rows).unwrap();
        let rows = "path,contributor,group\nshirts/a.jpg,,7\nshirts/b.jpg,Carl,\n";
        fs::write(inner.join("manifest.csv"), rows).unwrap();
        let paths = ["a.jpg", "b.jpg"].map(|name| inner.join("shirts").join(name));
        let source = source(&inner, 1);
        let paths: Vec<_> = paths.iter().map(|path| (path.as_path(), &source)).collect();
        let mut listed = vec![Listed::default(); 2];
        for (number, folder) in [root.path(), inner.as_path()].into_iter().enumerate() {
            assert_eq!(read(folder, number, &paths, &mut listed).unwrap(), 0);
        }
        let said = |list: usize, what: &str| Some((list, what.to_owned()));
        let expected = [
            Listed { contributor: said(0, "Anna"), group: said(1, "7") },
            Listed { contributor: said(1, "Carl"), group: said(0, "2") },
        ];
        assert_eq!(listed, expected);
    }
}
