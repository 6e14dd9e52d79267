//! The log of one machine: an SQLite file in WAL mode with `synchronous=FULL`, so that a commit that has returned
//! survives everything short of the disk. Several processes may share it; they take turns in writing, and a change by
//! one wakes the others.
//!
//! Its groups need no leader: each member looks at who lives and who holds what, and takes or gives what it should, in
//! one transaction (`group.rs`). A commit checks in its own transaction that the committer still holds what it
//! advances.

mod database;
mod disk;
mod housekeeping;
mod member;
mod patience;
mod producer;
mod schema;
#[cfg(test)]
mod tests;
mod wake;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;

use crate::group::{GroupMember, Pace};
use crate::{
    Bounds, Consumer, Group, Housekeeping, Log, Member, NextOffset, PollLimit, Producer, READ_BYTES,
    Rebalance, Result, Retention, StoredRecord, Subscription, Topic, TopicPartition,
};
use database::{Database, Durability};
use wake::Wake;

/// Heartbeats, and looks for news that no bell has rung for.
const PACE: Pace = Pace { beat: Duration::from_secs(1), look: Duration::from_millis(500) };
/// How long a member without a heartbeat counts as living.
const LEASE: Duration = Duration::from_secs(5);

/// The embedded log.
#[derive(Clone)]
pub struct Embedded {
    place: PathBuf,
    /// For what isn't a consumer's or a producer's, who have connections of their own.
    database: Database,
    wake: Arc<Wake>,
    identity: Arc<str>,
}

impl Embedded {
    /// Opens the log in the file `path`, creating it and its folder if need be.
    pub fn open(path: &Path) -> Result<Self> {
        let path = resolved(path);
        let wake = Wake::of_file(&path)?;
        let _alone = Wake::alone(&path)?;
        let database = Database::open(&path, Durability::Power)?;
        Self::of(path, database, wake)
    }

    /// A log in memory, gone with its last handle.
    pub fn in_memory() -> Result<Self> {
        Self::of(PathBuf::new(), Database::in_memory()?, Wake::alone_in_memory())
    }

    fn of(place: PathBuf, database: Database, wake: Arc<Wake>) -> Result<Self> {
        let identity = database
            .read(|sql| Ok(sql.query_row("SELECT identity FROM log", [], |row| row.get::<_, String>(0))?))?;
        Ok(Self { place, database, wake, identity: identity.into() })
    }

    /// A connection for one consumer or producer.
    fn connect(&self, durability: Durability) -> Result<Database> {
        self.database.another(&self.place, durability)
    }

    /// Keeps records for so long from now on, in the topics that keep them by their age. Whether that is another time than
    /// before.
    pub fn keep(&self, age: Duration) -> Result<bool> {
        let age = microseconds(age);
        self.database.write(|sql| {
            let others = "UPDATE topics SET keep_us = ?1 WHERE keep_us IS NOT NULL AND keep_us != ?1";
            Ok(sql.execute(others, [age])? > 0)
        })
    }

    fn writer(&self, slot: &str) -> Result<producer::EmbeddedProducer> {
        producer::EmbeddedProducer::open(self.connect(Durability::Power)?, Arc::clone(&self.wake), slot)
    }
}

/// The file itself, where the path is a link to it: SQLite keeps the write-ahead log beside that, and whichever way others
/// come, they must hear the same bell.
fn resolved(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // The system follows no more of them.
    for _ in 0..40 {
        let Ok(target) = path.read_link() else { break };
        path.pop();
        path.push(target);
    }
    path
}

fn microseconds(age: Duration) -> i64 {
    i64::try_from(age.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Embedded").field(&self.place).finish()
    }
}

impl Log for Embedded {
    fn identity(&self) -> Result<String> {
        Ok(self.identity.as_ref().into())
    }

    fn create(&self, topics: &[Topic]) -> Result<()> {
        self.database.write(|sql| {
            for topic in topics {
                let keep = match topic.retention {
                    Retention::Compact => None,
                    Retention::Age(age) => Some(microseconds(age)),
                };
                let partitions = topic.partitions.max(1);
                let new = sql
                    .prepare_cached(
                        "INSERT OR IGNORE INTO topics (name, partitions, keep_us) VALUES (?, ?, ?)",
                    )?
                    .execute(params![topic.name, partitions, keep])?;
                if new == 0 {
                    continue;
                }
                let id = sql.last_insert_rowid();
                for partition in 0..partitions {
                    sql.prepare_cached("INSERT INTO partitions (topic, partition) VALUES (?, ?)")?
                        .execute(params![id, partition])?;
                }
            }
            Ok(())
        })?;
        self.wake.ring();
        Ok(())
    }

    fn topics(&self) -> Result<Vec<Topic>> {
        self.database.read(|sql| {
            let mut query =
                sql.prepare_cached("SELECT name, partitions, keep_us FROM topics ORDER BY name")?;
            let topics = query.query_map([], |row| {
                let retention = match row.get::<_, Option<i64>>(2)? {
                    None => Retention::Compact,
                    Some(keep) => Retention::Age(Duration::from_micros(keep as u64)),
                };
                Ok(Topic { name: row.get(0)?, partitions: row.get(1)?, retention })
            })?;
            Ok(topics.collect::<rusqlite::Result<_>>()?)
        })
    }

    fn subscribe(
        &self,
        subscription: Subscription,
        rebalance: Box<dyn Rebalance>,
    ) -> Result<Box<dyn Consumer>> {
        let (member, membership) =
            member::Member::join(self.connect(Durability::Process)?, Arc::clone(&self.wake), subscription)?;
        let bell = Arc::clone(&self.wake.bell);
        Ok(Box::new(GroupMember::new(member, membership, rebalance, bell, PACE)))
    }

    fn producer(&self, slot: &str) -> Result<Box<dyn Producer>> {
        Ok(Box::new(self.writer(slot)?))
    }

    fn read(&self, at: &TopicPartition, from: NextOffset, max: usize) -> Result<Vec<StoredRecord>> {
        let room = PollLimit { records: max, bytes: READ_BYTES };
        self.database.read(|sql| database::records(sql, at, from, room, true))
    }

    fn bounds(&self, topic: &str) -> Result<Vec<Bounds>> {
        self.database.read(|sql| {
            let id = database::topic(sql, topic)?.id;
            let mut query = sql.prepare_cached(
                "SELECT partition, start, next FROM partitions WHERE topic = ? ORDER BY partition",
            )?;
            let bounds = query.query_map([id], |row| {
                let at = TopicPartition::new(topic, row.get(0)?);
                Ok(Bounds { at, start: NextOffset(row.get(1)?), end: NextOffset(row.get(2)?) })
            })?;
            Ok(bounds.collect::<rusqlite::Result<_>>()?)
        })
    }

    fn hurry(&self) {
        self.database.hurry();
    }

    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, NextOffset>> {
        self.database.read(|sql| {
            let mut query = sql.prepare_cached(
                "SELECT t.name, p.partition, o.next
                 FROM offsets o JOIN partitions p ON p.id = o.partition JOIN topics t ON t.id = p.topic
                 WHERE o.grp = ?",
            )?;
            let offsets = query.query_map([group], |row| {
                Ok((TopicPartition { topic: row.get(0)?, partition: row.get(1)? }, NextOffset(row.get(2)?)))
            })?;
            Ok(offsets.collect::<rusqlite::Result<_>>()?)
        })
    }

    fn groups(&self) -> Result<Vec<Group>> {
        self.database.read(|sql| {
            let mut groups = BTreeMap::<String, Vec<Member>>::new();
            let mut query = sql.prepare_cached("SELECT grp FROM groups")?;
            for name in query.query_map([], |row| row.get(0))? {
                groups.insert(name?, Vec::new());
            }
            let mut members = sql.prepare_cached(
                "SELECT grp, slot, incarnation, process FROM members
                 WHERE alive_until BETWEEN ? AND ? ORDER BY grp, slot",
            )?;
            let mut leases = sql.prepare_cached(
                "SELECT t.name, p.partition
                 FROM leases l JOIN partitions p ON p.id = l.partition JOIN topics t ON t.id = p.topic
                 WHERE l.grp = ? AND l.slot = ? AND l.incarnation = ? ORDER BY 1, 2",
            )?;
            let mut rows = members.query(member::ends_of_the_living())?;
            while let Some(row) = rows.next()? {
                let (group, slot, incarnation): (String, String, i64) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                let partitions = leases.query_map(params![group, slot, incarnation], |row| {
                    Ok(TopicPartition { topic: row.get(0)?, partition: row.get(1)? })
                })?;
                let partitions = partitions.collect::<rusqlite::Result<_>>()?;
                groups.entry(group).or_default().push(Member { slot, process: row.get(3)?, partitions });
            }
            Ok(groups.into_iter().map(|(name, members)| Group { name, members }).collect())
        })
    }

    fn housekeep(&self) -> Result<Housekeeping> {
        housekeeping::housekeep(&self.database)
    }
}
