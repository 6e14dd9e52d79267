use rusqlite::{Connection, params};

use super::database::{Database, Inside, now, partition_and_offset, place};
use crate::{Housekeeping, Result};

/// Records that one transaction drops at most, so that writers needn't wait long.
const CHUNK: usize = 10_000;
/// So many bytes end a transaction, too: photos may travel in records.
const CHUNK_BYTES: i64 = 32 << 20;

/// Pages of 4 KiB that one transaction gives back, and how many empty ones stay in any case.
const PAGES: i64 = 2000;
const EMPTY_PAGES: i64 = 4000;

/// A stamp that is later than now by more, in microseconds, comes of a clock that was wrong.
const AHEAD: i64 = 24 * 60 * 60 * 1_000_000;

/// Drops what retention allows.
pub(super) fn housekeep(database: &Database) -> Result<Housekeeping> {
    let mut done = Housekeeping::default();
    let now = now();
    for (partition, oldest) in database.read(|sql| partitions_by_age(sql, now))? {
        let mut next = Some(0);
        while let Some(from) = next {
            // What is old is looked for without keeping writers waiting.
            let look = database.read(|sql| look(sql, (partition, from), oldest, now))?;
            done.expired += drop_up_to(database, partition, look.end_of_old)?;
            next = look.next;
        }
    }
    // A record that isn't its key's newest never is again, so they are looked for without keeping writers waiting.
    let outdated = database.read(outdated)?;
    for chunk in outdated.chunks(CHUNK) {
        done.compacted += database.write(|sql| remove(sql, chunk))?;
    }
    // Nor is what is empty: most logs have nothing to give.
    while database.read(is_mostly_empty)? && database.write(give_back)? {}
    Ok(done)
}

/// Whether most of the file is empty. Less is left alone: what comes next mostly needs the room that the last records have
/// left.
fn is_mostly_empty(sql: &Connection) -> Result<bool, Inside> {
    let (empty, all) = (number(sql, "PRAGMA freelist_count")?, number(sql, "PRAGMA page_count")?);
    Ok(empty >= EMPTY_PAGES && empty * 2 >= all)
}

/// Gives some of the file back to the disk. False where it can't shrink: a log that an earlier autorma has made.
fn give_back(sql: &Connection) -> Result<bool, Inside> {
    let before = number(sql, "PRAGMA freelist_count")?;
    sql.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    Ok(number(sql, "PRAGMA freelist_count")? < before)
}

fn number(sql: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    sql.query_row(pragma, [], |row| row.get(0))
}

/// The partitions of topics that keep by age, and since when.
fn partitions_by_age(sql: &Connection, now: i64) -> Result<Vec<(i64, i64)>, Inside> {
    let mut query = sql.prepare_cached(
        "SELECT p.id, t.keep_us FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.keep_us IS NOT NULL",
    )?;
    let partitions = query.query_map([], |row| Ok((row.get(0)?, now.saturating_sub(row.get(1)?))))?;
    Ok(partitions.collect::<rusqlite::Result<_>>()?)
}

/// What a look at some of a partition's records has shown.
struct Look {
    /// Behind the last old one that every group has read; 0 if there is none among them.
    end_of_old: i64,
    /// Where the next look begins; none behind a young record, and at the end.
    next: Option<i64>,
}

/// Looks at as many of the partition's records from an offset on as a transaction may drop.
///
/// A stamp in the future doesn't say how old its record is. But the record came before those behind it: so it
/// goes with an old one there, and stays as long as there is none.
fn look(sql: &Connection, (partition, from): (i64, i64), oldest: i64, now: i64) -> Result<Look, Inside> {
    let (start, read) = start_and_read(sql, partition)?;
    let mut query = sql.prepare_cached(
        "SELECT place, appended_at, length(value) FROM records WHERE place >= ? AND place < ? ORDER BY place
         LIMIT ?",
    )?;
    let (first, last) = (place(partition, from.max(start)), place(partition, read));
    let (mut look, mut found, mut bytes) = (Look { end_of_old: 0, next: None }, 0, 0);
    let mut rows = query.query(params![first, last, CHUNK as i64])?;
    while let Some(row) = rows.next()? {
        let behind = partition_and_offset(row.get(0)?).1 + 1;
        match row.get::<_, i64>(1)? {
            old if old < oldest => look.end_of_old = behind,
            young if young <= now + AHEAD => return Ok(look),
            _ => {}
        }
        (found, bytes) = (found + 1, bytes + row.get::<_, i64>(2)?);
        if found == CHUNK || bytes >= CHUNK_BYTES {
            look.next = Some(behind);
            break;
        }
    }
    Ok(look)
}

/// Drops the partition's records up to an offset, and to what every group has read. Returns how many.
fn drop_up_to(database: &Database, partition: i64, end: i64) -> Result<u64> {
    let mut dropped = 0;
    loop {
        match database.write(|sql| expire(sql, partition, end))? {
            0 => return Ok(dropped),
            some => dropped += some as u64,
        }
    }
}

/// Drops some of the partition's first records, up to `end` and to one that a group hasn't read.
fn expire(sql: &Connection, partition: i64, end: i64) -> Result<usize, Inside> {
    let (start, read) = start_and_read(sql, partition)?;
    let mut query = sql.prepare_cached(
        "SELECT place, length(value) FROM records WHERE place >= ? AND place < ? ORDER BY place LIMIT ?",
    )?;
    let last = place(partition, end.min(read));
    let (mut end, mut found, mut bytes) = (start, 0, 0);
    let mut rows = query.query(params![place(partition, start), last, CHUNK as i64])?;
    while let Some(row) = rows.next()? {
        if bytes >= CHUNK_BYTES {
            break;
        }
        bytes += row.get::<_, i64>(1)?;
        end = partition_and_offset(row.get(0)?).1 + 1;
        found += 1;
    }
    if found > 0 {
        sql.prepare_cached("DELETE FROM records WHERE place >= ? AND place < ?")?
            .execute([place(partition, start), place(partition, end)])?;
        sql.prepare_cached("UPDATE partitions SET start = ? WHERE id = ?")?.execute([end, partition])?;
    }
    Ok(found)
}

/// Where the partition starts, and how far every group has read it. Without any group nothing counts as read:
/// those for whom it is kept haven't come yet.
fn start_and_read(sql: &Connection, partition: i64) -> Result<(i64, i64), Inside> {
    let mut query = sql.prepare_cached(
        "SELECT start, coalesce((SELECT min(next) FROM offsets o WHERE o.partition = p.id), start)
         FROM partitions p WHERE id = ?",
    )?;
    Ok(query.query_row([partition], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// The places of records whose key has a newer one in the same partition.
fn outdated(sql: &Connection) -> Result<Vec<i64>, Inside> {
    let mut query = sql.prepare_cached(
        "SELECT key, place FROM records WHERE compacted IS NOT NULL AND key IS NOT NULL ORDER BY key, place",
    )?;
    let mut rows = query.query([])?;
    let (mut outdated, mut last) = (Vec::new(), None::<(Vec<u8>, i64)>);
    while let Some(row) = rows.next()? {
        let (key, place) = (row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?, row.get(1)?);
        match &mut last {
            Some((last_key, last_place)) if last_key == key => {
                if partition_and_offset(*last_place).0 == partition_and_offset(place).0 {
                    outdated.push(*last_place);
                }
                *last_place = place;
            }
            _ => last = Some((key.to_vec(), place)),
        }
    }
    Ok(outdated)
}

fn remove(sql: &Connection, places: &[i64]) -> Result<u64, Inside> {
    let mut delete = sql.prepare_cached("DELETE FROM records WHERE place = ?")?;
    let mut removed = 0;
    for place in places {
        removed += delete.execute([place])? as u64;
    }
    Ok(removed)
}
