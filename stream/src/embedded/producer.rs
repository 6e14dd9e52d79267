use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::database::{self, Database, Inside, TopicRow, now, place};
use super::wake::Wake;
use crate::group::stable_hash;
use crate::{
    Advance, Append, Error, Membership, NextOffset, Producer, Result, TopicPartition, Transaction, failpoint,
};

/// Writes transactions.
#[derive(Debug)]
pub(super) struct EmbeddedProducer {
    pub(super) database: Database,
    wake: Arc<Wake>,
    slot: String,
    incarnation: i64,
    /// Counts the records without a key, which go to the partitions in turn.
    turn: u64,
}

impl EmbeddedProducer {
    /// The slot's next incarnation.
    pub(super) fn open(database: Database, wake: Arc<Wake>, slot: &str) -> Result<Self> {
        let incarnation = database.write(|sql| {
            let mut next = sql.prepare_cached(
                "INSERT INTO producers VALUES (?, 1) ON CONFLICT DO UPDATE SET incarnation = incarnation + 1
                 RETURNING incarnation",
            )?;
            Ok(next.query_row([slot], |row| row.get(0))?)
        })?;
        Ok(Self { database, wake, slot: slot.into(), incarnation, turn: 0 })
    }

    fn is_newest(&self, sql: &Connection) -> Result<(), Inside> {
        let mut query = sql.prepare_cached("SELECT 1 FROM producers WHERE slot = ? AND incarnation = ?")?;
        match query.exists(params![self.slot, self.incarnation])? {
            true => Ok(()),
            false => Err(Error::Fenced { slot: self.slot.clone() }.into()),
        }
    }
}

impl Producer for EmbeddedProducer {
    fn commit(&mut self, transaction: &Transaction) -> Result<()> {
        let mut turn = self.turn;
        self.database.write(|sql| {
            self.is_newest(sql)?;
            if let Some(advance) = &transaction.advance {
                commit_offsets(sql, advance, !transaction.appends.is_empty())?;
            }
            let mut tails = Tails::new(sql, turn)?;
            for append in &transaction.appends {
                tails.append(append)?;
            }
            turn = tails.finish()?;
            failpoint::hit("log-before-commit");
            Ok(())
        })?;
        failpoint::hit("log-after-commit");
        self.turn = turn;
        self.wake.ring();
        Ok(())
    }
}

/// Advances the offsets if the member still holds the partitions.
///
/// A group's offset never goes back. Whoever starts from an earlier place by choice does again what was done already:
/// without appends that is harmless and changes nothing; outputs of it would be there twice, and are refused like those
/// of a member that has lost the partition.
fn commit_offsets(sql: &Connection, advance: &Advance, with_appends: bool) -> Result<(), Inside> {
    let Advance { membership, offsets, .. } = advance;
    for (at, next) in offsets {
        let partition = database::partition(sql, at)?;
        let committed = held_offset(sql, membership, partition)?;
        let committed = committed.filter(|_| advance.is_alive(at, with_appends));
        let refused = committed.is_none_or(|committed| with_appends && *next <= committed);
        if refused {
            return Err(Error::AssignmentEnded(at.clone()).into());
        }
        sql.prepare_cached("UPDATE offsets SET next = max(next, ?) WHERE grp = ? AND partition = ?")?
            .execute(params![next.0, membership.group, partition])?;
    }
    Ok(())
}

/// Where the group continues in the partition, if the member holds it and no later incarnation has its slot.
fn held_offset(sql: &Connection, member: &Membership, partition: i64) -> Result<Option<NextOffset>, Inside> {
    let mut query = sql.prepare_cached(
        "SELECT o.next FROM leases l
         JOIN members m ON m.grp = l.grp AND m.slot = l.slot AND m.incarnation = l.incarnation
         JOIN offsets o ON o.grp = l.grp AND o.partition = l.partition
         WHERE l.grp = ? AND l.partition = ? AND l.slot = ? AND l.incarnation = ?",
    )?;
    let values = params![member.group, partition, member.slot, member.incarnation];
    Ok(query.query_row(values, |row| row.get(0).map(NextOffset)).optional()?)
}

/// The ends of the partitions that a transaction appends to.
struct Tails<'a> {
    sql: &'a Connection,
    insert: CachedStatement<'a>,
    topics: HashMap<&'a str, Topic>,
    turn: u64,
    now: i64,
}

struct Topic {
    row: TopicRow,
    tails: BTreeMap<u32, Tail>,
}

struct Tail {
    partition: i64,
    next: i64,
}

impl<'a> Tails<'a> {
    fn new(sql: &'a Connection, turn: u64) -> Result<Self, Inside> {
        let insert = sql.prepare_cached(
            "INSERT INTO records (place, key, value, headers, appended_at, compacted) VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        Ok(Self { sql, insert, topics: HashMap::new(), turn, now: now() })
    }

    fn append(&mut self, append: &'a Append) -> Result<(), Inside> {
        let topic = match self.topics.get_mut(append.topic.as_str()) {
            Some(topic) => topic,
            None => {
                let row = database::topic(self.sql, &append.topic)?;
                self.topics.entry(&append.topic).or_insert(Topic { row, tails: BTreeMap::new() })
            }
        };
        let number = match (append.partition, &append.key) {
            (Some(partition), _) => u32::try_from(partition).unwrap_or(u32::MAX),
            (None, Some(key)) => (stable_hash(key) % u64::from(topic.row.partitions)) as u32,
            (None, None) => {
                self.turn += 1;
                (self.turn % u64::from(topic.row.partitions)) as u32
            }
        };
        let tail = match topic.tails.get_mut(&number) {
            Some(tail) => tail,
            None => {
                let tail = tail(self.sql, topic.row.id, number)?.ok_or_else(|| {
                    let partition = append.partition.unwrap_or(-1);
                    Error::UnknownPartition(TopicPartition::new(&append.topic, partition))
                })?;
                topic.tails.entry(number).or_insert(tail)
            }
        };
        self.insert.execute(params![
            place(tail.partition, tail.next),
            append.key,
            append.value,
            database::pack(&append.headers),
            self.now,
            topic.row.compact.then_some(1)
        ])?;
        tail.next += 1;
        Ok(())
    }

    /// Writes where the partitions end now.
    fn finish(self) -> Result<u64, Inside> {
        let mut update = self.sql.prepare_cached("UPDATE partitions SET next = ? WHERE id = ?")?;
        for tail in self.topics.values().flat_map(|topic| topic.tails.values()) {
            update.execute([tail.next, tail.partition])?;
        }
        Ok(self.turn)
    }
}

fn tail(sql: &Connection, topic: i64, number: u32) -> Result<Option<Tail>, Inside> {
    let mut query =
        sql.prepare_cached("SELECT id, next FROM partitions WHERE topic = ? AND partition = ?")?;
    let tail =
        query.query_row(params![topic, number], |row| Ok(Tail { partition: row.get(0)?, next: row.get(1)? }));
    Ok(tail.optional()?)
}
