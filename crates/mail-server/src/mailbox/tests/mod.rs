//! The message store against its promises, on a real storage.

mod model;
mod names;
mod operations;

use super::{Config, Flags, Mailboxes, NewMessage};
use crate::mailbox::AccountId;
use bytes::Bytes;
use event::Reporter;
use std::path::Path;
use storage::Storage;

const ALICE: AccountId = AccountId(1);
const BOB: AccountId = AccountId(2);

/// The message store in a folder, where content of more than 100 octets is a blob.
fn open(folder: &Path, config: Config) -> Mailboxes {
    let storage = storage::Config { content_inline_octets_max: 100, ..storage::Config::default() };
    Mailboxes::new(config, Storage::open(&storage, folder, Reporter::silent()).unwrap())
}

/// A new message store with two accounts.
async fn founded(folder: &Path) -> Mailboxes {
    let mailboxes = open(folder, Config::default());
    found(&mailboxes).await;
    mailboxes
}

async fn found(mailboxes: &Mailboxes) {
    let this = mailboxes.clone();
    mailboxes
        .storage()
        .write(move |transaction| {
            this.found_in(transaction, ALICE)?;
            this.found_in(transaction, BOB)
        })
        .await
        .unwrap();
}

async fn message(mailboxes: &Mailboxes, octets: impl Into<Bytes>, flags: &[&str]) -> NewMessage {
    mailboxes.prepare(octets.into(), Flags::from_names(flags.iter().copied()), 1_000_000_000).await.unwrap()
}
