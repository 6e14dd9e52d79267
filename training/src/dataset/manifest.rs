use serde::Serialize;

use super::Split;

/// A row of `manifest.csv`.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Below the data set.
    pub(super) path: String,
    pub(super) class: String,
    pub(super) split: Split,
    pub(super) sha256: String,
    pub(super) perceptual_hash: String,
    /// The number of its group.
    pub(super) group: usize,
    /// Who has sent it, where the list that it came from says so: `autorma train` reads it.
    pub(super) contributor: Option<String>,
    /// Below the folder that it came from.
    pub(super) source: String,
    pub(super) bytes: u64,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
}

/// The rows as CSV (RFC 4180, but for the ends of lines), with the names of the columns.
pub(super) fn csv(rows: &[&Row]) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|error| error.to_string())?;
    writer.into_inner().map_err(|error| error.to_string())
}
