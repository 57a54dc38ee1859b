//! Deletes blobs nobody refers to: what a crash left, what was released, what
//! was prepared and never kept. See [`crate::blobs`] for the rules that keep
//! it apart from those who prepare.

use crate::blobs::{Blobs, Candidates, Errand};
use crate::content::{self, Place};
use crate::job::job;
use crate::{ContentId, StorageError, Tables};
use std::path::PathBuf;
use std::sync::Arc;

/// The collector's hands: the tables say who refers, the blobs are deleted.
#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) tables: Arc<Tables>,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) candidates: Arc<Candidates>,
    /// One errand at a time, so that a sweep's end means that all was looked at.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Collector {
    /// Looks at all blobs once, for what a crash left, then at those named.
    pub(crate) async fn run(self) {
        let mut errand = Errand::All;
        loop {
            let outcome = match errand {
                Errand::Stop => return,
                Errand::All => self.sweep().await.map(drop),
                Errand::Some(ids) => self.look_at(ids).await,
            };
            if let Err(error) = outcome {
                // What stays is found at the next start.
                tracing::warn!("blobs without references stay for now: {error}");
            }
            errand = self.candidates.next().await;
        }
    }

    async fn look_at(&self, ids: impl IntoIterator<Item = ContentId>) -> Result<(), StorageError> {
        let _turn = self.turn.lock().await;
        for id in ids {
            if self.candidates.stopped() {
                return Ok(());
            }
            self.collect(id, None).await?;
        }
        Ok(())
    }

    /// Looks at every blob; returns how many were deleted.
    pub(crate) async fn sweep(&self) -> Result<u64, StorageError> {
        let _turn = self.turn.lock().await;
        let mut deleted = 0;
        let blobs = self.blobs.clone();
        for shelf in blocking(move || blobs.shelves()).await? {
            for (id, staged) in blocking(move || Blobs::listed(&shelf)).await? {
                if self.candidates.stopped() {
                    return Ok(deleted);
                }
                deleted += u64::from(self.collect(id, staged).await?);
            }
        }
        Ok(deleted)
    }

    /// Deletes one blob, or what an interrupted write left of it, if nobody
    /// holds it or refers to it.
    async fn collect(&self, id: ContentId, staged: Option<PathBuf>) -> Result<bool, StorageError> {
        if !self.blobs.claim(id) {
            // Whoever pins it offers it again.
            return Ok(false);
        }
        let claim = Claim { blobs: &self.blobs, id };
        let deleted = match staged {
            Some(path) => crate::files::remove(&path).map(|()| true),
            None if self.refers(id).await? => Ok(false),
            None => self.blobs.delete(id).await,
        };
        drop(claim);
        deleted
    }

    async fn refers(&self, id: ContentId) -> Result<bool, StorageError> {
        let (job, answer) = job(move |transaction| {
            Ok::<_, StorageError>(
                content::entry(transaction, id)?.is_some_and(|entry| entry.place == Place::Blob),
            )
        });
        self.tables.read(job).await?;
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

/// Ends a claim on every way out.
struct Claim<'a> {
    blobs: &'a Blobs,
    id: ContentId,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.blobs.unclaim(self.id);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StorageError::Closed)?
}
