use rusqlite::{Connection, TransactionBehavior};

use super::database::Inside;
use crate::Error;

/// The version of the tables below.
const VERSION: i64 = 1;
/// Says in the file's header whose it is: `atrm`.
const APPLICATION: i64 = 0x6174_726d;

/// A record's `place` is its partition and its offset in one number (`database::place`), so that a partition's records
/// lie one after the other in the table itself, without an index. Those of compacted topics are `compacted`; only these
/// need to be found by key. Members and producers stay when they leave, so that incarnations only grow.
const TABLES: &str = "
    CREATE TABLE log (identity TEXT NOT NULL) STRICT;
    CREATE TABLE topics (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL, keep_us INTEGER
    ) STRICT;
    CREATE TABLE partitions (
        id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, partition INTEGER NOT NULL,
        start INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic, partition)
    ) STRICT;
    CREATE TABLE records (
        place INTEGER PRIMARY KEY, key BLOB, value BLOB NOT NULL, headers BLOB, appended_at INTEGER NOT NULL,
        compacted INTEGER
    ) STRICT;
    CREATE INDEX records_by_key ON records (key) WHERE compacted IS NOT NULL AND key IS NOT NULL;
    CREATE TABLE offsets (
        grp TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
        PRIMARY KEY (grp, partition)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE groups (grp TEXT PRIMARY KEY, epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE members (
        grp TEXT NOT NULL, slot TEXT NOT NULL, incarnation INTEGER NOT NULL, alive_until INTEGER NOT NULL,
        process INTEGER NOT NULL, PRIMARY KEY (grp, slot)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE subscriptions (
        grp TEXT NOT NULL, slot TEXT NOT NULL, topic INTEGER NOT NULL, PRIMARY KEY (grp, slot, topic)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE leases (
        grp TEXT NOT NULL, partition INTEGER NOT NULL, slot TEXT NOT NULL, incarnation INTEGER NOT NULL,
        PRIMARY KEY (grp, partition)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE producers (slot TEXT PRIMARY KEY, incarnation INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO log VALUES (lower(hex(randomblob(8))));
";

/// Whether the tables are there. A file of another program or of another version is an error, and stays as it is.
pub(super) fn exists(sql: &Connection, place: &str) -> Result<bool, Inside> {
    let number = |pragma: &str| sql.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let cause = match (application, version, number("SELECT count(*) FROM sqlite_schema")?) {
        (APPLICATION, VERSION, _) => return Ok(true),
        (0, 0, 0) => return Ok(false),
        (APPLICATION, other, _) => {
            format!("it is of version {other}, and this autorma knows version {VERSION}")
        }
        _ => "it is a database of another program".to_owned(),
    };
    Err(Error::Storage { place: place.into(), cause }.into())
}

/// Creates the tables.
pub(super) fn create(sql: &mut Connection) -> rusqlite::Result<()> {
    let transaction = sql.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
