use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{FairMutex, Mutex};
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::patience::{Hurry, patience};
use super::{disk, schema};
use crate::{Error, NextOffset, Offset, PollLimit, Result, StoredRecord, TopicPartition};

/// How long the write-ahead log waits for its readers: much less than a lease.
const BRIEFLY: Duration = Duration::from_millis(500);
/// After how many pages of 4 KiB the write-ahead log goes into the main file: seldom, as that waits for the disk twice.
const CHECKPOINT_PAGES: i64 = 4000;
/// What is left of the write-ahead log's file when all of it is in the main file.
pub(super) const WAL_BYTES: i64 = 64 << 20;

/// A connection. Those of a log in memory are all the same one: there is no other way to its data.
#[derive(Debug, Clone)]
pub(super) struct Database {
    connection: Arc<Mutex<Connection>>,
    place: Arc<str>,
    /// Writers of one process take turns in the order in which they come. SQLite's lock knows no order: a heartbeat could
    /// wait behind a busy producer until its lease is over.
    turn: Arc<FairMutex<()>>,
    hurry: Hurry,
    /// The files, where there are some.
    file: Option<Arc<LogFile>>,
}

/// The file that a connection has open, and two beside it, which are the same ones as long as any connection is open: the
/// write-ahead log, and what all processes share, its index and the lock of who writes (`-shm`).
#[derive(Debug)]
struct LogFile {
    /// The log itself, then the write-ahead log and the shared memory.
    paths: [PathBuf; 3],
    /// What tells them from others that lie in their places later.
    inodes: [Inode; 3],
}

/// A device, and a number on it.
type Inode = (u64, u64);

impl LogFile {
    fn of(path: &Path) -> io::Result<Self> {
        let beside = |end| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let paths = [path.to_owned(), beside("-wal"), beside("-shm")];
        Ok(Self { inodes: inodes(&paths)?, paths })
    }

    /// An error if one of them lies there no more: what is written is gone with the process, or overwritten by another,
    /// which knows of another lock.
    fn expect_in_place(&self) -> Result<()> {
        let is_there = match inodes(&self.paths) {
            Ok(inodes) => inodes == self.inodes,
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        };
        let cause = "it, or the -wal or -shm beside it, was removed or replaced while it was in use: put it back, or start \
                     again with what is there";
        let gone = || Error::Storage { place: self.paths[0].display().to_string(), cause: cause.into() };
        if is_there { Ok(()) } else { Err(gone()) }
    }
}

fn inodes([log, wal, shared]: &[PathBuf; 3]) -> io::Result<[Inode; 3]> {
    let inode = |file: Metadata| (file.dev(), file.ino());
    Ok([inode(fs::metadata(log)?), inode(fs::metadata(wal)?), inode(fs::metadata(shared)?)])
}

/// What a connection's commits survive.
#[derive(Debug, Clone, Copy)]
pub(super) enum Durability {
    /// The loss of power.
    Power,
    /// The death of the process. For what means nothing once all processes are dead: leases.
    Process,
}

impl Durability {
    fn synchronous(self) -> &'static str {
        match self {
            Durability::Power => "FULL",
            Durability::Process => "NORMAL",
        }
    }
}

/// What can go wrong inside a transaction.
pub(super) enum Inside {
    Sql(rusqlite::Error),
    Log(Error),
}

impl From<rusqlite::Error> for Inside {
    fn from(error: rusqlite::Error) -> Self {
        Inside::Sql(error)
    }
}

impl From<Error> for Inside {
    fn from(error: Error) -> Self {
        Inside::Log(error)
    }
}

impl Database {
    /// A connection to the log in the file, which is created if need be.
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self> {
        let place: Arc<str> = path.display().to_string().into();
        let connect = || {
            let mut connection = Connection::open(path)?;
            connection.busy_handler(Some(patience))?;
            let exists = schema::exists(&connection, &place)?;
            if !exists {
                // Only before anything is in the file, and the next line writes to it.
                connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            }
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", durability.synchronous())?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
            if !exists {
                schema::create(&mut connection)?;
            }
            // Where another program has switched the write-ahead log off, its file only comes with the next look.
            schema::exists(&connection, &place)?;
            Ok(connection)
        };
        let connection = connect().map_err(|inside| error(inside, &place))?;
        let file = LogFile::of(path).map_err(|error| disk::error(&error, path))?;
        Ok(Self { file: Some(Arc::new(file)), ..Self::of(connection, place) })
    }

    pub(super) fn in_memory() -> Result<Self> {
        let place: Arc<str> = "memory".into();
        let connect = || {
            let mut connection = Connection::open_in_memory()?;
            schema::create(&mut connection)?;
            Ok(connection)
        };
        let connection = connect().map_err(|cause: rusqlite::Error| error(cause.into(), &place))?;
        Ok(Self::of(connection, place))
    }

    fn of(connection: Connection, place: Arc<str>) -> Self {
        connection.set_prepared_statement_cache_capacity(64);
        let connection = Arc::new(Mutex::new(connection));
        Self { connection, place, turn: Arc::default(), hurry: Hurry::default(), file: None }
    }

    /// Another connection to the same log.
    pub(super) fn another(&self, path: &Path, durability: Durability) -> Result<Self> {
        if path.as_os_str().is_empty() {
            return Ok(self.clone());
        }
        // Before another file is made there.
        self.expect_in_place()?;
        let (turn, hurry, file) = (Arc::clone(&self.turn), self.hurry.clone(), self.file.clone());
        Ok(Self { turn, hurry, file, ..Self::open(path, durability)? })
    }

    /// From now on no connection to this log waits for long for other processes.
    pub(super) fn hurry(&self) {
        self.hurry.begin();
    }

    /// Queries that see one moment of the log.
    pub(super) fn read<T>(&self, queries: impl FnOnce(&Connection) -> Result<T, Inside>) -> Result<T> {
        // Who waits for news would wait for ever.
        self.expect_in_place()?;
        self.transaction(TransactionBehavior::Deferred, queries)
    }

    /// Changes that happen all or not at all, and are durable when this returns.
    pub(super) fn write<T>(&self, changes: impl FnOnce(&Connection) -> Result<T, Inside>) -> Result<T> {
        let _turn = self.turn.lock();
        self.expect_in_place()?;
        let done = self.transaction(TransactionBehavior::Immediate, |sql| {
            let done = changes(sql)?;
            // Once more: other writers may have been waited for meanwhile.
            self.expect_in_place()?;
            Ok(done)
        })?;
        self.bound_wal();
        Ok(done)
    }

    fn expect_in_place(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.expect_in_place())
    }

    /// Writers that are never idle keep the write-ahead log from being written anew from its beginning: once it is too
    /// large, they wait for that. What is committed is safe whether it succeeds or not.
    fn bound_wal(&self) {
        let wal = self.file.as_ref().and_then(|file| fs::metadata(&file.paths[1]).ok());
        let size = wal.map_or(0, |wal| wal.len());
        if size <= WAL_BYTES as u64 {
            return;
        }
        let connection = self.connection.lock();
        // Meanwhile nobody else writes, not even that he lives.
        let restarted = connection
            .busy_timeout(BRIEFLY)
            .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())));
        let patient = connection.busy_handler(Some(patience));
        if let Err(error) = restarted.and(patient) {
            tracing::warn!(%error, size, "the write-ahead log stays large for now");
        }
    }

    fn transaction<T>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Connection) -> Result<T, Inside>,
    ) -> Result<T> {
        let mut connection = self.connection.lock();
        self.hurry.set_this_threads_patience();
        let all = || {
            let transaction = connection.transaction_with_behavior(behavior)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        all().map_err(|inside| match error(inside, &self.place) {
            Error::Busy(_) if self.hurry.has_begun() => Error::GivenUp { place: self.place.to_string() },
            other => other,
        })
    }
}

/// What an error inside a transaction means for the log.
pub(super) fn error(inside: Inside, place: &str) -> Error {
    let error = match inside {
        Inside::Sql(error) => error,
        Inside::Log(error) => return error,
    };
    let cause = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy(format!(
            "another process holds it, and has for too long ({cause}); try again when it has let go"
        )),
        Some(ErrorCode::DiskFull) => Error::DiskFull { place: place.into(), cause },
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => disk::found_out(cause, Path::new(place)),
        Some(ErrorCode::NotADatabase) => {
            let cause = format!("{cause}: it is no log of autorma's, or was overwritten; move it away");
            Error::Storage { place: place.into(), cause }
        }
        _ => Error::Storage { place: place.into(), cause },
    }
}

/// Microseconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// Offsets of one partition are below this; its records' places come right behind the previous partition's.
const OFFSETS: i64 = 1 << 40;

/// The one number under which a record stands in the table.
pub(super) fn place(partition: i64, offset: i64) -> i64 {
    partition * OFFSETS + offset.clamp(0, OFFSETS)
}

/// Of which partition and at which offset the record of this place is.
pub(super) fn partition_and_offset(place: i64) -> (i64, i64) {
    (place / OFFSETS, place % OFFSETS)
}

/// A topic as the tables know it. It never changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicRow {
    pub(super) id: i64,
    pub(super) partitions: u32,
    pub(super) compact: bool,
}

pub(super) fn topic(sql: &Connection, name: &str) -> Result<TopicRow, Inside> {
    let mut query =
        sql.prepare_cached("SELECT id, partitions, keep_us IS NULL FROM topics WHERE name = ?")?;
    let row = query.query_row([name], |row| {
        Ok(TopicRow { id: row.get(0)?, partitions: row.get(1)?, compact: row.get(2)? })
    });
    row.optional()?.ok_or_else(|| Error::UnknownTopic(name.into()).into())
}

/// The id of a partition.
pub(super) fn partition(sql: &Connection, at: &TopicPartition) -> Result<i64, Inside> {
    let mut query = sql.prepare_cached(
        "SELECT p.id FROM partitions p JOIN topics t ON t.id = p.topic WHERE t.name = ? AND p.partition = ?",
    )?;
    let id = query.query_row(params![at.topic, at.partition], |row| row.get(0)).optional()?;
    match id {
        Some(id) => Ok(id),
        None => {
            Err(topic(sql, &at.topic)
                .map_or_else(|error| error, |_| Error::UnknownPartition(at.clone()).into()))
        }
    }
}

/// Records from `from` on, within the room; a single one may exceed its bytes if `first` says so.
pub(super) fn records(
    sql: &Connection,
    at: &TopicPartition,
    from: NextOffset,
    room: PollLimit,
    first: bool,
) -> Result<Vec<StoredRecord>, Inside> {
    let partition = partition(sql, at)?;
    let mut query = sql.prepare_cached(
        "SELECT place, key, value, headers, appended_at FROM records
         WHERE place >= ? AND place < ? ORDER BY place LIMIT ?",
    )?;
    let limit = i64::try_from(room.records).unwrap_or(i64::MAX);
    let mut rows = query.query([place(partition, from.0), place(partition, OFFSETS), limit])?;
    let (mut records, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let headers = row.get::<_, Option<Vec<u8>>>(3)?.map_or_else(Vec::new, |packed| unpack(&packed));
        let offset = Offset(partition_and_offset(row.get(0)?).1);
        let (key, value, appended_at) = (row.get(1)?, row.get(2)?, row.get(4)?);
        let record = StoredRecord { at: at.clone(), offset, key, value, headers, appended_at };
        bytes += record.size();
        let exempt = first && records.is_empty();
        if bytes > room.bytes && !exempt {
            break;
        }
        records.push(record);
    }
    Ok(records)
}

/// Headers as one value: name and value of each in turn, behind their lengths.
pub(super) fn pack(headers: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let parts = headers.iter().flat_map(|(name, value)| [name.as_bytes(), value]);
    let packed =
        parts.flat_map(|part| (part.len() as u32).to_le_bytes().into_iter().chain(part.iter().copied()));
    (!headers.is_empty()).then(|| packed.collect())
}

fn unpack(mut packed: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut part = || {
        let (length, rest) = packed.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        packed = rest;
        Some(part.to_vec())
    };
    let mut headers = Vec::new();
    while let (Some(name), Some(value)) = (part(), part()) {
        headers.push((String::from_utf8_lossy(&name).into_owned(), value));
    }
    headers
}
