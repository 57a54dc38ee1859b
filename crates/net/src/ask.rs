//! Asking a task that owns something, through its channel, for an answer.

use std::future::Future;
use tokio::sync::{mpsc, oneshot};

/// Tells the task behind a channel something that it answers; `None` when it has
/// ended, whether before or after it was told.
pub async fn ask<C, T>(whom: &mpsc::Sender<C>, say: impl FnOnce(oneshot::Sender<T>) -> C) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    whom.send(say(reply)).await.ok()?;
    answer_of(answer, whom.closed()).await
}

/// The answer of a task whose channel may close: `None` when it has, and there is
/// none.
///
/// Waiting for the answer alone can last for ever: what is sent while a receiver is
/// being dropped may stay in the channel, with the means to answer, as long as
/// anybody holds a sender.
pub async fn answer_of<T>(mut answer: oneshot::Receiver<T>, closed: impl Future<Output = ()>) -> Option<T> {
    tokio::select! {
        biased;
        told = &mut answer => told.ok(),
        () = closed => answer.try_recv().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_told_is_answered() {
        let (whom, mut told) = mpsc::channel::<oneshot::Sender<u8>>(1);
        let task = tokio::spawn(async move {
            let reply = told.recv().await.expect("a question");
            // It ends before anybody reads what it answered.
            drop(told);
            reply.send(7).expect("somebody waits");
        });
        assert_eq!(ask(&whom, |reply| reply).await, Some(7));
        task.await.expect("ended");
        assert_eq!(ask(&whom, |reply| reply).await, None);
    }

    #[tokio::test]
    async fn a_question_that_nobody_takes_any_more_has_no_answer() {
        let (whom, told) = mpsc::channel::<oneshot::Sender<u8>>(1);
        // The means to answer outlive the channel, as in one that closes meanwhile.
        let mut kept = None;
        let (reply, answer) = oneshot::channel::<u8>();
        kept.replace(reply);
        drop(told);
        assert_eq!(answer_of(answer, whom.closed()).await, None);
        assert!(kept.is_some_and(|reply| reply.is_closed()));
    }
}
