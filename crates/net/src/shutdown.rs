//! Ending what runs: first everybody is asked to stop, then what was promised
//! is finished.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Asks tasks to stop and waits for those that have something to finish.
/// Clones speak of the same shutdown.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

/// Keeps [`Shutdown::finish`] waiting while it lives.
#[derive(Debug)]
pub struct Hold(
    #[expect(dead_code, reason = "held for its drop")] tokio_util::task::task_tracker::TaskTrackerToken,
);

impl Shutdown {
    /// A shutdown nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A part of this shutdown, e.g. of one listener: it is requested with this
    /// one, or alone. [`Shutdown::finish`] waits for the tasks of both.
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token(), tasks: self.tasks.clone() }
    }

    /// Resolves once stopping was requested.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Whether stopping was requested.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Asks everybody to stop.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Runs a task that [`Shutdown::finish`] waits for.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Keeps [`Shutdown::finish`] waiting until the hold is dropped; for threads.
    pub fn hold(&self) -> Hold {
        Hold(self.tasks.token())
    }

    /// Asks everybody to stop and waits until all have, at most `patience`.
    /// Returns whether all had stopped by then.
    pub async fn finish(&self, patience: Duration) -> bool {
        self.request();
        self.tasks.close();
        tokio::time::timeout(patience, self.tasks.wait()).await.is_ok()
    }
}
