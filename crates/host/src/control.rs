//! What the command line asks of a running host, over the control socket: one
//! JSON object a line, there and back.

use net::{ControlListener, ControlStream};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Callers served at once; further ones wait.
const CALLERS_MAX: usize = 32;
/// How long a caller may take to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// What runs where: a [`web::Status`].
    Status,
    /// Reads the configuration again: a list of what a person should know about it.
    Reload,
    /// Adds a user.
    UserAdd {
        /// The address.
        address: String,
        /// The password, in the clear: the socket is the owner's only.
        password: String,
    },
    /// Sets a user's password.
    UserPassword {
        /// The address.
        address: String,
        /// The password.
        password: String,
    },
    /// Removes a user and the user's mail.
    UserRemove {
        /// The address.
        address: String,
    },
    /// All users' addresses.
    UserList,
    /// What waits in the mail queue.
    QueueList,
    /// Tries what waits for a domain, or everything, now.
    QueueRetry {
        /// The destination domain; all when absent.
        domain: Option<String>,
    },
    /// Takes a waiting message out of the queue.
    QueueRemove {
        /// The message's id.
        id: String,
    },
}

/// The answer: a value, or words for the person who asked.
pub type Reply = Result<serde_json::Value, String>;

/// Where the control socket of a data folder is.
pub fn place(folder: &Path) -> PathBuf {
    folder.join("control")
}

/// Asks the host that runs on `folder`. `None` when none does.
///
/// # Errors
/// When the running host cannot be understood.
pub async fn ask(folder: &Path, request: &Request) -> io::Result<Option<Reply>> {
    let mut stream = match ControlStream::connect(&place(folder)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.send(&serde_json::to_string(request)?).await?;
    let line = stream.receive().await?;
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the running host hung up"));
    }
    Ok(Some(serde_json::from_str(&line)?))
}

/// Answers callers until shutdown is requested; what was asked before that is
/// answered still.
pub fn serve<F, A>(folder: &Path, shutdown: &net::Shutdown, answer: F) -> io::Result<()>
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    let listener = ControlListener::bind(&place(folder))?;
    let answer = Arc::new(answer);
    let places = Arc::new(tokio::sync::Semaphore::new(CALLERS_MAX));
    let stop = shutdown.clone();
    shutdown.spawn(async move {
        loop {
            let Ok(permit) = places.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.requested() => return,
            };
            let Ok(stream) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (answer, calling) = (answer.clone(), stop.clone());
            stop.spawn(async move {
                // A caller that hangs up early needs no answer.
                let _ = exchange(stream, &calling, &*answer).await;
                drop(permit);
            });
        }
    });
    Ok(())
}

async fn exchange<F, A>(mut stream: ControlStream, stop: &net::Shutdown, answer: &F) -> io::Result<()>
where
    F: Fn(Request) -> A,
    A: Future<Output = Reply>,
{
    let line = tokio::select! {
        () = stop.requested() => return Ok(()),
        line = tokio::time::timeout(PATIENCE, stream.receive()) => line??,
    };
    let reply = match serde_json::from_str::<Request>(&line) {
        Ok(request) => answer(request).await,
        Err(error) => Err(format!("not understood: {error}")),
    };
    tokio::time::timeout(PATIENCE, stream.send(&serde_json::to_string(&reply)?)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_gets_its_answer_and_nobody_answers_for_a_stopped_host() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(ask(folder.path(), &Request::Status).await.expect("asked").is_none());
        let shutdown = net::Shutdown::new();
        serve(folder.path(), &shutdown, |request| async move {
            match request {
                Request::UserList => Ok(serde_json::json!(["alice@utopia.test"])),
                _ => Err("no".to_owned()),
            }
        })
        .expect("served");
        let reply = ask(folder.path(), &Request::UserList).await.expect("asked").expect("running");
        assert_eq!(reply, Ok(serde_json::json!(["alice@utopia.test"])));
        let reply = ask(folder.path(), &Request::Reload).await.expect("asked").expect("running");
        assert_eq!(reply, Err("no".to_owned()));
        assert!(shutdown.finish(Duration::from_secs(10)).await);
        assert!(ask(folder.path(), &Request::Status).await.expect("asked").is_none());
    }

    #[tokio::test]
    async fn a_stopped_host_answers_who_has_asked_and_is_held_by_nobody_who_has_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let shutdown = net::Shutdown::new();
        let host = Arc::new(tokio::sync::Semaphore::new(0));
        let (asked, mut questions) = tokio::sync::mpsc::unbounded_channel();
        let answering = host.clone();
        serve(folder.path(), &shutdown, move |_| {
            let (host, asked) = (answering.clone(), asked.clone());
            async move {
                let _ = asked.send(());
                let _ = host.acquire().await;
                Ok(serde_json::Value::Null)
            }
        })
        .expect("served");
        let silent = ControlStream::connect(&place(folder.path())).await.expect("connected");
        let at = folder.path().to_owned();
        let asking = tokio::spawn(async move { ask(&at, &Request::UserList).await });
        questions.recv().await.expect("a question");
        shutdown.request();
        assert!(!shutdown.finish(Duration::from_millis(50)).await, "somebody waits for the answer");
        host.add_permits(1);
        assert!(shutdown.finish(PATIENCE).await);
        assert_eq!(asking.await.expect("asked").expect("an answer"), Some(Ok(serde_json::Value::Null)));
        assert_eq!(Arc::strong_count(&host), 1, "nobody holds what a stopped host was");
        drop(silent);
    }
}
