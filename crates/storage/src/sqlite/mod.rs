//! Tables in SQLite: write-ahead log, synchronous FULL, one writer, a few
//! readers.

mod transaction;
mod writer;

use crate::blobs::Candidates;
use crate::job::{Job, Verdict};
use crate::{Config, StorageError};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, mpsc};
use transaction::SqliteTransaction;

/// The file of the tables in the data folder.
const FILE: &str = "tables.sqlite";

/// Prepared statements each connection keeps.
const STATEMENTS_MAX: usize = 256;

/// The tables of one data folder.
pub(crate) struct Sqlite {
    /// `None` once closed.
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
    readers: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
    commits: Arc<AtomicU64>,
    path: PathBuf,
}

impl Sqlite {
    pub(crate) fn open(
        config: &Config,
        folder: &Path,
        candidates: Arc<Candidates>,
    ) -> Result<Self, StorageError> {
        let path = folder.join(FILE);
        let connection = connect(&path)?;
        let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StorageError::failed(
                path.display(),
                format!(
                    "this is no database, or it is damaged ({error}); restore the data folder from a backup, \
                     or move this file away to begin anew without users and mail"
                ),
            ),
            _ => StorageError::failed(path.display(), error),
        };
        let mode: String = connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
            .map_err(failed)?;
        if mode != "wal" {
            return Err(StorageError::failed(path.display(), "this file system allows no write-ahead log"));
        }
        // FULL: each commit syncs the log before it returns.
        connection.pragma_update(None, "synchronous", "full").map_err(failed)?;
        // What a job's savepoint must be able to undo stays in memory. Without
        // this a batch that touches more than 64 KiB makes, and deletes, a file.
        connection.pragma_update(None, "temp_store", "memory").map_err(failed)?;
        connection.pragma_update(None, "wal_autocheckpoint", 4000).map_err(failed)?;
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024).map_err(failed)?;
        // The new file's name must survive a power cut as well.
        crate::files::sync_folder(folder)?;

        let commits = Arc::new(AtomicU64::new(0));
        let (queue, waiting) = mpsc::channel(config.writes_waiting_max);
        let writer = writer::Writer {
            connection,
            place: path.display().to_string(),
            waiting,
            batch_writes_max: config.batch_writes_max,
            commits: commits.clone(),
            candidates,
        };
        let writer = std::thread::Builder::new()
            .name("storage-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| StorageError::failed("the storage's writer thread", error))?;
        let mut idle = Vec::new();
        for _ in 0..config.readers_max {
            idle.push(connect(&path)?);
        }
        Ok(Sqlite {
            queue: Some(queue),
            writer: Some(writer),
            readers: Arc::new(Semaphore::new(config.readers_max)),
            idle: Arc::new(Mutex::new(idle)),
            commits,
            path,
        })
    }

    /// Durable commits since the start.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Queues a change; waits while the queue is full.
    pub(crate) async fn write(&self, job: Box<dyn Job>) -> Result<(), StorageError> {
        let queue = self.queue.as_ref().ok_or(StorageError::Closed)?;
        queue.send(job).await.map_err(|_| StorageError::Closed)
    }

    /// Runs a job on a snapshot; waits while all readers are busy.
    pub(crate) async fn read(&self, job: Box<dyn Job>) -> Result<(), StorageError> {
        let permit = self.readers.clone().acquire_owned().await.map_err(|_| StorageError::Closed)?;
        let (idle, path) = (self.idle.clone(), self.path.clone());
        tokio::task::spawn_blocking(move || {
            // The permit goes with the work, so that a caller who goes away
            // does not let more readers in than there are connections.
            let _permit = permit;
            let spare = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match spare.map_or_else(|| connect(&path), Ok) {
                Ok(connection) => connection,
                Err(error) => return job.answer(Err(error)),
            };
            let outcome = view(&connection, &path, job);
            if connection.is_autocommit() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            outcome();
        });
        Ok(())
    }
}

impl Drop for Sqlite {
    /// Finishes what was queued and ends the writer.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A closure may own the last handle: the writer cannot wait for itself.
            if writer.thread().id() != std::thread::current().id() {
                let _ = writer.join();
            }
        }
    }
}

fn connect(path: &Path) -> Result<Connection, StorageError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error| StorageError::failed(path.display(), error);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Runs a job on one snapshot; the returned closure answers it.
fn view(connection: &Connection, path: &Path, mut job: Box<dyn Job>) -> impl FnOnce() + use<> {
    let place = path.display().to_string();
    let outcome = if let Err(error) = connection.execute_batch("BEGIN DEFERRED") {
        Err(StorageError::failed(&place, error))
    } else {
        let mut transaction = SqliteTransaction::view(connection, &place);
        let verdict = job.run(&mut transaction);
        let failure = transaction.into_failure();
        let _ = connection.execute_batch("ROLLBACK");
        // The closure's own error says more than the database's.
        if verdict == Verdict::RollBack { Ok(()) } else { failure.map_or(Ok(()), Err) }
    };
    move || job.answer(outcome)
}
