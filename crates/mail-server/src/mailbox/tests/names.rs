//! Mailboxes and their names.

use super::{ALICE, BOB, found, founded, message, open};
use crate::mailbox::{Config, MailboxError, MailboxId, Mailboxes, SpecialUse};

async fn names(store: &Mailboxes) -> Vec<String> {
    store.list(ALICE).await.unwrap().into_iter().map(|info| info.name).collect()
}

#[tokio::test]
async fn an_account_begins_with_its_mailboxes() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let list = store.list(ALICE).await.unwrap();
    let uses: Vec<_> =
        list.iter().map(|info| (info.name.as_str(), info.special_use, info.subscribed)).collect();
    assert_eq!(
        uses,
        [
            ("Archive", Some(SpecialUse::Archive), true),
            ("Drafts", Some(SpecialUse::Drafts), true),
            ("INBOX", None, true),
            ("Junk", Some(SpecialUse::Junk), true),
            ("Sent", Some(SpecialUse::Sent), true),
            ("Trash", Some(SpecialUse::Trash), true),
        ]
    );
    let inbox = store.find(ALICE, "inbox").await.unwrap().unwrap();
    assert_eq!((inbox.id, inbox.uid_next), (MailboxId::INBOX, 1));
    let this = store.clone();
    let junk = store.storage().read(move |t| this.special_in(t, ALICE, SpecialUse::Junk)).await.unwrap();
    assert_eq!(junk, store.find(ALICE, "Junk").await.unwrap().map(|info| info.id));
    assert!(matches!(store.usage(super::AccountId(3)).await, Err(MailboxError::NoAccount)));
}

#[tokio::test]
async fn a_name_made_anew_has_a_greater_uidvalidity() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let first = store.create(ALICE, "Crepes", None).await.unwrap();
    let new = message(&store, "x", &[]).await;
    store.append(ALICE, first.id, vec![new]).await.unwrap();
    store.delete(ALICE, "Crepes").await.unwrap();
    assert!(matches!(store.delete(ALICE, "Crepes").await, Err(MailboxError::NoMailbox(_))));
    assert!(matches!(store.select(ALICE, first.id).await, Err(MailboxError::NoMailbox(_))));
    assert_eq!(store.usage(ALICE).await.unwrap().messages, 0);
    let second = store.create(ALICE, "Crepes", None).await.unwrap();
    assert!(second.uid_validity > first.uid_validity);
    assert_ne!(second.id, first.id, "MAILBOXID is never reused");
    assert_eq!(store.changes(ALICE, second.id, 0).await.unwrap().vanished, Vec::new());
    assert!(matches!(store.create(ALICE, "Crepes", None).await, Err(MailboxError::Exists(_))));
    assert!(matches!(store.create(ALICE, "inbox", None).await, Err(MailboxError::Inbox)));
    assert!(matches!(store.delete(ALICE, "inbox").await, Err(MailboxError::Inbox)));
}

#[tokio::test]
async fn renaming_takes_along_what_is_below() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let deep = store.create(ALICE, "a/b/c", None).await.unwrap();
    store.create(ALICE, "ab", None).await.unwrap();
    let list: Vec<_> = names(&store).await.into_iter().filter(|name| name.starts_with('a')).collect();
    assert_eq!(list, ["a", "a/b", "a/b/c", "ab"]);
    store.rename(ALICE, "a", "z/y").await.unwrap();
    let list: Vec<_> =
        names(&store).await.into_iter().filter(|name| !name.contains(char::is_uppercase)).collect();
    assert_eq!(list, ["ab", "z", "z/y", "z/y/b", "z/y/b/c"]);
    let moved = store.find(ALICE, "z/y/b/c").await.unwrap().unwrap();
    assert_eq!((moved.id, moved.uid_validity), (deep.id, deep.uid_validity));
    assert_eq!(moved.name, "z/y/b/c");
    assert!(matches!(store.rename(ALICE, "z", "ab").await, Err(MailboxError::Exists(_))));
    assert!(matches!(store.rename(ALICE, "z", "z/y/x").await, Err(MailboxError::BadName { .. })));
    assert!(matches!(store.rename(ALICE, "nothing", "n").await, Err(MailboxError::NoMailbox(_))));
    let long = "l".repeat(crate::mailbox::NAME_OCTETS_MAX - 2);
    assert!(matches!(store.rename(ALICE, "z", &long).await, Err(MailboxError::BadName { .. })));
    // Short enough itself, but not with what lies below, in modified UTF-7.
    let wide = "ü".repeat(373);
    store.create(ALICE, &wide, None).await.unwrap();
    store.delete(ALICE, &wide).await.unwrap();
    assert!(matches!(store.rename(ALICE, "z", &wide).await, Err(MailboxError::BadName { .. })));
    assert!(store.find(ALICE, &wide).await.unwrap().is_none());
    assert!(matches!(store.create(ALICE, &"ü".repeat(499), None).await, Err(MailboxError::BadName { .. })));
    assert!(store.find(ALICE, "z/y/b/c").await.unwrap().is_some(), "a rename that fails changes nothing");
}

#[tokio::test]
async fn renaming_inbox_moves_its_messages() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let new = message(&store, "x", &["\\Seen"]).await;
    store.append(ALICE, MailboxId::INBOX, vec![new]).await.unwrap();
    store.create(ALICE, "INBOX/below", None).await.unwrap();
    store.rename(ALICE, "Inbox", "old/mail").await.unwrap();
    assert_eq!(store.info(ALICE, MailboxId::INBOX).await.unwrap().messages, 0);
    assert_eq!(store.find(ALICE, "old/mail").await.unwrap().unwrap().messages, 1);
    assert!(store.find(ALICE, "inbox/below").await.unwrap().is_some());
}

#[tokio::test]
async fn subscriptions_outlive_their_mailbox() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { account_mailboxes_max: 8, ..Config::default() };
    let store = open(folder.path(), config);
    found(&store).await;
    store.create(ALICE, "Crepes", None).await.unwrap();
    store.subscribe(ALICE, "Crepes", true).await.unwrap();
    assert!(store.find(ALICE, "Crepes").await.unwrap().unwrap().subscribed);
    store.delete(ALICE, "Crepes").await.unwrap();
    assert!(store.subscriptions(ALICE).await.unwrap().contains(&"Crepes".to_owned()));
    store.subscribe(ALICE, "Crepes", false).await.unwrap();
    assert!(!store.subscriptions(ALICE).await.unwrap().contains(&"Crepes".to_owned()));
    // Bounds: six mailboxes and subscriptions to begin with.
    store.create(ALICE, "a/b", None).await.unwrap();
    let refused = store.create(ALICE, "c", None).await;
    assert!(matches!(refused, Err(MailboxError::Limit { limit: "account_mailboxes_max", max: 8 })));
    for number in 0..10 {
        store.subscribe(ALICE, &format!("s{number}"), true).await.unwrap();
    }
    assert!(matches!(store.subscribe(ALICE, "s", true).await, Err(MailboxError::Limit { .. })));
}

#[tokio::test]
async fn a_dissolved_account_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let new = message(&store, vec![b'x'; 200], &[]).await;
    let id = new.content.id;
    store.append(ALICE, MailboxId::INBOX, vec![new]).await.unwrap();
    store.remove(ALICE, MailboxId::INBOX, vec![1..=1]).await.unwrap();
    let new = message(&store, vec![b'x'; 200], &[]).await;
    store.append(ALICE, MailboxId::INBOX, vec![new]).await.unwrap();
    let this = store.clone();
    store.storage().write(move |transaction| this.dissolve_in(transaction, ALICE)).await.unwrap();
    assert!(store.storage().content(id).await.is_err());
    for table in super::super::keys::ALL {
        let first = store
            .storage()
            .read(move |t| t.last(table, &[], &super::super::keys::account(BOB)))
            .await
            .unwrap();
        assert_eq!(first, None, "{table:?}");
    }
    assert_eq!(store.list(BOB).await.unwrap().len(), 6);
}
