use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::LEASE;
use super::database::{self, Database, Inside, now};
use super::wake::Wake;
use crate::group::{Beat, Holder, Living, Store, View};
use crate::{Membership, NextOffset, PollLimit, Result, StoredRecord, Subscription, TopicPartition};

/// A group in the tables, as one of its members reaches it.
#[derive(Debug)]
pub(super) struct Member {
    database: Database,
    wake: Arc<Wake>,
    me: Membership,
}

impl Member {
    /// Joins the group as the slot's next incarnation. What the previous one held is this one's already: it may work on
    /// it, and can't commit any more.
    pub(super) fn join(
        database: Database,
        wake: Arc<Wake>,
        subscription: Subscription,
    ) -> Result<(Self, Membership)> {
        let Subscription { group, topics, slot } = subscription;
        let incarnation = database.write(|sql| {
            let incarnation = sql
                .prepare_cached(
                    "INSERT INTO members (grp, slot, incarnation, alive_until, process) VALUES (?, ?, 1, ?, ?)
                     ON CONFLICT DO UPDATE SET incarnation = incarnation + 1, alive_until = excluded.alive_until,
                         process = excluded.process
                     RETURNING incarnation",
                )?
                .query_row(params![group, slot, lease_end(), std::process::id()], |row| row.get::<_, i64>(0))?;
            sql.prepare_cached("DELETE FROM subscriptions WHERE grp = ? AND slot = ?")?.execute([&group, &slot])?;
            for topic in &topics {
                let topic = database::topic(sql, topic)?.id;
                sql.prepare_cached("INSERT OR IGNORE INTO subscriptions VALUES (?, ?, ?)")?
                    .execute(params![group, slot, topic])?;
                // From now on nothing is dropped that the group hasn't read.
                sql.prepare_cached(
                    "INSERT OR IGNORE INTO offsets SELECT ?, id, start FROM partitions WHERE topic = ?",
                )?
                .execute(params![group, topic])?;
            }
            sql.prepare_cached("UPDATE leases SET incarnation = ? WHERE grp = ? AND slot = ?")?
                .execute(params![incarnation, group, slot])?;
            // What the predecessor subscribed to and this one doesn't is for the others.
            sql.prepare_cached(
                "DELETE FROM leases WHERE grp = ?1 AND slot = ?2 AND partition NOT IN (
                     SELECT p.id FROM subscriptions s JOIN partitions p ON p.topic = s.topic
                     WHERE s.grp = ?1 AND s.slot = ?2)",
            )?
            .execute([&group, &slot])?;
            next_epoch(sql, &group)?;
            Ok(incarnation)
        })?;
        wake.ring();
        let me = Membership { group, slot, incarnation };
        Ok((Self { database, wake, me: me.clone() }, me))
    }
}

impl Store for Member {
    fn beat(&mut self, held: &[TopicPartition]) -> Result<Option<Beat>> {
        let me = &self.me;
        self.database.write(|sql| {
            if !renew(sql, me)? {
                return Ok(None);
            }
            let view = view(sql, me)?;
            let moves = view.moves(me, held);
            for at in &moves.grab {
                sql.prepare_cached("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)")?.execute(params![
                    me.group,
                    database::partition(sql, at)?,
                    me.slot,
                    me.incarnation
                ])?;
            }
            let taken = moves.adopt.into_iter().chain(moves.grab);
            let taken = taken.map(|at| {
                let next = continues_at(sql, &me.group, &at)?;
                Ok((at, next))
            });
            let taken = taken.collect::<Result<_, Inside>>()?;
            Ok(Some(Beat { epoch: epoch(sql, &me.group)?, lost: moves.lost, release: moves.release, taken }))
        })
    }

    fn epoch(&mut self) -> Result<i64> {
        self.database.read(|sql| epoch(sql, &self.me.group))
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let me = &self.me;
        self.database.write(|sql| {
            for at in partitions {
                sql.prepare_cached(
                    "DELETE FROM leases WHERE grp = ? AND partition = ? AND slot = ? AND incarnation = ?",
                )?
                .execute(params![
                    me.group,
                    database::partition(sql, at)?,
                    me.slot,
                    me.incarnation
                ])?;
            }
            next_epoch(sql, &me.group)
        })?;
        self.wake.ring();
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        let me = &self.me;
        self.database.write(|sql| {
            let gone = sql
                .prepare_cached(
                    "UPDATE members SET alive_until = 0 WHERE grp = ? AND slot = ? AND incarnation = ?",
                )?
                .execute(params![me.group, me.slot, me.incarnation])?;
            if gone == 0 {
                return Ok(()); // Its successor has everything.
            }
            sql.prepare_cached("DELETE FROM leases WHERE grp = ? AND slot = ?")?
                .execute([&me.group, &me.slot])?;
            next_epoch(sql, &me.group)
        })?;
        self.wake.ring();
        Ok(())
    }

    fn fetch(
        &mut self,
        at: &TopicPartition,
        from: NextOffset,
        room: PollLimit,
        first: bool,
    ) -> Result<Vec<StoredRecord>> {
        self.database.read(|sql| database::records(sql, at, from, room, first))
    }
}

fn lease_end() -> i64 {
    now() + LEASE.as_micros() as i64
}

/// Between which times the leases of the living end. One that ends later than any can was taken before the clock was set
/// back: its holder renews it, or is dead.
pub(super) fn ends_of_the_living() -> [i64; 2] {
    [now(), lease_end() + LEASE.as_micros() as i64]
}

/// Whether the member still is the newest incarnation of its slot.
fn renew(sql: &Connection, me: &Membership) -> Result<bool, Inside> {
    let renewed = sql
        .prepare_cached("UPDATE members SET alive_until = ? WHERE grp = ? AND slot = ? AND incarnation = ?")?
        .execute(params![lease_end(), me.group, me.slot, me.incarnation])?;
    Ok(renewed > 0)
}

fn epoch(sql: &Connection, group: &str) -> Result<i64, Inside> {
    let mut query = sql.prepare_cached("SELECT epoch FROM groups WHERE grp = ?")?;
    Ok(query.query_row([group], |row| row.get(0))?)
}

fn next_epoch(sql: &Connection, group: &str) -> Result<(), Inside> {
    sql.prepare_cached("INSERT INTO groups VALUES (?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1")?
        .execute([group])?;
    Ok(())
}

/// Where the group continues, behind what housekeeping has dropped.
fn continues_at(sql: &Connection, group: &str, at: &TopicPartition) -> Result<NextOffset, Inside> {
    let mut query = sql.prepare_cached(
        "SELECT max(p.start, coalesce(o.next, 0))
         FROM partitions p LEFT JOIN offsets o ON o.partition = p.id AND o.grp = ? WHERE p.id = ?",
    )?;
    let next = query.query_row(params![group, database::partition(sql, at)?], |row| row.get(0)).optional()?;
    Ok(next.map_or(NextOffset::START, NextOffset))
}

fn view(sql: &Connection, me: &Membership) -> Result<View, Inside> {
    let mut view = View::default();
    let mut members = sql.prepare_cached(
        "SELECT m.slot, m.incarnation, t.name FROM members m
         JOIN subscriptions s ON s.grp = m.grp AND s.slot = m.slot JOIN topics t ON t.id = s.topic
         WHERE m.grp = ? AND m.alive_until BETWEEN ? AND ?",
    )?;
    let [now, latest] = ends_of_the_living();
    let mut rows = members.query(params![me.group, now, latest])?;
    while let Some(row) = rows.next()? {
        let member = view.living.entry(row.get(0)?);
        let member = member.or_insert(Living { incarnation: row.get(1)?, topics: Vec::new() });
        member.topics.push(row.get(2)?);
    }
    let mut leases = sql.prepare_cached(
        "SELECT t.name, p.partition, l.slot, l.incarnation FROM leases l
         JOIN partitions p ON p.id = l.partition JOIN topics t ON t.id = p.topic WHERE l.grp = ?",
    )?;
    let mut rows = leases.query([&me.group])?;
    while let Some(row) = rows.next()? {
        let at = TopicPartition { topic: row.get(0)?, partition: row.get(1)? };
        view.leases.insert(at, Holder { slot: row.get(2)?, incarnation: row.get(3)? });
    }
    let mut topics = sql.prepare_cached(
        "SELECT t.name, t.partitions FROM subscriptions s JOIN topics t ON t.id = s.topic
         WHERE s.grp = ? AND s.slot = ?",
    )?;
    let topics = topics.query_map([&me.group, &me.slot], |row| Ok((row.get(0)?, row.get(1)?)))?;
    view.topics = topics.collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    Ok(view)
}
