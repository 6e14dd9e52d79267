use std::path::{Component, Path, PathBuf};

use autorma_classifier::read_file;

use super::error::list;
use super::{Broken, DatasetError, MANIFEST};
use crate::photos::{CONTRIBUTOR, GROUP};

/// The largest list that is read, in bytes: Kaggle's has 4 MB.
const MOST: u64 = 512 << 20;

/// A list with named columns.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Columns {
    /// The list `manifest.csv` in the folder, if there is one.
    pub(super) fn listed(folder: &Path) -> Result<Option<Self>, DatasetError> {
        let path = folder.join(MANIFEST);
        path.is_file().then(|| Self::read(&path)).transpose()
    }

    /// A CSV file as RFC 4180 has it, with a photo's `path` in the way in which photos are named, however it is written.
    pub(super) fn read(path: &Path) -> Result<Self, DatasetError> {
        let bytes = read_file(path, MOST).map_err(|failure| list(path, &failure))?;
        let mut rows =
            records(&bytes).map_err(|cause| DatasetError::List { path: path.to_owned(), cause })?;
        let names = if rows.is_empty() { Vec::new() } else { rows.remove(0) };
        let mut columns = Self { names, rows };
        if let Some(place) = columns.place("path") {
            let folder = path.parent().unwrap_or(path);
            let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
            let paths = columns.rows.iter_mut().filter_map(|row| row.get_mut(place));
            paths.for_each(|path| *path = plain(path, &folder));
        }
        Ok(columns)
    }

    /// Kaggle's `styles.csv`: a line is a row, and the last column has whatever is left of it, for some names of products
    /// hold commas, or a quotation mark that never closes.
    pub(super) fn read_lines(path: &Path) -> Result<Self, DatasetError> {
        let bytes = read_file(path, MOST).map_err(|failure| list(path, &failure))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
        let names: Vec<_> =
            lines.next().unwrap_or_default().split(',').map(|it| unquoted(it).to_owned()).collect();
        let rows =
            lines.map(|line| line.splitn(names.len(), ',').map(|it| unquoted(it).to_owned()).collect());
        Ok(Self { rows: rows.collect(), names })
    }

    /// The column's place.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|it| it == name)
    }
}

/// What `autorma train`, which is strict, refuses a list for that says who has sent photos or which look alike, or takes nothing
/// from it for: rows that are shorter or longer than the first, what is no UTF-8, and that no column says which photos.
pub(super) fn refused(path: &Path) -> Result<Vec<Broken>, DatasetError> {
    let unreadable =
        |error: csv::Error| DatasetError::List { path: path.to_owned(), cause: error.to_string() };
    let mut rows = csv::Reader::from_path(path).map_err(unreadable)?;
    let names = rows.headers().cloned();
    let lacks = |wanted: &str| names.as_ref().is_ok_and(|names| !names.iter().any(|it| it == wanted));
    if lacks(CONTRIBUTOR) && lacks(GROUP) {
        return Ok(Vec::new());
    }
    let pathless = "it has no column path: what it says of contributors and look-alikes counts for nothing";
    let pathless = lacks("path").then(|| pathless.to_owned());
    let wrong = names.err().into_iter().chain(rows.records().filter_map(Result::err));
    let wrong = pathless.into_iter().chain(wrong.map(|error| error.to_string()));
    Ok(wrong.map(|why| Broken::new(MANIFEST.to_owned(), "bad_row", &why)).collect())
}

/// The path of a photo from the folder of its list on, and without `.` in it.
fn plain(path: &str, folder: &Path) -> String {
    let path = Path::new(path);
    let path = path.strip_prefix(folder).unwrap_or(path);
    let parts = path.components().filter(|it| *it != Component::CurDir);
    parts.collect::<PathBuf>().display().to_string()
}

fn unquoted(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(field)
}

fn records(bytes: &[u8]) -> Result<Vec<Vec<String>>, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let text = |field: &[u8]| String::from_utf8_lossy(field).trim_start_matches('\u{feff}').to_owned();
    let record = |record: csv::Result<csv::ByteRecord>| match record {
        Ok(record) => Ok(record.iter().map(text).collect()),
        Err(error) => Err(error.to_string()),
    };
    reader.byte_records().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_and_lone_quotation_marks_cost_no_other_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("styles.csv");
        let text = "\u{feff}id,articleType,productDisplayName\r\n1,Shirts,Blue, checked, Shirt\r\n\n\
                    2,Tops,\"Open Top\n3,Tops,\"Closed, Top\"\n4\n";
        std::fs::write(&path, [text.as_bytes(), b"5,Tops,Caf\xe9"].concat()).unwrap();
        let columns = Columns::read_lines(&path).unwrap();
        assert_eq!(columns.names, ["id", "articleType", "productDisplayName"]);
        let rows: Vec<_> = columns.rows.iter().map(|row| row.join("|")).collect();
        let expected = [
            "1|Shirts|Blue, checked, Shirt",
            "2|Tops|\"Open Top",
            "3|Tops|Closed, Top",
            "4",
            "5|Tops|Caf\u{fffd}",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn names_of_columns_may_be_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("styles.csv");
        std::fs::write(&path, "\u{feff}\"id\", \"articleType\"\r\n\"1\",\"Tops\"\r\n").unwrap();
        let columns = Columns::read_lines(&path).unwrap();
        assert_eq!((columns.names, columns.rows), (names(["id", "articleType"]), vec![names(["1", "Tops"])]));
    }

    fn names(all: [&str; 2]) -> Vec<String> {
        all.map(str::to_owned).into()
    }

    #[test]
    fn a_manifest_may_quote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.csv");
        std::fs::write(&path, "\u{feff}path,who\n\"a,\n\"\"b\"\".jpg\",1\nshort\n").unwrap();
        let columns = Columns::read(&path).unwrap();
        assert_eq!(columns.place("path"), Some(0));
        assert_eq!(columns.rows, [vec!["a,\n\"b\".jpg", "1"], vec!["short"]]);
    }

    #[test]
    fn a_path_is_a_photo_s_name_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.csv");
        let whole = folder.path().canonicalize().unwrap().join("shirts/1.jpg");
        let rows = "who,path\n./1,./shirts/1.jpg\n,shirts/.//1.jpg\n,\nshort\n";
        std::fs::write(&path, format!("{rows}2,{}\n", whole.display())).unwrap();
        let columns = Columns::read(&path).unwrap();
        let photo = "shirts/1.jpg";
        let expected = [vec!["./1", photo], vec!["", photo], vec!["", ""], vec!["short"], vec!["2", photo]];
        assert_eq!(columns.rows, expected);
    }
}
