//! The one writer: it gathers what is waiting into one transaction and one
//! sync, then answers all of them.

use super::transaction::{Changes, Known, SqliteTransaction};
use crate::StorageError;
use crate::blobs::Candidates;
use crate::job::{Job, Verdict};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Owns the only connection that writes.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) place: String,
    pub(super) waiting: mpsc::Receiver<Box<dyn Job>>,
    pub(super) batch_writes_max: usize,
    pub(super) commits: Arc<AtomicU64>,
    pub(super) candidates: Arc<Candidates>,
}

impl Writer {
    /// Serves until all handles are gone and the queue is empty.
    pub(super) fn run(mut self) {
        let mut known = Known::default();
        while let Some(first) = self.waiting.blocking_recv() {
            self.batch(first, &mut known);
        }
    }

    /// One transaction: the first job and whatever else is waiting.
    fn batch(&mut self, first: Box<dyn Job>, known: &mut Known) {
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            return first.answer(Err(StorageError::failed(&self.place, error)));
        }
        let changes_before = self.connection.total_changes();
        let mut changes = Changes::default();
        let mut done = Vec::new();
        let mut next = Some(first);
        let mut lost = None;
        while let Some(mut job) = next {
            let outcome = self.change(job.as_mut(), &mut changes, known);
            done.push((job, outcome));
            // A full disk or an I/O error makes SQLite roll back everything.
            if self.connection.is_autocommit() {
                lost = Some(StorageError::failed(&self.place, "the database gave up the transaction"));
                break;
            }
            next = if done.len() < self.batch_writes_max { self.waiting.try_recv().ok() } else { None };
        }
        let changed = self.connection.total_changes() != changes_before;
        let committed = match lost {
            Some(error) => Err(error),
            None => self
                .connection
                .execute_batch("COMMIT")
                .map_err(|error| StorageError::failed(&self.place, error)),
        };
        if committed.is_ok() {
            if changed {
                self.commits.fetch_add(1, Ordering::Relaxed);
            }
            self.candidates.offer(changes.released);
            for action in changes.actions {
                let _ = catch_unwind(AssertUnwindSafe(action));
            }
        } else {
            *known = Known::default();
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        for (job, outcome) in done {
            // The closure's own failure says more than the batch's.
            job.answer(outcome.and(committed.clone()));
        }
    }

    /// One job in its own savepoint, so that its failure undoes its changes only.
    fn change(
        &self,
        job: &mut dyn Job,
        changes: &mut Changes,
        known: &mut Known,
    ) -> Result<(), StorageError> {
        let failed = |error: rusqlite::Error| StorageError::failed(&self.place, error);
        let run = |sql: &str| self.connection.prepare_cached(sql).and_then(|mut s| s.execute([]));
        run("SAVEPOINT change").map_err(failed)?;
        let mark = changes.mark();
        let mut transaction = SqliteTransaction::change(&self.connection, &self.place, changes, known);
        let verdict = job.run(&mut transaction);
        let failure = transaction.into_failure();
        if self.connection.is_autocommit() {
            return failure.map_or(Ok(()), Err);
        }
        if verdict == Verdict::RollBack || failure.is_some() {
            run("ROLLBACK TO change").map_err(failed)?;
            changes.back_to(mark);
            // A table it made is gone again.
            *known = Known::default();
        }
        run("RELEASE change").map_err(failed)?;
        failure.map_or(Ok(()), Err)
    }
}
