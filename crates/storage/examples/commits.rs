//! How many durable commits a second: three rows each, one by one and with many
//! writers at once; beside it a bare SQLite loop that writes the same rows in
//! batches of the same size, as fast as SQLite can. Pass a folder on the disk to
//! be measured.
//!
//! `cargo run --release -p utopia-storage --example commits -- /var/tmp/measured`

use event::Reporter;
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use storage::{Config, Storage, StorageError, Table};

const ROWS: [Table; 3] = [Table("first"), Table("second"), Table("third")];
const VALUE: [u8; 100] = [0x2a; 100];
const MEASURED: Duration = Duration::from_secs(2);
/// In turn over both, so that what disturbs the machine disturbs both alike; the
/// best round of each counts.
const ROUNDS: u64 = 3;

/// What one round gave, a second.
#[derive(Clone, Copy, Default)]
struct Rate {
    writes: f64,
    commits: f64,
}

impl Rate {
    fn of(writes: u64, commits: u64, start: Instant) -> Rate {
        let seconds = start.elapsed().as_secs_f64();
        Rate { writes: writes as f64 / seconds, commits: commits as f64 / seconds }
    }

    fn best(self, other: Rate) -> Rate {
        if other.writes > self.writes { other } else { self }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map(PathBuf::from).ok_or("which folder? e.g. /var/tmp/measured")?;
    let storage = Storage::open(&Config::default(), &folder.join("ours"), Reporter::silent())?;
    let bare = Bare::open(&folder.join("bare.sqlite"))?;
    for writers in [1, 8, 64, 256] {
        let (mut ours, mut floor) = (Rate::default(), Rate::default());
        for round in 0..ROUNDS {
            ours = ours.best(measure(&storage, writers, round).await?);
            floor = floor.best(bare.measure(writers, round)?);
        }
        println!(
            "{writers:>3} writers: {:>7.0} durable writes/s in {:>6.0} commits/s; \
             bare SQLite, {writers} a commit: {:>7.0} in {:>6.0}; ratio {:.2}",
            ours.writes,
            ours.commits,
            floor.writes,
            floor.commits,
            ours.writes / floor.writes
        );
    }
    Ok(())
}

async fn measure(storage: &Storage, writers: u64, round: u64) -> Result<Rate, Box<dyn std::error::Error>> {
    let (commits, start) = (storage.commits(), Instant::now());
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let storage = storage.clone();
        tasks.push(tokio::spawn(async move {
            let mut written = 0u64;
            while start.elapsed() < MEASURED {
                let key = key(writers, writer, round, written);
                storage
                    .write(move |transaction| {
                        ROWS.into_iter().try_for_each(|table| transaction.put(table, &key, &VALUE))
                    })
                    .await?;
                written += 1;
            }
            Ok::<_, StorageError>(written)
        }));
    }
    let mut written = 0;
    for task in tasks {
        written += task.await??;
    }
    Ok(Rate::of(written, storage.commits() - commits, start))
}

/// Each writer has a range of its own, as each mailbox has.
fn key(writers: u64, writer: u64, round: u64, number: u64) -> Vec<u8> {
    [writers, writer, round, number].map(u64::to_be_bytes).concat()
}

/// The same tables and the same durability, and nothing between them and us.
struct Bare(Connection);

impl Bare {
    fn open(file: &Path) -> Result<Bare, rusqlite::Error> {
        let connection = Connection::open(file)?;
        connection.execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 4000;",
        )?;
        for table in ROWS {
            connection.execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS {} (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
                table.0
            ))?;
        }
        Ok(Bare(connection))
    }

    fn measure(&self, writers: u64, round: u64) -> Result<Rate, rusqlite::Error> {
        let Bare(connection) = self;
        let mut inserts = Vec::new();
        for table in ROWS {
            inserts.push(connection.prepare(&format!("INSERT OR REPLACE INTO {} VALUES (?1, ?2)", table.0))?);
        }
        let (mut commits, start) = (0, Instant::now());
        while start.elapsed() < MEASURED {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            for writer in 0..writers {
                let key = key(writers, writer, round, commits);
                for insert in &mut inserts {
                    insert.execute(params![key, VALUE])?;
                }
            }
            connection.execute_batch("COMMIT")?;
            commits += 1;
        }
        Ok(Rate::of(commits * writers, commits, start))
    }
}
