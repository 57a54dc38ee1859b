//! Mail taken a second: ours and Postfix, on the same messages in the same run.
//!
//! Both take messages of 4 KiB on loopback in the clear, for users of their own,
//! and reply 250 only when the message is durable; both put them into mailboxes
//! (ours a table, Postfix's Maildir). Postfix is as Debian ships it without what
//! ours has not (chroot, virus scan) and without its brake (`in_flow_delay`);
//! ours checks SPF, DKIM and DMARC besides, against a name service in which no
//! name exists, and reads each message's structure for IMAP.

mod load;
mod ours;
mod postfix;
mod process;

use crate::row::{Figure, Row};
use load::Load;
use ours::Ours;
use postfix::Postfix;
use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// The domain that takes the mail.
const DOMAIN: &str = "bench.test";
/// Its users, who get messages in turn.
const USERS: usize = 20;
/// Clients at once, and how many messages they send in all.
const LOADS: [(usize, usize); 2] = [(1, 500), (20, 4_000)];
/// Rounds, in turn over both servers, so that what disturbs the machine disturbs
/// both alike; the median of the rounds counts.
const ROUNDS: usize = 3;
/// How long a server may take to put what it took into the mailboxes.
const DELIVERY_PATIENCE: Duration = Duration::from_mins(2);

/// What is asked of a server besides SMTP.
trait Measured {
    /// Its address.
    fn address(&self) -> std::net::SocketAddr;
    /// Messages in all mailboxes.
    fn delivered(&self) -> io::Result<usize>;
    /// Seconds of processor time its processes have used, in the kernel and
    /// outside of it.
    fn cpu_seconds(&self) -> io::Result<f64>;
    /// Whether the load's processor time is among that.
    fn includes_load(&self) -> bool;
}

/// Runs the comparison and prints three rows for each load.
pub(crate) fn run(json: bool) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let ours = Ours::start(&folder.path().join("ours"))?;
    let postfix = Postfix::start(&folder.path().join("postfix"))?;
    let mut servers: Vec<(&'static str, &dyn Measured)> = vec![("ours", &ours)];
    if let Some(postfix) = &postfix {
        servers.push(("postfix", postfix));
    }
    let mut number = 0;
    for (clients, messages) in LOADS {
        let mut acknowledged = BTreeMap::new();
        let mut delivered = BTreeMap::new();
        let mut efficiency = BTreeMap::new();
        let (commits, mut to_ours) = (ours.commits(), 0);
        for _ in 0..ROUNDS {
            for (name, server) in &servers {
                let load = Load { address: server.address(), clients, messages, first: number };
                number += messages;
                to_ours += if *name == "ours" { messages } else { 0 };
                let round = measure(*server, &load)?;
                let keep = |rounds: &mut BTreeMap<&'static str, Vec<f64>>, figure: f64| {
                    rounds.entry(name).or_default().push(figure);
                };
                keep(&mut acknowledged, messages as f64 / round.acknowledged);
                keep(&mut delivered, messages as f64 / round.delivered);
                keep(&mut efficiency, messages as f64 / round.cpu);
            }
        }
        let who = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
        for (what, unit, rounds) in [
            ("acknowledged", "messages/s", acknowledged),
            ("in the mailbox", "messages/s", delivered),
            ("by processor time of the server", "messages/CPU s", efficiency),
        ] {
            let mut figures: BTreeMap<_, _> =
                rounds.into_iter().map(|(name, rounds)| (name, Figure::median(rounds))).collect();
            let ours = figures.remove("ours").unwrap_or_default();
            Row::more_is_better(format!("SMTP, {who}, {what}"), unit, ours, figures, &[]).print(json);
        }
        if !json {
            let commits = (ours.commits() - commits) as f64 / f64::from(u32::try_from(to_ours).unwrap_or(1));
            println!("  (ours made {commits:.3} durable commits a message)");
        }
    }
    drop(postfix);
    ours.stop()
}

/// What one round took, in seconds.
struct Round {
    acknowledged: f64,
    delivered: f64,
    cpu: f64,
}

fn measure(server: &dyn Measured, load: &Load) -> io::Result<Round> {
    let (before, cpu_before, start) = (server.delivered()?, server.cpu_seconds()?, Instant::now());
    let load_cpu = load.run()?;
    let acknowledged = start.elapsed().as_secs_f64();
    while server.delivered()? < before + load.messages {
        if start.elapsed() > DELIVERY_PATIENCE {
            return Err(io::Error::other("what was acknowledged does not come into the mailboxes"));
        }
        // Seldom: counting files disturbs who makes them.
        thread::sleep(Duration::from_millis(50));
    }
    let delivered = start.elapsed().as_secs_f64();
    let load_cpu = if server.includes_load() { load_cpu } else { 0.0 };
    let cpu = server.cpu_seconds()? - cpu_before - load_cpu;
    Ok(Round { acknowledged, delivered, cpu })
}
