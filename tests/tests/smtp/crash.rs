//! kill -9 in the middle of deliveries: everything acknowledged is there after
//! the restart, exactly once in local mailboxes, at least once elsewhere.

use crate::fixture::{Names, PASSWORD, Plan};
use bytes::Bytes;
use mail_server::smtp::Face;
use mail_server::smtp::client::{Security, Submission, Target, submit};
use net::Network;
use net::tls::client_config_verified;
use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::Peer;

const FOLDER: &str = "UTOPIA_TEST_SMTP_FOLDER";
const REMOTE_PORT: &str = "UTOPIA_TEST_SMTP_REMOTE_PORT";

fn names() -> Arc<Names> {
    Names::new("utopia.test. MX 10 mail.utopia.test.\nmail.utopia.test. A 127.27.1.2\n")
}

fn plan(folder: &Path, remote_port: u16) -> Plan {
    let mut plan = Plan::new("crepes.test", "127.27.1.1", &folder.join("data"), &names());
    plan.users = vec!["alice"];
    plan.remote_port = remote_port;
    plan.queue.retry_seconds_first = 1;
    plan
}

/// The host that is killed: runs until then. Does nothing unless told where.
#[tokio::test(flavor = "multi_thread")]
async fn the_host_to_be_killed() {
    let (Some(folder), Ok(port)) = (std::env::var_os(FOLDER), std::env::var(REMOTE_PORT)) else { return };
    let folder = PathBuf::from(folder);
    let host = plan(&folder, port.parse().unwrap()).start().await;
    let ready = format!("{}\n{}\n{}", host.exchange(), host.ports[&Face::Submissions], host.ca_pem);
    fs::write(folder.join("starting"), ready).unwrap();
    fs::rename(folder.join("starting"), folder.join("ready")).unwrap();
    std::future::pending::<()>().await;
}

struct Process {
    child: Peer,
    exchange: SocketAddr,
    submissions: SocketAddr,
    ca_pem: String,
}

impl Process {
    async fn start(folder: &Path, remote_port: u16) -> Self {
        let _ = fs::remove_file(folder.join("ready"));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["crash::the_host_to_be_killed", "--exact"])
            .env(FOLDER, folder)
            .env(REMOTE_PORT, remote_port.to_string())
            .stdout(Stdio::null());
        let child = Peer::start(&mut command).unwrap();
        for _ in 0..1200 {
            if let Ok(ready) = fs::read_to_string(folder.join("ready")) {
                let mut lines = ready.splitn(3, '\n');
                let mut next = || lines.next().unwrap().to_owned();
                return Self {
                    child,
                    exchange: next().parse().unwrap(),
                    submissions: next().parse().unwrap(),
                    ca_pem: next(),
                };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the host did not start");
    }
}

/// Sends message `number` to Alice here, or every eighth to Bob elsewhere;
/// whether it was acknowledged.
async fn send(process: &Process, number: usize) -> bool {
    let to_bob = number.is_multiple_of(8);
    let (address, security) = if to_bob {
        (process.submissions, Security::Tls(client_config_verified(&process.ca_pem).unwrap()))
    } else {
        (process.exchange, Security::Clear)
    };
    let target = Target {
        address,
        name: "mail.crepes.test".into(),
        hostname: "client.test".into(),
        security,
        connect_patience: Duration::from_secs(20),
        reply_patience: Duration::from_mins(1),
    };
    let from = if to_bob { "alice@crepes.test" } else { "someone@elsewhere.test" };
    let to = if to_bob { "bob@utopia.test" } else { "alice@crepes.test" };
    let submission = Submission {
        from: Some(from.parse().unwrap()),
        recipients: vec![to.parse().unwrap()],
        message: Bytes::from(format!("From: {from}\r\nSubject: number {number} end\r\n\r\nbody\r\n")),
        login: to_bob.then(|| ("alice@crepes.test".to_owned(), PASSWORD.to_owned())),
    };
    match submit(&Network::new(), target, submission).await {
        Ok(replies) => replies.iter().all(mail::smtp::Reply::is_positive),
        Err(_) => false,
    }
}

fn count(texts: &[String]) -> HashMap<usize, usize> {
    let mut counts = HashMap::new();
    for text in texts {
        let number = text.split("Subject: number ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        *counts.entry(number.parse().unwrap()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_in_the_middle_of_deliveries() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut bobs = Plan::new("utopia.test", "127.27.1.2", other.path(), &names());
    bobs.users = vec!["bob"];
    bobs.smtp.enforce_dmarc = false;
    let utopia = bobs.start().await;
    let port = utopia.exchange().port();
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::new(AtomicUsize::new(0));
    for round in 1..=3 {
        let process = Arc::new(Process::start(folder.path(), port).await);
        let mut clients = Vec::new();
        for _ in 0..8 {
            let (process, next, acknowledged) = (process.clone(), next.clone(), acknowledged.clone());
            clients.push(tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if !send(&process, number).await {
                        return;
                    }
                    acknowledged.lock().unwrap().push(number);
                }
            }));
        }
        // Killed by progress, not by time: the clients are in the middle then.
        while acknowledged.lock().unwrap().len() < round * 120 {
            assert!(!clients.iter().all(tokio::task::JoinHandle::is_finished), "the host failed by itself");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let pid = process.child.id().to_string();
        Command::new("kill").args(["-9", &pid]).status().unwrap();
        for client in clients {
            client.await.unwrap();
        }
        drop(process);
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    // Started once more in this process: it delivers what it still holds.
    let host = plan(folder.path(), port).start().await;
    let for_bob = acknowledged.iter().filter(|number| number.is_multiple_of(8)).count();
    utopia.wait_for("bob", for_bob).await;
    host.queue.retry_now(None);
    for _ in 0..1200 {
        if host.queue.list().await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (alices, bobs) =
        (count(&host.read("alice", "INBOX").await), count(&utopia.read("bob", "INBOX").await));
    for number in acknowledged {
        if number.is_multiple_of(8) {
            assert!(
                bobs.get(&number).is_some_and(|count| *count >= 1),
                "{number} was lost on the way to Bob"
            );
        } else {
            assert_eq!(alices.get(&number), Some(&1), "number {number}");
        }
    }
    assert!(alices.values().all(|count| *count == 1), "{alices:?}");
    host.stop().await;
    utopia.stop().await;
}
