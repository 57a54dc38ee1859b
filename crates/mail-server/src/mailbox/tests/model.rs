//! Random sequences of operations, against the simplest model there is.

use super::{ALICE, BOB, found, message, open};
use crate::mailbox::{
    Changes, Config, EmailId, FlagChange, Flags, Line, MailboxId, Mailboxes, SystemFlag, Uids,
};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const MAILBOXES: [MailboxId; 3] = [MailboxId::INBOX, MailboxId(2), MailboxId(3)];
const FLAGS: [&str; 4] = ["\\Seen", "\\Deleted", "\\Flagged", "$Crepes"];

#[derive(Debug, Clone)]
enum Operation {
    Append { to: usize, content: usize, flags: Vec<usize> },
    Store { mailbox: usize, uids: Uids, kind: u8, flags: Vec<usize>, since: Option<u64> },
    Copy { from: usize, uids: Uids, to: usize },
    Move { from: usize, uids: Uids, to: usize },
    Expunge { mailbox: usize, uids: Option<Uids> },
    Remove { mailbox: usize, uids: Uids },
    Reopen,
}

fn uids() -> impl Strategy<Value = Uids> {
    prop::collection::vec((1..20u32, 0..6u32).prop_map(|(from, length)| from..=from + length), 0..3)
}

fn operation() -> impl Strategy<Value = Operation> {
    let mailbox = 0..MAILBOXES.len();
    let flags = || prop::collection::vec(0..FLAGS.len(), 0..3);
    prop_oneof![
        6 => (mailbox.clone(), 0..4usize, flags())
            .prop_map(|(to, content, flags)| Operation::Append { to, content, flags }),
        4 => (mailbox.clone(), uids(), 0..3u8, flags(), prop::option::of(0..40u64)).prop_map(
            |(mailbox, uids, kind, flags, since)| Operation::Store { mailbox, uids, kind, flags, since }
        ),
        2 => (mailbox.clone(), uids(), mailbox.clone())
            .prop_map(|(from, uids, to)| Operation::Copy { from, uids, to }),
        2 => (mailbox.clone(), uids(), mailbox.clone())
            .prop_map(|(from, uids, to)| Operation::Move { from, uids, to }),
        2 => (mailbox.clone(), prop::option::of(uids()))
            .prop_map(|(mailbox, uids)| Operation::Expunge { mailbox, uids }),
        1 => (mailbox, uids()).prop_map(|(mailbox, uids)| Operation::Remove { mailbox, uids }),
        1 => Just(Operation::Reopen),
    ]
}

/// Contents in a table and in blobs.
fn content(number: usize) -> Bytes {
    format!("Subject: {number}\r\n\r\n{}", "x".repeat(number * 60)).into()
}

fn flags(numbers: &[usize]) -> BTreeSet<&'static str> {
    numbers.iter().map(|number| FLAGS[*number]).collect()
}

fn real(flags: &BTreeSet<&'static str>) -> Flags {
    Flags::from_names(flags.iter().copied())
}

#[derive(Debug, Clone, PartialEq)]
struct ModelMessage {
    flags: BTreeSet<&'static str>,
    content: usize,
    /// The number of the append it comes from.
    origin: u64,
    modseq: u64,
}

#[derive(Debug, Clone, Default)]
struct ModelMailbox {
    last_uid: u32,
    highest_modseq: u64,
    messages: BTreeMap<u32, ModelMessage>,
}

#[derive(Default)]
struct Model {
    mailboxes: [ModelMailbox; 3],
    appends: u64,
}

impl ModelMailbox {
    fn meant(&self, uids: &Uids) -> Vec<u32> {
        self.messages.keys().copied().filter(|uid| uids.iter().any(|range| range.contains(uid))).collect()
    }

    fn add(&mut self, message: ModelMessage, modseq: u64) -> u32 {
        self.last_uid += 1;
        self.highest_modseq = modseq;
        self.messages.insert(self.last_uid, ModelMessage { modseq, ..message });
        self.last_uid
    }

    fn lines(&self) -> Vec<Line> {
        let line = |(uid, message): (&u32, &ModelMessage)| Line {
            uid: *uid,
            modseq: message.modseq,
            flags: real(&message.flags),
        };
        self.messages.iter().map(line).collect()
    }
}

/// A mailbox as somebody saw it before.
struct Seen {
    modseq: u64,
    lines: BTreeMap<u32, Line>,
}

impl Seen {
    fn catch_up(&mut self, changes: &Changes) {
        for range in &changes.vanished {
            self.lines.retain(|uid, _| !range.contains(uid));
        }
        for message in &changes.messages {
            let line = Line { uid: message.uid, modseq: message.modseq, flags: message.flags.clone() };
            self.lines.insert(message.uid, line);
        }
        self.modseq = changes.info.highest_modseq;
    }
}

/// Applies an operation to both; the modseq of the model is what the store says,
/// checked to grow strictly.
async fn apply(store: &Mailboxes, model: &mut Model, operation: &Operation) {
    let top = model.mailboxes.iter().map(|mailbox| mailbox.highest_modseq).max().unwrap();
    match operation {
        Operation::Append { to, content: number, flags: chosen } => {
            let mut new = message(store, content(*number), &[]).await;
            new.flags = real(&flags(chosen));
            let appended = store.append(ALICE, MAILBOXES[*to], vec![new]).await.unwrap();
            assert!(appended[0].modseq > top, "MODSEQ grows strictly");
            model.appends += 1;
            let message =
                ModelMessage { flags: flags(chosen), content: *number, origin: model.appends, modseq: 0 };
            let uid = model.mailboxes[*to].add(message, appended[0].modseq);
            assert_eq!(appended[0].uid, uid);
            assert_eq!(appended[0].email, EmailId(model.appends));
        }
        Operation::Store { mailbox, uids, kind, flags: chosen, since } => {
            let chosen = flags(chosen);
            let change = match kind {
                0 => FlagChange::Add(real(&chosen)),
                1 => FlagChange::Remove(real(&chosen)),
                _ => FlagChange::Replace(real(&chosen)),
            };
            let stored = store.store(ALICE, MAILBOXES[*mailbox], uids.clone(), change, *since).await.unwrap();
            let model = &mut model.mailboxes[*mailbox];
            let (mut changed, mut modified) = (false, Vec::new());
            for uid in model.meant(uids) {
                let message = model.messages.get_mut(&uid).unwrap();
                if since.is_some_and(|since| message.modseq > since) {
                    modified.push(uid);
                    continue;
                }
                let after: BTreeSet<_> = match kind {
                    0 => message.flags.union(&chosen).copied().collect(),
                    1 => message.flags.difference(&chosen).copied().collect(),
                    _ => chosen.clone(),
                };
                if after != message.flags {
                    changed = true;
                    message.flags = after;
                    message.modseq = stored.highest_modseq;
                }
            }
            assert_eq!(stored.modified, modified);
            if changed {
                assert!(stored.highest_modseq > top);
                model.highest_modseq = stored.highest_modseq;
            }
            assert_eq!(stored.highest_modseq, model.highest_modseq);
        }
        Operation::Copy { from, uids, to } => {
            let copied = store.copy(ALICE, MAILBOXES[*from], uids.clone(), MAILBOXES[*to]).await.unwrap();
            let modseq = store.info(ALICE, MAILBOXES[*to]).await.unwrap().highest_modseq;
            let mut pairs = Vec::new();
            for uid in model.mailboxes[*from].meant(uids) {
                let message = model.mailboxes[*from].messages[&uid].clone();
                assert!(modseq > top);
                pairs.push((uid, model.mailboxes[*to].add(message, modseq)));
            }
            assert_eq!(copied.uids, pairs);
        }
        Operation::Move { from, uids, to } => {
            let moved =
                store.move_messages(ALICE, MAILBOXES[*from], uids.clone(), MAILBOXES[*to]).await.unwrap();
            let mut pairs = Vec::new();
            for uid in model.mailboxes[*from].meant(uids) {
                let message = model.mailboxes[*from].messages.remove(&uid).unwrap();
                assert!(moved.highest_modseq > top);
                model.mailboxes[*from].highest_modseq = moved.highest_modseq;
                pairs.push((uid, model.mailboxes[*to].add(message, moved.highest_modseq)));
            }
            assert_eq!(moved.uids, pairs);
        }
        Operation::Expunge { mailbox, uids } => {
            let expunged = store.expunge(ALICE, MAILBOXES[*mailbox], uids.clone()).await.unwrap();
            let model = &mut model.mailboxes[*mailbox];
            let mut meant = model.meant(&uids.clone().unwrap_or_else(|| vec![1..=u32::MAX]));
            meant.retain(|uid| model.messages[uid].flags.contains("\\Deleted"));
            take_away(model, &meant, expunged.highest_modseq, top);
            assert_eq!(expunged.uids, meant);
        }
        Operation::Remove { mailbox, uids } => {
            let removed = store.remove(ALICE, MAILBOXES[*mailbox], uids.clone()).await.unwrap();
            let model = &mut model.mailboxes[*mailbox];
            let meant = model.meant(uids);
            take_away(model, &meant, removed.highest_modseq, top);
            assert_eq!(removed.uids, meant);
        }
        Operation::Reopen => unreachable!("done by the caller"),
    }
}

fn take_away(model: &mut ModelMailbox, uids: &[u32], modseq: u64, top: u64) {
    if !uids.is_empty() {
        assert!(modseq > top);
        model.highest_modseq = modseq;
    }
    model.messages.retain(|uid, _| !uids.contains(uid));
}

async fn compare(store: &Mailboxes, model: &Model) {
    let mut sizes = HashMap::new();
    let mut messages = 0;
    for (id, model) in MAILBOXES.into_iter().zip(&model.mailboxes) {
        let selected = store.select(ALICE, id).await.unwrap();
        assert_eq!(selected.lines, model.lines());
        let info = selected.info;
        let count = |flag| selected.lines.iter().filter(|line| line.flags.has(flag)).count() as u32;
        assert_eq!(info.uid_next, model.last_uid + 1, "a uid is never given twice");
        assert_eq!(info.highest_modseq, model.highest_modseq);
        assert_eq!(info.messages, model.messages.len() as u32);
        assert_eq!(info.unseen, info.messages - count(SystemFlag::Seen));
        assert_eq!(info.deleted, count(SystemFlag::Deleted));
        let size = |message: &ModelMessage| content(message.content).len() as u64;
        assert_eq!(info.octets, model.messages.values().map(size).sum::<u64>());
        messages += model.messages.len() as u64;
        sizes.extend(model.messages.values().map(|message| (message.origin, size(message))));
    }
    let usage = store.usage(ALICE).await.unwrap();
    assert_eq!(usage.messages, messages);
    assert_eq!(usage.octets, sizes.values().sum::<u64>(), "copies cost nothing");
}

async fn run(operations: Vec<Operation>) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path(), Config::default());
    found(&store).await;
    let mut model = Model::default();
    for (id, model) in MAILBOXES.into_iter().zip(&mut model.mailboxes) {
        model.highest_modseq = store.info(ALICE, id).await.unwrap().highest_modseq;
    }
    // Somebody who looks at each step, and somebody who comes back at the end.
    let mut watching: Vec<Seen> = Vec::new();
    let mut returning: Vec<Seen> = Vec::new();
    for model in &model.mailboxes {
        for seen in [&mut watching, &mut returning] {
            seen.push(Seen { modseq: model.highest_modseq, lines: BTreeMap::new() });
        }
    }
    let count = operations.len();
    for (number, operation) in operations.into_iter().enumerate() {
        if matches!(operation, Operation::Reopen) {
            drop(store);
            store = open(folder.path(), Config::default());
        } else {
            apply(&store, &mut model, &operation).await;
        }
        compare(&store, &model).await;
        for (index, id) in MAILBOXES.into_iter().enumerate() {
            let catching_up = std::iter::once(&mut watching)
                .chain(std::iter::once(&mut returning).filter(|_| number + 1 == count));
            for seen in catching_up {
                let changes = store.changes(ALICE, id, seen[index].modseq).await.unwrap();
                seen[index].catch_up(&changes);
                let lines: Vec<_> = seen[index].lines.values().cloned().collect();
                assert_eq!(lines, model.mailboxes[index].lines());
            }
        }
    }
    let mut contents = BTreeSet::new();
    for (id, model) in MAILBOXES.into_iter().zip(&model.mailboxes) {
        let messages = store.messages(ALICE, id, vec![1..=u32::MAX]).await.unwrap();
        for (message, model) in messages.iter().zip(model.messages.values()) {
            assert_eq!(store.content(message).await.unwrap(), content(model.content));
            assert_eq!(
                store.summary(ALICE, message.email).await.unwrap().envelope.subject,
                Some(model.content.to_string().into_bytes())
            );
            contents.insert(message.content);
        }
    }
    // Nothing of this touched anybody else, and with the last copy all goes.
    assert_eq!(store.usage(BOB).await.unwrap().messages, 0);
    for id in MAILBOXES {
        store.remove(ALICE, id, vec![1..=u32::MAX]).await.unwrap();
    }
    assert_eq!(store.usage(ALICE).await.unwrap().octets, 0);
    for content in contents {
        assert!(store.storage().content(content).await.is_err());
    }
    for table in [
        super::super::keys::EMAILS,
        super::super::keys::SUMMARIES,
        super::super::keys::THREADS,
        super::super::keys::CHANGES,
    ] {
        let rest = store.storage().read(move |t| t.last(table, &[], &[])).await.unwrap();
        assert_eq!(rest, None, "{table:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_operations(operations in prop::collection::vec(operation(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(operations));
    }
}
