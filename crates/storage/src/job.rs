//! A closure on its way through a database's threads, and its answer's way back.

use crate::{StorageError, Transaction};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::oneshot;

/// What a job wants done with its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Keep them.
    Commit,
    /// Undo them: the closure returned an error or panicked.
    RollBack,
}

/// A closure with its types forgotten, so that one queue holds them all. It
/// lives until it is answered, so that what the closure owns (the pins of
/// prepared content) lives until its change is durable.
pub(crate) trait Job: Send {
    /// Runs the closure; may be called again when the database asks for it.
    fn run(&mut self, transaction: &mut dyn Transaction) -> Verdict;

    /// Answers the caller: with the closure's own result, or with an error of
    /// the database that overrides a success.
    fn answer(self: Box<Self>, outcome: Result<(), StorageError>);
}

struct Work<T, E, F> {
    closure: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

/// Wraps a closure; the receiver gets its answer.
pub(crate) fn job<T, E, F>(work: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    F: FnMut(&mut dyn Transaction) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StorageError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Work { closure: work, result: None, reply }), answer)
}

impl<T, E, F> Job for Work<T, E, F>
where
    F: FnMut(&mut dyn Transaction) -> Result<T, E> + Send,
    T: Send,
    E: From<StorageError> + Send,
{
    fn run(&mut self, transaction: &mut dyn Transaction) -> Verdict {
        // A panic must not take the writer, and everybody else's mail, with it.
        self.result = catch_unwind(AssertUnwindSafe(|| (self.closure)(transaction))).ok();
        match self.result {
            Some(Ok(_)) => Verdict::Commit,
            Some(Err(_)) | None => Verdict::RollBack,
        }
    }

    fn answer(self: Box<Self>, outcome: Result<(), StorageError>) {
        let Work { closure, result, reply } = *self;
        let result = match (result, outcome) {
            (Some(Ok(_)), Err(error)) => Err(error.into()),
            (Some(result), _) => result,
            (None, Err(error)) => Err(error.into()),
            (None, Ok(())) => {
                Err(StorageError::failed("a change", "its code panicked; nothing was changed").into())
            }
        };
        drop(closure);
        // The caller may have gone away; the change stands all the same.
        let _ = reply.send(result);
    }
}
