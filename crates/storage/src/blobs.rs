//! Content too large for a table: one object each, by its address.
//!
//! A blob is written before the transaction that refers to it, and deleted
//! after the transaction that released it, so a crash leaves at worst a blob
//! nobody refers to, never a reference to nothing. The rules that keep the
//! collector and `prepare` apart:
//!
//! 1. A [`Pin`] holds a blob from before it is looked for or written until the
//!    closure that keeps it has been answered.
//! 2. The collector *claims* a blob, which it can only while nobody pins it;
//!    whoever wants to pin a claimed blob waits.
//! 3. Having claimed it, the collector looks for references in a fresh view,
//!    and deletes only if there are none. A change that is not committed yet
//!    either owns a pin (keep), or an older reference is there (keep again).
//! 4. An object that is merely present is not trusted (a power cut may have
//!    left it half written): `prepare` writes it again unless this process
//!    wrote it under a pin that still lives, or a committed reference says
//!    that it was durable.

use crate::{ContentId, StorageError, files};
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path as ObjectPath};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Blobs that wait for the collector by name; beyond that it looks at all.
const CANDIDATES_MAX: usize = 16 * 1024;

/// The blob store of one data folder.
pub(crate) struct Blobs {
    store: Arc<dyn ObjectStore>,
    folder: PathBuf,
    holds: Mutex<HashMap<ContentId, Hold>>,
    /// Told when a claim ends.
    unclaimed: Notify,
    candidates: Arc<Candidates>,
}

/// Who holds a blob.
enum Hold {
    /// Somebody prepares or keeps it.
    Pinned {
        /// How many.
        pins: usize,
        /// Whether this process has written it durably.
        durable: bool,
    },
    /// The collector.
    Claimed,
}

/// Holds a blob so that it is not collected.
#[derive(Debug)]
pub(crate) struct Pin {
    blobs: Arc<Blobs>,
    id: ContentId,
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blobs({})", self.folder.display())
    }
}

impl Blobs {
    pub(crate) fn open(folder: &Path, candidates: Arc<Candidates>) -> Result<Self, StorageError> {
        files::create_folder(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| StorageError::failed(folder.display(), error))?
            .with_fsync(true);
        Ok(Blobs {
            store: Arc::new(store),
            folder: folder.to_owned(),
            holds: Mutex::default(),
            unclaimed: Notify::new(),
            candidates,
        })
    }

    fn holds(&self) -> std::sync::MutexGuard<'_, HashMap<ContentId, Hold>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a blob; waits while the collector has it.
    pub(crate) async fn pin(self: &Arc<Self>, id: ContentId) -> Pin {
        loop {
            let unclaimed = self.unclaimed.notified();
            tokio::pin!(unclaimed);
            // From here on no end of a claim is missed.
            unclaimed.as_mut().enable();
            let pinned = match self.holds().entry(id).or_insert(Hold::Pinned { pins: 0, durable: false }) {
                Hold::Pinned { pins, .. } => {
                    *pins += 1;
                    true
                }
                Hold::Claimed => false,
            };
            if pinned {
                return Pin { blobs: self.clone(), id };
            }
            unclaimed.await;
        }
    }

    /// Takes a blob for the collector; false while somebody pins it.
    pub(crate) fn claim(&self, id: ContentId) -> bool {
        let mut holds = self.holds();
        if holds.contains_key(&id) {
            return false;
        }
        holds.insert(id, Hold::Claimed);
        true
    }

    /// Ends a claim.
    pub(crate) fn unclaim(&self, id: ContentId) {
        self.holds().remove(&id);
        self.unclaimed.notify_waiters();
    }

    /// Writes a pinned blob durably.
    pub(crate) async fn write(&self, pin: &Pin, octets: Bytes) -> Result<(), StorageError> {
        let path = object_path(pin.id);
        self.store
            .put(&path, PutPayload::from(octets))
            .await
            .map_err(|error| StorageError::failed(format!("blob {path}"), error))?;
        if let Some(Hold::Pinned { durable, .. }) = self.holds().get_mut(&pin.id) {
            *durable = true;
        }
        Ok(())
    }

    /// Whether this process has written a pinned blob durably.
    pub(crate) fn is_durable(&self, pin: &Pin) -> bool {
        matches!(self.holds().get(&pin.id), Some(Hold::Pinned { durable: true, .. }))
    }

    /// Reads a blob.
    pub(crate) async fn read(&self, id: ContentId) -> Result<Bytes, StorageError> {
        let failed = |error| match error {
            object_store::Error::NotFound { .. } => StorageError::Missing(id.to_string()),
            error => StorageError::failed(format!("blob {id}"), error),
        };
        self.store.get(&object_path(id)).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    /// Deletes a claimed blob; not an error where there is none.
    pub(crate) async fn delete(&self, id: ContentId) -> Result<bool, StorageError> {
        match self.store.delete(&object_path(id)).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(StorageError::failed(format!("blob {id}"), error)),
        }
    }

    /// The folders of objects there are; each is listed by [`Blobs::listed`].
    pub(crate) fn shelves(&self) -> Result<Vec<PathBuf>, StorageError> {
        files::list(&self.folder, "")
    }

    /// The objects on a shelf, and what an interrupted write has left of them
    /// (the file system's staging files, `<address>#<number>`).
    pub(crate) fn listed(shelf: &Path) -> Result<Vec<(ContentId, Option<PathBuf>)>, StorageError> {
        let mut found = Vec::new();
        for path in files::list(shelf, "")? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let (address, staged) = match name.split_once('#') {
                Some((address, _)) => (address, true),
                None => (name, false),
            };
            if let Some(id) = ContentId::from_hex(address) {
                found.push((id, staged.then_some(path)));
            }
        }
        Ok(found)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut holds = self.blobs.holds();
        if let Some(Hold::Pinned { pins, .. }) = holds.get_mut(&self.id) {
            *pins -= 1;
            if *pins == 0 {
                holds.remove(&self.id);
                drop(holds);
                // Prepared and perhaps never kept.
                self.blobs.candidates.offer([self.id]);
            }
        }
    }
}

/// Blobs that may have lost their last reference.
#[derive(Default)]
pub(crate) struct Candidates {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    ids: HashSet<ContentId>,
    /// More than fit: look at all there are.
    all: bool,
    stop: bool,
}

/// What the collector shall do next.
pub(crate) enum Errand {
    /// Look at these.
    Some(HashSet<ContentId>),
    /// Look at all there are.
    All,
    /// End.
    Stop,
}

impl Candidates {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names blobs to look at.
    pub(crate) fn offer(&self, ids: impl IntoIterator<Item = ContentId>) {
        let mut waiting = self.waiting();
        let before = waiting.ids.len();
        waiting.ids.extend(ids);
        if waiting.ids.len() > CANDIDATES_MAX {
            waiting.ids = HashSet::new();
            waiting.all = true;
        }
        if waiting.ids.len() != before || waiting.all {
            drop(waiting);
            self.changed.notify_one();
        }
    }

    /// Tells the collector to end.
    pub(crate) fn stop(&self) {
        self.waiting().stop = true;
        self.changed.notify_one();
    }

    /// Whether the collector was told to end.
    pub(crate) fn stopped(&self) -> bool {
        self.waiting().stop
    }

    /// Waits for something to do.
    pub(crate) async fn next(&self) -> Errand {
        loop {
            {
                let mut waiting = self.waiting();
                if waiting.stop {
                    return Errand::Stop;
                }
                if std::mem::take(&mut waiting.all) {
                    return Errand::All;
                }
                if !waiting.ids.is_empty() {
                    return Errand::Some(std::mem::take(&mut waiting.ids));
                }
            }
            self.changed.notified().await;
        }
    }
}

/// `ab/abcdef…`: 256 shelves.
fn object_path(id: ContentId) -> ObjectPath {
    let address = id.to_string();
    ObjectPath::from_iter([address.get(..2).unwrap_or_default(), &address])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ContentId {
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&(number as u64).to_be_bytes());
        ContentId(octets)
    }

    #[tokio::test]
    async fn candidates_beyond_the_bound_mean_all() {
        let candidates = Candidates::default();
        candidates.offer((0..CANDIDATES_MAX).map(id));
        match candidates.next().await {
            Errand::Some(ids) => assert_eq!(ids.len(), CANDIDATES_MAX),
            _ => panic!("they fit"),
        }
        candidates.offer((0..=CANDIDATES_MAX).map(id));
        assert!(candidates.waiting().ids.is_empty());
        assert!(matches!(candidates.next().await, Errand::All));
        candidates.stop();
        assert!(matches!(candidates.next().await, Errand::Stop));
    }

    #[tokio::test]
    async fn a_claim_and_a_pin_exclude_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(Blobs::open(folder.path(), Arc::default()).unwrap());
        let first = blobs.pin(id(1)).await;
        let second = blobs.pin(id(1)).await;
        assert!(!blobs.claim(id(1)) && blobs.claim(id(2)));
        drop(first);
        assert!(!blobs.claim(id(1)), "pinned once more");
        drop(second);
        assert!(blobs.claim(id(1)));
        let mut waiting = Box::pin(blobs.pin(id(1)));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        blobs.unclaim(id(1));
        let pin = waiting.await;
        assert!(!blobs.claim(id(1)) && !blobs.is_durable(&pin));
        blobs.write(&pin, Bytes::from_static(b"octets")).await.unwrap();
        assert!(blobs.is_durable(&pin));
        assert_eq!(blobs.read(id(1)).await.unwrap(), "octets");
        drop(pin);
        // What is not pinned is not trusted to be durable.
        assert!(!blobs.is_durable(&blobs.pin(id(1)).await));
        assert!(blobs.delete(id(1)).await.unwrap() && !blobs.delete(id(1)).await.unwrap());
        assert!(matches!(blobs.read(id(1)).await, Err(StorageError::Missing(_))));
    }
}
