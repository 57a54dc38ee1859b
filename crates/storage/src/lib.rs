//! Durable state: ordered tables of bytes, and blobs. The only crate that opens
//! a data file.
//!
//! [`Storage::write`] hands a closure to the one writer, which gathers what is
//! waiting into one transaction and one sync, then answers all (group commit).
//! When it returns `Ok`, the change survives a power cut.
//!
//! Message bodies and other octets of any size are kept once, by content:
//! [`Storage::prepare`] makes them ready outside of the transaction,
//! [`Transaction::keep`] and [`Transaction::release`] count who refers to them.
//!
//! Files that people and other programs read (secrets, certificates, zone
//! files) are in [`files`]; those of a torrent in a [`FileSet`].

mod below;
mod blobs;
mod collector;
mod config;
mod content;
mod error;
mod file_set;
pub mod files;
mod job;
mod lock;
mod sqlite;
mod transaction;

pub use below::open_below;
pub use config::{Backend, Config};
pub use error::StorageError;
pub use file_set::{Allocation, FileSet, Member, OPEN_FILES_MAX, Stamp};
pub use transaction::{
    ContentId, KEY_OCTETS_MAX, Pair, Prepared, Table, Transaction, VALUE_OCTETS_MAX, Visit,
};

use blobs::{Blobs, Candidates};
use bytes::Bytes;
use collector::Collector;
use content::Place;
use event::Reporter;
use job::Job;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use transaction::Body;

/// The state of one host, in one data folder. Cheap to clone; closed, with
/// what was queued finished, when the last clone goes.
#[derive(Clone)]
pub struct Storage {
    shared: Arc<Shared>,
}

/// What keeps the tables. PostgreSQL becomes another variant: it runs the same
/// jobs, again where the server asks for it.
pub(crate) enum Tables {
    Sqlite(sqlite::Sqlite),
}

impl Tables {
    async fn write(&self, job: Box<dyn Job>) -> Result<(), StorageError> {
        match self {
            Tables::Sqlite(sqlite) => sqlite.write(job).await,
        }
    }

    async fn read(&self, job: Box<dyn Job>) -> Result<(), StorageError> {
        match self {
            Tables::Sqlite(sqlite) => sqlite.read(job).await,
        }
    }

    fn commits(&self) -> u64 {
        match self {
            Tables::Sqlite(sqlite) => sqlite.commits(),
        }
    }
}

/// Fields are dropped in this order: the lock goes when nothing is open.
struct Shared {
    collecting: Option<JoinHandle<()>>,
    collector: Collector,
    config: Config,
    folder: PathBuf,
    reporter: Reporter,
    _lock: lock::FolderLock,
}

impl Storage {
    /// Opens the state in `folder`, which is made (mode 0700) where there is
    /// none. Blocks while the database recovers from a crash, if there was one.
    ///
    /// # Errors
    /// [`StorageError::Locked`] while another process (or another handle of
    /// this one) works on the folder.
    pub fn open(config: &Config, folder: &Path, reporter: Reporter) -> Result<Storage, StorageError> {
        for (key, value) in [
            ("content_octets_max", config.content_octets_max),
            ("writes_waiting_max", config.writes_waiting_max as u64),
            ("batch_writes_max", config.batch_writes_max as u64),
            ("readers_max", config.readers_max as u64),
        ] {
            if value == 0 {
                return Err(StorageError::Config { key, value });
            }
        }
        files::create_folder(folder)?;
        let lock = lock::FolderLock::take(folder)?;
        let candidates = Arc::new(Candidates::default());
        let tables = match config.backend {
            Backend::Sqlite => Tables::Sqlite(sqlite::Sqlite::open(config, folder, candidates.clone())?),
        };
        let blobs = Blobs::open(&folder.join("blobs"), candidates.clone())?;
        let collector =
            Collector { tables: Arc::new(tables), blobs: Arc::new(blobs), candidates, turn: Arc::default() };
        let collecting = collect_in_background(collector.clone())?;
        Ok(Storage {
            shared: Arc::new(Shared {
                collecting: Some(collecting),
                collector,
                config: config.clone(),
                folder: folder.to_owned(),
                reporter,
                _lock: lock,
            }),
        })
    }

    /// The data folder, for files of people and other programs ([`files`]).
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// The voice of the host this state belongs to.
    pub fn reporter(&self) -> &Reporter {
        &self.shared.reporter
    }

    /// Durable commits since the start: fewer than writes, since each answers
    /// all that was waiting.
    pub fn commits(&self) -> u64 {
        self.shared.collector.tables.commits()
    }

    /// Changes state: when this returns `Ok`, the change survives a power cut.
    /// An `Err` of the closure undoes its changes, and nobody else's. Changes
    /// are made one after another, in the order of their calls; the closure
    /// runs on the writer's thread and must not block. A caller who goes away
    /// while waiting does not learn whether the change was made.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&mut dyn Transaction) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (job, answer) = job::job(work);
        self.shared.collector.tables.write(job).await?;
        answer.await.map_err(|_| StorageError::Closed)?
    }

    /// Reads a consistent view of the last durable state. Must be called
    /// within a tokio runtime.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnMut(&mut dyn Transaction) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (job, answer) = job::job(work);
        self.shared.collector.tables.read(job).await?;
        answer.await.map_err(|_| StorageError::Closed)?
    }

    /// Makes octets ready to be kept by [`Transaction::keep`]. Large ones are
    /// durable in the blob store when this returns; they are deleted again if
    /// no reference follows while the `Prepared` lives. The same octets give
    /// the same [`ContentId`] and are stored once.
    pub async fn prepare(&self, octets: Bytes) -> Result<Prepared, StorageError> {
        let size = octets.len() as u64;
        let config = &self.shared.config;
        if size > config.content_octets_max {
            return Err(StorageError::TooLarge {
                what: "content",
                octets: size,
                limit: "content_octets_max",
                octets_max: config.content_octets_max,
            });
        }
        if size <= config.content_inline_octets_max.min(VALUE_OCTETS_MAX as u64) {
            let id = ContentId(Sha256::digest(&octets).into());
            return Ok(Prepared { id, size, body: Body::Inline(octets) });
        }
        let hashed = octets.clone();
        let id = tokio::task::spawn_blocking(move || ContentId(Sha256::digest(&hashed).into()))
            .await
            .map_err(|_| StorageError::Closed)?;
        let blobs = &self.shared.collector.blobs;
        let pin = blobs.pin(id).await;
        if !blobs.is_durable(&pin) && self.entry(id).await?.is_none_or(|entry| entry.place != Place::Blob) {
            blobs.write(&pin, octets).await?;
        }
        Ok(Prepared { id, size, body: Body::Blob(Arc::new(pin)) })
    }

    /// The octets of kept content.
    ///
    /// # Errors
    /// [`StorageError::Missing`] if nobody refers to it any more.
    pub async fn content(&self, id: ContentId) -> Result<Bytes, StorageError> {
        let inline = self
            .read(move |transaction| {
                let entry =
                    content::entry(transaction, id)?.ok_or_else(|| StorageError::Missing(id.to_string()))?;
                match entry.place {
                    Place::Table => content::inline_octets(transaction, id).map(Some),
                    Place::Blob => Ok::<_, StorageError>(None),
                }
            })
            .await?;
        match inline {
            Some(octets) => Ok(octets.into()),
            None => self.shared.collector.blobs.read(id).await,
        }
    }

    /// Looks at all blobs now and deletes those without references; returns
    /// how many. It happens by itself at the start and after releases.
    pub async fn collect(&self) -> Result<u64, StorageError> {
        self.shared.collector.sweep().await
    }

    async fn entry(&self, id: ContentId) -> Result<Option<content::Entry>, StorageError> {
        self.read(move |transaction| content::entry(transaction, id)).await
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Storage({})", self.shared.folder.display())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.collector.candidates.stop();
        if let Some(collecting) = self.collecting.take() {
            let _ = collecting.join();
        }
    }
}

fn collect_in_background(collector: Collector) -> Result<JoinHandle<()>, StorageError> {
    let failed = |error| StorageError::failed("the storage's collector thread", error);
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(failed)?;
    std::thread::Builder::new()
        .name("storage-collector".into())
        .spawn(move || runtime.block_on(collector.run()))
        .map_err(failed)
}
