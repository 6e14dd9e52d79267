use serde::{Deserialize, Serialize};

use crate::Event;

/// What ingest remembers of a file that it has published. Schema: `schemas/avro/v1/ledger_record.avsc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LedgerRecord {
    pub uri: String,
    pub size: i64,
    pub modified_ns: i64,
    pub sha256: String,
    pub event_id: String,
    pub run_id: String,
}

impl Event for LedgerRecord {
    const SCHEMAS: &'static [&'static str] = &[include_str!("../avro/v1/ledger_record.avsc")];
}
