//! Answers what the command line asks.

use crate::control::{Reply, Request};
use crate::shared::Shared;
use crate::{Configuration, HostError, configuration_file};
use mail_server::accounts::Accounts;
use mail_server::queue::{Queue, QueueId};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a reload may take before its caller is told that nobody answers.
const RELOAD_PATIENCE: Duration = Duration::from_mins(1);

/// Answers a request to a running host.
pub(crate) async fn answer(shared: Arc<Shared>, request: Request) -> Reply {
    let answered = match request {
        Request::Status => serde_json::to_value(shared.status()).map_err(|error| HostError::Io(error.into())),
        Request::Reload => reload(&shared).await,
        Request::QueueList | Request::QueueRetry { .. } | Request::QueueRemove { .. } => {
            about_queue(&shared.services.queue, request).await
        }
        Request::UserAdd { .. }
        | Request::UserPassword { .. }
        | Request::UserRemove { .. }
        | Request::UserList => {
            let domains = shared.domains();
            about_users(&shared.services.accounts, &domains, request).await
        }
    };
    answered.map_err(|error| error.to_string())
}

/// Does what was asked in a data folder on which nothing runs.
///
/// # Errors
/// When something does run there, or the request is about running things.
pub async fn offline(folder: &Path, request: Request) -> Result<Value, HostError> {
    let configuration = Configuration::read(&configuration_file(folder))?.within(folder);
    let storage = storage::Storage::open(&configuration.storage, folder, event::Reporter::silent())?;
    about_users(&crate::shared::accounts(&configuration, storage), &configuration.mail_domains(), request)
        .await
}

async fn about_users(accounts: &Accounts, domains: &[String], request: Request) -> Result<Value, HostError> {
    match request {
        Request::UserAdd { address, password } => {
            let domain =
                address.rsplit_once('@').map(|(_, domain)| domain.trim_end_matches('.').to_lowercase());
            if let Some(domain) = domain.filter(|domain| !domains.contains(domain)) {
                return Err(HostError::Refused(format!(
                    "mail for {domain} does not end here; name it in smtp.more_domains first"
                )));
            }
            accounts.create(&address, &password).await?;
        }
        Request::UserPassword { address, password } => accounts.set_password(&address, &password).await?,
        Request::UserRemove { address } => accounts.remove(&address).await?,
        Request::UserList => {
            let users = accounts.list().await?;
            return Ok(json!(users.into_iter().map(|account| account.address).collect::<Vec<_>>()));
        }
        _ => return Err(HostError::NotRunning),
    }
    Ok(Value::Null)
}

/// Waits until whoever runs the host has read the configuration again.
async fn reload(shared: &Shared) -> Result<Value, HostError> {
    let unanswered = || HostError::Refused("this host is not reloaded from here".to_owned());
    let (told, outcome) = oneshot::channel();
    let reloaded = async {
        shared.reload_wanted.send(told).await.map_err(|_| unanswered())?;
        outcome.await.map_err(|_| unanswered())?.map_err(HostError::Refused)
    };
    tokio::select! {
        biased;
        reloaded = tokio::time::timeout(RELOAD_PATIENCE, reloaded) => {
            Ok(json!(reloaded.map_err(|_| unanswered())??))
        }
        // Whoever reloads does so no more.
        () = shared.services.ground().shutdown.requested() => {
            Err(HostError::Refused("this host is stopping".to_owned()))
        }
    }
}

async fn about_queue(queue: &Queue, request: Request) -> Result<Value, HostError> {
    match request {
        Request::QueueRetry { domain } => {
            queue.retry_now(domain.as_deref());
            Ok(Value::Null)
        }
        Request::QueueRemove { id } => {
            let unknown = || {
                HostError::Refused(format!("no message {id} waits; `utopia mail queue list` shows what does"))
            };
            let queue_id = QueueId::parse(&id).ok_or_else(unknown)?;
            if queue.remove(queue_id).await? { Ok(Value::Null) } else { Err(unknown()) }
        }
        _ => serde_json::to_value(queue.list().await?).map_err(|error| HostError::Io(error.into())),
    }
}
