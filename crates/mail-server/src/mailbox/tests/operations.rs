//! What single operations promise beyond the model.

use super::{ALICE, BOB, found, founded, message, open};
use crate::mailbox::{
    Config, FlagChange, Flags, KEYWORD_OCTETS_MAX, KEYWORDS_MAX, MailboxError, MailboxId, Mailboxes,
    SystemFlag,
};

const INBOX: MailboxId = MailboxId::INBOX;

/// The size of what [`crepes`] makes.
const CREPES_OCTETS: u64 = 200;

fn crepes(id: usize) -> Vec<u8> {
    let mut message = format!("Message-ID: <{id}@crepes.test>\r\n\r\n").into_bytes();
    message.resize(CREPES_OCTETS as usize, b'x');
    message
}

async fn thread_of(store: &Mailboxes, header: &str) -> u64 {
    let new = message(store, format!("{header}\r\n\r\n"), &[]).await;
    store.append(ALICE, INBOX, vec![new]).await.unwrap()[0].thread.0
}

#[tokio::test]
async fn one_delivery_is_one_transaction_for_all_recipients() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let new = message(&store, crepes(1), &[]).await;
    let before = store.storage().commits();
    let this = store.clone();
    let queue = storage::Table("queue");
    store
        .storage()
        .write(move |transaction| {
            transaction.put(queue, b"id", b"accepted")?;
            this.append_in(transaction, ALICE, INBOX, &new)?;
            this.append_in(transaction, BOB, INBOX, &new)?;
            Ok::<_, MailboxError>(())
        })
        .await
        .unwrap();
    assert_eq!(store.storage().commits() - before, 1);
    let alice = store.messages(ALICE, INBOX, vec![1..=1]).await.unwrap();
    let bob = store.messages(BOB, INBOX, vec![1..=1]).await.unwrap();
    assert_eq!(alice[0].content, bob[0].content, "stored once");
    store.remove(ALICE, INBOX, vec![1..=1]).await.unwrap();
    assert_eq!(store.content(&bob[0]).await.unwrap(), crepes(1));

    // One recipient who is not there undoes it all.
    let (this, new) = (store.clone(), message(&store, crepes(2), &[]).await);
    let failed = store
        .storage()
        .write(move |transaction| {
            this.append_in(transaction, ALICE, INBOX, &new)?;
            this.append_in(transaction, super::AccountId(9), INBOX, &new)
        })
        .await;
    assert!(matches!(failed, Err(MailboxError::NoAccount)));
    assert_eq!(store.info(ALICE, INBOX).await.unwrap().messages, 0);
}

#[tokio::test]
async fn a_full_account_takes_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        Config { account_octets_max: 2 * CREPES_OCTETS + 10, account_messages_max: 4, ..Config::default() };
    let store = open(folder.path(), config);
    found(&store).await;
    let two = vec![message(&store, crepes(1), &[]).await, message(&store, crepes(2), &[]).await];
    store.append(ALICE, INBOX, two).await.unwrap();
    let third = store.append(ALICE, INBOX, vec![message(&store, crepes(3), &[]).await]).await.unwrap_err();
    assert!(
        matches!(third, MailboxError::OverQuota { used_octets: 400, octets: 200, account_octets_max: 410 }),
        "{third}"
    );
    // All or none, of several at once too.
    let several = vec![message(&store, "small", &[]).await, message(&store, crepes(3), &[]).await];
    assert!(store.append(ALICE, INBOX, several).await.is_err());
    let info = store.info(ALICE, INBOX).await.unwrap();
    assert_eq!((info.messages, info.uid_next), (2, 3));
    store.append(BOB, INBOX, vec![message(&store, crepes(3), &[]).await]).await.unwrap();
    // Copies cost no octets, but they are counted.
    store.copy(ALICE, INBOX, vec![1..=2], MailboxId(2)).await.unwrap();
    let copy = store.copy(ALICE, INBOX, vec![1..=2], MailboxId(2)).await.unwrap_err();
    assert!(matches!(copy, MailboxError::Limit { limit: "account_messages_max", max: 4 }), "{copy}");
    store.remove(ALICE, INBOX, vec![1..=1]).await.unwrap();
    store.remove(ALICE, MailboxId(2), vec![1..=1]).await.unwrap();
    store.append(ALICE, INBOX, vec![message(&store, crepes(3), &[]).await]).await.unwrap();
}

#[tokio::test]
async fn watchers_wake_after_each_durable_change_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let mut inbox = store.watch(ALICE, INBOX);
    let other = store.watch(ALICE, MailboxId(2));
    let bob = store.watch(BOB, INBOX);
    let appended = store.append(ALICE, INBOX, vec![message(&store, crepes(1), &[]).await]).await.unwrap();
    assert!(inbox.has_changed().unwrap());
    assert_eq!(*inbox.borrow_and_update(), appended[0].modseq);
    let seen = FlagChange::Add(Flags::new().with(SystemFlag::Seen));
    store.store(ALICE, INBOX, vec![1..=1], seen.clone(), None).await.unwrap();
    assert!(inbox.has_changed().unwrap());
    inbox.mark_unchanged();
    store.store(ALICE, INBOX, vec![1..=1], seen, None).await.unwrap();
    assert!(!inbox.has_changed().unwrap(), "nothing changed");
    let (this, new) = (store.clone(), message(&store, crepes(2), &[]).await);
    let undone = store
        .storage()
        .write(move |transaction| {
            this.append_in(transaction, ALICE, INBOX, &new)?;
            Err::<(), _>(MailboxError::NoAccount)
        })
        .await;
    assert!(undone.is_err());
    assert!(!inbox.has_changed().unwrap(), "undone");
    assert!(!other.has_changed().unwrap() && !bob.has_changed().unwrap());
    store.move_messages(ALICE, INBOX, vec![1..=1], MailboxId(2)).await.unwrap();
    assert!(inbox.has_changed().unwrap() && other.has_changed().unwrap());
}

#[tokio::test]
async fn watchers_who_left_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    for number in 0..10_000 {
        drop(store.watch(ALICE, MailboxId(number)));
    }
    assert!(store.watchers.len() < 100, "{}", store.watchers.len());
}

#[tokio::test]
async fn replies_join_the_thread() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let first = thread_of(&store, "Message-ID: <1@x>\r\nSubject: Crepes?").await;
    let reply = thread_of(&store, "Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\nSubject: Re: Crepes?").await;
    assert_eq!(reply, first);
    let third =
        thread_of(&store, "Message-ID: <3@x>\r\nReferences: <0@x> <2@x>\r\nSubject: RE: [eat] crepes?").await;
    assert_eq!(third, first);
    // The one it all began with comes last.
    assert_eq!(thread_of(&store, "Message-ID: <0@x>\r\nSubject: crepes?").await, first);
    assert_ne!(thread_of(&store, "Message-ID: <4@x>\r\nSubject: Crepes?").await, first);
    let other = thread_of(&store, "Message-ID: <5@x>\r\nIn-Reply-To: <1@x>\r\nSubject: Something else").await;
    assert_ne!(other, first, "another subject");
    let (none, again) = (thread_of(&store, "Subject: a").await, thread_of(&store, "Subject: a").await);
    assert_ne!(none, again, "without message identifiers nothing is known");
    // Threads are an account's own.
    let new = message(&store, "Message-ID: <1@x>\r\nSubject: Crepes?\r\n\r\n", &[]).await;
    assert_eq!(store.append(BOB, INBOX, vec![new]).await.unwrap()[0].thread.0, 1);
}

#[tokio::test]
async fn keywords_have_bounds_and_no_case() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    store
        .append(ALICE, INBOX, vec![message(&store, "x", &["$Forwarded", "\\SEEN", "\\Recent"]).await])
        .await
        .unwrap();
    let add = |names: Vec<String>| {
        let store = store.clone();
        let flags = Flags::from_names(names.iter().map(String::as_str));
        async move { store.store(ALICE, INBOX, vec![1..=1], FlagChange::Add(flags), None).await }
    };
    let stored = add(vec!["$FORWARDED".into()]).await.unwrap();
    assert_eq!(stored.messages[0].flags.names().collect::<Vec<_>>(), ["\\Seen", "$Forwarded"]);
    let many = add((0..KEYWORDS_MAX).map(|number| format!("k{number}")).collect()).await;
    assert!(matches!(many, Err(MailboxError::Limit { limit: "KEYWORDS_MAX", .. })), "{many:?}");
    let long = add(vec!["k".repeat(KEYWORD_OCTETS_MAX + 1)]).await;
    assert!(matches!(long, Err(MailboxError::Limit { limit: "KEYWORD_OCTETS_MAX", .. })), "{long:?}");
    let mut new = message(&store, "x", &[]).await;
    new.flags.set_keyword(&"k".repeat(KEYWORD_OCTETS_MAX + 1));
    assert!(store.append(ALICE, INBOX, vec![new]).await.is_err());
}

#[tokio::test]
async fn long_forgotten_expunges_are_told_as_what_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let remembered = super::super::ledger::EXPUNGES_REMEMBERED_MAX;
    let since = store.info(ALICE, INBOX).await.unwrap().highest_modseq;
    let new = message(&store, "x", &[]).await;
    store.append(ALICE, INBOX, vec![new.clone(), new.clone()]).await.unwrap();
    let (this, last) = (store.clone(), remembered + 2);
    let middle = store
        .storage()
        .write(move |transaction| {
            let mut middle = 0;
            for uid in 3..=last + 2 {
                this.append_in(transaction, ALICE, INBOX, &new)?;
                let expunged = this.remove_in(transaction, ALICE, INBOX, &vec![uid..=uid], &|_| true)?;
                if uid == 10 {
                    middle = expunged.highest_modseq;
                }
            }
            Ok::<_, MailboxError>(middle)
        })
        .await
        .unwrap();
    let changes = store.changes(ALICE, INBOX, since).await.unwrap();
    assert_eq!(changes.vanished, vec![3..=last + 2]);
    assert_eq!(changes.messages.iter().map(|message| message.uid).collect::<Vec<_>>(), [1, 2]);
    // Still remembered from here on: only what went since.
    assert_eq!(store.changes(ALICE, INBOX, middle).await.unwrap().vanished, vec![11..=last + 2]);
    let prefix = super::super::keys::mailbox(ALICE, INBOX);
    let kept = store
        .storage()
        .read(move |transaction| {
            let mut kept = 0;
            let end = super::super::keys::after(&prefix);
            transaction.scan(super::super::keys::VANISHED, &prefix, &end, &mut |_, _| {
                kept += 1;
                std::ops::ControlFlow::Continue(())
            })?;
            Ok::<_, MailboxError>(kept)
        })
        .await
        .unwrap();
    assert_eq!(kept, remembered);
}

#[tokio::test]
async fn a_summary_of_another_version_is_read_from_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let store = founded(folder.path()).await;
    let new = message(&store, "Subject: Crepes\r\n\r\n", &[]).await;
    let email = store.append(ALICE, INBOX, vec![new]).await.unwrap()[0].email;
    let key = super::super::keys::email(ALICE, email);
    store
        .storage()
        .write(move |t| t.put(super::super::keys::SUMMARIES, &key, b"\xff another version"))
        .await
        .unwrap();
    let summary = store.summary(ALICE, email).await.unwrap();
    assert_eq!(summary.envelope.subject.as_deref(), Some(&b"Crepes"[..]));
    assert_eq!(store.summaries(ALICE, vec![email]).await.unwrap(), [None]);
}
