use std::collections::BTreeMap;

use autorma_stream::{NextOffset, StoredRecord, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::bookkeeping::Outside;
use crate::names::Folder;
use crate::store::Store;

/// The version of the manifest and of the parts.
const FORMAT: u32 = 1;

/// What to do about a manifest that is no use. The parts are safe without it, and not without their folder.
const REMEDY: &str = "move this file away, and no other, and start again: the log is read from its beginning, and what is \
                      beside the file is kept in a folder of another name (….old-1); outcomes of the sink's own run \
                      (outside_…) are there alone then, and get no results file";
/// And about one that a newer autorma has written.
const NEWER: &str = "start that autorma again";

/// Offsets as JSON has them: by topic, then by partition.
pub(crate) type Offsets = BTreeMap<String, BTreeMap<i32, i64>>;

/// How far the parts go: the moment of truth. What it doesn't cover hasn't happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The log whose offsets these are.
    pub(crate) log: String,
    /// Parts with this number and higher ones don't count.
    pub(crate) next_part: u64,
    /// Where to continue.
    #[serde(with = "by_topic")]
    pub(crate) offsets: BTreeMap<TopicPartition, NextOffset>,
    /// The last record of each partition that was taken: where another one stands there, it is another log. A manifest of
    /// an earlier autorma doesn't say it.
    #[serde(default)]
    pub(crate) last: BTreeMap<String, Mark>,
    /// What was durable in another output folder when this one began: outcomes without a run are there.
    #[serde(default, with = "by_topic")]
    pub(crate) elsewhere: BTreeMap<TopicPartition, NextOffset>,
    /// The sink's own run.
    #[serde(default)]
    pub(crate) outside: Option<Outside>,
    /// How many outcomes the parts of each unfinished run hold: parts that somebody has removed are missed.
    #[serde(default)]
    pub(crate) outcomes: BTreeMap<String, u64>,
}

/// What tells a record from another one that stands at its place in a log of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) offset: i64,
    pub(crate) appended_at: i64,
}

impl Mark {
    pub(crate) fn of(record: &StoredRecord) -> Self {
        Self { offset: record.offset.0, appended_at: record.appended_at }
    }
}

/// What stands in the file.
#[derive(Debug, Serialize)]
struct Written<'a> {
    format: u32,
    #[serde(flatten)]
    manifest: &'a Manifest,
}

/// What every version has.
#[derive(Debug, Deserialize)]
struct Format {
    format: u32,
}

impl Manifest {
    /// The manifest of this log's folder, if there is one.
    pub(crate) fn load(store: &Store, folder: &Folder, log: &str) -> Result<Option<Self>, Error> {
        let path = folder.manifest();
        let Some(text) = store.get(&path)? else {
            return Ok(None);
        };
        let of_no_use = |cause, remedy| Error::Unreadable { place: store.place(&path), cause, remedy };
        let unreadable = |error: serde_json::Error| of_no_use(error.to_string(), REMEDY);
        let Format { format } = serde_json::from_slice(&text).map_err(unreadable)?;
        if format > FORMAT {
            let cause =
                format!("it is of format {format}, of a newer autorma; this one knows format {FORMAT}");
            return Err(of_no_use(cause, NEWER));
        }
        if format < FORMAT {
            return Err(of_no_use(format!("it is of format {format}, which no autorma writes"), REMEDY));
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(unreadable)?;
        if manifest.log != log {
            return Err(of_no_use(format!("it is of the log {}, not {log}", manifest.log), REMEDY));
        }
        Ok(Some(manifest))
    }

    /// Replaces the manifest, at once and durably.
    pub(crate) fn save(&self, store: &Store, folder: &Folder) -> Result<(), Error> {
        let written = Written { format: FORMAT, manifest: self };
        let text = serde_json::to_vec_pretty(&written).expect("numbers and text are JSON");
        store.put(&folder.manifest(), text)
    }
}

/// Offsets in memory, and as JSON has them.
mod by_topic {
    use serde::{Deserializer, Serializer};

    use super::*;

    pub(super) fn serialize<S: Serializer>(
        offsets: &BTreeMap<TopicPartition, NextOffset>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        nested(offsets).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<TopicPartition, NextOffset>, D::Error> {
        Offsets::deserialize(deserializer).map(flat)
    }
}

fn nested(offsets: &BTreeMap<TopicPartition, NextOffset>) -> Offsets {
    let mut nested = Offsets::new();
    for (at, next) in offsets {
        nested.entry(at.topic.clone()).or_default().insert(at.partition, next.0);
    }
    nested
}

fn flat(offsets: Offsets) -> BTreeMap<TopicPartition, NextOffset> {
    let topic = |(topic, partitions): (String, BTreeMap<i32, i64>)| {
        let at = move |(partition, next)| (TopicPartition::new(topic.clone(), partition), NextOffset(next));
        partitions.into_iter().map(at)
    };
    offsets.into_iter().flat_map(topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use autorma_schemas::Micros;

    #[test]
    fn a_manifest_is_read_back_by_its_own_log_alone() {
        let output = tempfile::tempdir().unwrap();
        let store = Store::open(output.path()).unwrap();
        let folder = Folder::new("here");
        assert_eq!(Manifest::load(&store, &folder, "here").unwrap(), None);
        let at = |partition| TopicPartition::new("predictions", partition);
        let manifest = Manifest {
            log: "here".into(),
            next_part: 7,
            offsets: BTreeMap::from([(at(0), NextOffset(5)), (at(11), NextOffset(9))]),
            last: BTreeMap::from([(at(11).to_string(), Mark { offset: 7, appended_at: 1 })]),
            elsewhere: BTreeMap::from([(at(0), NextOffset(2))]),
            outside: Some(Outside {
                run_id: "o".into(),
                opened_at: Micros(3),
                closed_at: None,
                begins: BTreeMap::from([(String::new(), nested(&BTreeMap::from([(at(0), NextOffset(3))])))]),
            }),
            outcomes: BTreeMap::from([("20261123_153147".into(), 41)]),
        };
        manifest.save(&store, &folder).unwrap();
        assert_eq!(Manifest::load(&store, &folder, "here").unwrap(), Some(manifest));
        let other = Manifest::load(&store, &folder, "there").unwrap_err();
        assert!(other.to_string().contains("manifest.json"), "{other}");
        store.put(&folder.manifest(), b"{\"format\": 2, ".to_vec()).unwrap();
        assert!(matches!(Manifest::load(&store, &folder, "here"), Err(Error::Unreadable { .. })));
    }

    #[test]
    fn what_to_do_about_one_that_is_no_use_depends_on_why() {
        let output = tempfile::tempdir().unwrap();
        let store = Store::open(output.path()).unwrap();
        let folder = Folder::new("here");
        let said = |text: &str| {
            store.put(&folder.manifest(), text.into()).unwrap();
            Manifest::load(&store, &folder, "here").unwrap_err().to_string()
        };
        let other = r#"{"format": 1, "log": "there", "next_part": 0, "offsets": {}}"#;
        let older = r#"{"format": 0, "log": "here", "next_part": 0, "offsets": {}}"#;
        for text in ["{", "{}", r#"{"format": 1}"#, other, older] {
            let said = said(text);
            assert!(said.contains("move this file away, and no other, and start again"), "{said}");
        }
        let newer = said(r#"{"format": 2, "logs": []}"#);
        assert!(newer.contains("format 2") && newer.ends_with("start that autorma again"), "{newer}");
    }

    #[test]
    fn one_of_an_earlier_autorma_has_offsets_alone() {
        let output = tempfile::tempdir().unwrap();
        let store = Store::open(output.path()).unwrap();
        let folder = Folder::new("here");
        let text = r#"{"format": 1, "log": "here", "next_part": 7, "offsets": {"predictions": {"0": 5}}}"#;
        store.put(&folder.manifest(), text.into()).unwrap();
        let offsets = BTreeMap::from([(TopicPartition::new("predictions", 0), NextOffset(5))]);
        let manifest = Manifest { log: "here".into(), next_part: 7, offsets, ..Manifest::default() };
        assert_eq!(Manifest::load(&store, &folder, "here").unwrap(), Some(manifest));
    }
}
