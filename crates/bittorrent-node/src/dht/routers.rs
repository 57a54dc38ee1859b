//! Well-known nodes: their names become addresses.

use super::LookUp;
use super::engine::Command;
use net::Shutdown;
use std::time::Duration;
use tokio::sync::mpsc;

/// The first and the longest pause before names that were not found are looked
/// up again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(15));

/// Looks up the names of well-known nodes until each was found once.
pub(super) async fn find_routers(
    mut names: Vec<String>,
    look_up: LookUp,
    commands: mpsc::WeakSender<Command>,
    shutdown: Shutdown,
) {
    let mut pause = PAUSES.0;
    loop {
        let mut left = Vec::new();
        for name in names {
            let found = look_up(name.clone()).await.unwrap_or_else(|error| {
                tracing::debug!(%error, name, "looking up a node of the hash table");
                Vec::new()
            });
            if found.is_empty() {
                left.push(name);
            }
            for address in found {
                // Not held while waiting: the task ends with the last handle.
                let Some(commands) = commands.upgrade() else { return };
                if commands.send(Command::AddRouter { address }).await.is_err() {
                    return;
                }
            }
        }
        if left.is_empty() {
            return;
        }
        names = left;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.requested() => return,
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}
