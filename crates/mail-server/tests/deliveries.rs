//! A server that is killed amid deliveries: each message that was acknowledged
//! lies in each recipient's INBOX exactly once, whole, and readable.
//!
//! The test runs its own binary as a child, which delivers and prints what was
//! acknowledged; the parent kills it with SIGKILL, opens the folder, and looks.

use event::Reporter;
use mail_server::mailbox::{AccountId, Config, Flags, MailboxError, MailboxId, Mailboxes};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use storage::Storage;

const FOLDER: &str = "DELIVERIES_CRASH_FOLDER";
const ROUND: &str = "DELIVERIES_CRASH_ROUND";
const ACCOUNTS: [AccountId; 2] = [AccountId(1), AccountId(2)];
const SENDERS: u64 = 8;
const ROUNDS: u64 = 4;
/// A thousand in all rounds.
const ACKNOWLEDGED_PER_ROUND: usize = 250;

fn open(folder: &Path) -> Mailboxes {
    let storage = storage::Config { content_inline_octets_max: 200, ..storage::Config::default() };
    Mailboxes::new(Config::default(), Storage::open(&storage, folder, Reporter::silent()).unwrap())
}

/// Every fourth message is a blob.
fn message(number: u64) -> Vec<u8> {
    let body = "x".repeat(if number.is_multiple_of(4) { 300 } else { 30 });
    format!("Message-ID: <{number}@crepes.test>\r\nSubject: {number}\r\n\r\n{body}\r\n").into_bytes()
}

/// The child: never ends by itself.
#[tokio::test]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let mailboxes = open(Path::new(&folder));
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let mailboxes = mailboxes.clone();
        senders.push(tokio::spawn(async move {
            for step in 0.. {
                let number = round * 1_000_000 + step * SENDERS + sender;
                let new = mailboxes.prepare(message(number).into(), Flags::new(), 0).await.unwrap();
                let this = mailboxes.clone();
                mailboxes
                    .storage()
                    .write(move |transaction| {
                        ACCOUNTS.into_iter().try_for_each(|account| {
                            this.append_in(transaction, account, MailboxId::INBOX, &new).map(drop)
                        })
                    })
                    .await
                    .unwrap();
                std::io::stdout().write_all(format!("\nack {number}\n").as_bytes()).unwrap();
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
}

#[tokio::test]
async fn acknowledged_deliveries_survive_kill_9_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let mailboxes = open(folder.path());
    let this = mailboxes.clone();
    mailboxes
        .storage()
        .write(move |transaction| {
            ACCOUNTS.into_iter().try_for_each(|account| this.found_in(transaction, account))
        })
        .await
        .unwrap();
    drop(mailboxes);
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        acknowledged.extend(deliver_and_kill(folder.path(), round));
        let mailboxes = open(folder.path());
        let alice = check(&mailboxes, ACCOUNTS[0], &acknowledged).await.unwrap();
        let bob = check(&mailboxes, ACCOUNTS[1], &acknowledged).await.unwrap();
        assert_eq!(alice, bob, "one delivery reaches both or none");
        let unacknowledged = alice.len() - acknowledged.len();
        assert!(unacknowledged <= (round + 1) as usize * SENDERS as usize);
    }
    assert!(acknowledged.len() >= 1000);
}

/// Runs the child until it has acknowledged enough, then kills it.
fn deliver_and_kill(folder: &Path, round: u64) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let number = |line: &str| line.strip_prefix("ack ").and_then(|number| number.parse::<u64>().ok());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < ACKNOWLEDGED_PER_ROUND {
        let line = lines.next().expect("the child delivers until it is killed").unwrap();
        acknowledged.extend(number(&line));
    }
    child.kill().unwrap();
    acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| number(&line)));
    child.wait().unwrap();
    acknowledged
}

/// The numbers of the messages in an INBOX.
async fn check(
    mailboxes: &Mailboxes,
    account: AccountId,
    acknowledged: &BTreeSet<u64>,
) -> Result<BTreeSet<u64>, MailboxError> {
    let selected = mailboxes.select(account, MailboxId::INBOX).await?;
    let messages = mailboxes.messages(account, MailboxId::INBOX, vec![1..=u32::MAX]).await?;
    let uids: Vec<u32> = messages.iter().map(|message| message.uid).collect();
    assert_eq!(uids, (1..selected.info.uid_next).collect::<Vec<_>>(), "no uid is skipped or given twice");
    assert_eq!(selected.info.messages as usize, messages.len());
    assert_eq!(selected.info.octets, messages.iter().map(|message| message.size).sum::<u64>());
    let mut copies = BTreeMap::new();
    for entry in &messages {
        let summary = mailboxes.summary(account, entry.email).await?;
        let subject = String::from_utf8(summary.envelope.subject.unwrap()).unwrap();
        let number: u64 = subject.parse().unwrap();
        assert_eq!(mailboxes.content(entry).await?, message(number));
        *copies.entry(number).or_insert(0) += 1;
    }
    let twice: Vec<_> = copies.iter().filter(|(_, copies)| **copies != 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    let lost: Vec<_> = acknowledged.iter().filter(|number| !copies.contains_key(number)).collect();
    assert!(lost.is_empty(), "acknowledged, but lost: {lost:?}");
    Ok(copies.into_keys().collect())
}
