//! One seed to one leecher, 1 GiB over loopback: ours, libtorrent, rqbit and
//! aria2, each with itself, in the same run.
//!
//! All are processes of their own as a person starts them. The content lies in
//! memory, and so does what is got of it, so that no disk is measured. A transfer
//! counts from the first octet in the file to the last; the processor time of
//! both processes and the most memory that each ever held stand beside it.
//!
//! In a virtual machine memory that was long free belongs to the host, and the
//! first touch of it costs more than the transfer: before each one, as much is
//! written and given back as it needs.

mod clients;
mod transfer;

use crate::choice::{is_chosen, our_program};
use crate::row::{Figure, Row};
use bittorrent_node::tracker::{AccessKind, Config, Tracker};
use clients::{Client, Over};
use net::{Network, Shutdown};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use transfer::Transfer;

/// Octets of the content.
const OCTETS: u64 = 1 << 30;
/// Its name.
const NAME: &str = "content";
/// Rounds, in turn over all clients, so that what disturbs the machine disturbs
/// all alike; the median counts.
const ROUNDS: usize = 5;
/// A file system in memory, where there is one.
const MEMORY: &str = "/dev/shm";

/// Where a comparison takes place.
struct Place {
    /// Holds the content, below `seed`.
    folder: PathBuf,
    torrent: PathBuf,
    /// For clients that cannot be told of a peer.
    tracker: String,
}

/// Runs all clients over all carriers, or those whose names contain `only` (both
/// may be said: `ours,uTP`), and prints the rows of each carrier.
pub(crate) fn run(json: bool, only: &[String]) -> io::Result<()> {
    let memory = Some(Path::new(MEMORY)).filter(|folder| folder.is_dir());
    let folder = memory.map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shutdown = Shutdown::new();
    let tracker = {
        let _inside = runtime.enter();
        let config = Config {
            http_listen: vec![([127, 0, 0, 1], 0).into()],
            access: AccessKind::Open,
            min_interval_seconds: 1,
            ..Config::default()
        };
        Tracker::start(&config, Network::new(), event::Reporter::silent(), shutdown.clone())
            .map_err(io::Error::other)?
    };
    let addresses = tracker.http_addrs();
    let address = addresses.first().ok_or_else(|| io::Error::other("the tracker does not listen"))?;
    let place = Place {
        folder: folder.path().to_owned(),
        torrent: folder.path().join("content.torrent"),
        tracker: format!("http://{address}/announce"),
    };
    prepare(&place)?;
    let clients = clients::all()?;
    let names: Vec<&str> = clients.iter().map(Client::name).collect();
    let clients: Vec<&Client> = clients.iter().filter(|one| is_chosen(only, &names, one.name())).collect();
    let carriers = [Over::Tcp, Over::Utp, Over::Encrypted];
    for over in carriers {
        if is_chosen(only, &carriers.map(Over::name), over.name()) {
            compare(&place, over, &clients, json)?;
        }
    }
    runtime.block_on(shutdown.finish(Duration::from_secs(5)));
    Ok(())
}

/// Writes the content and its torrent file.
fn prepare(place: &Place) -> io::Result<()> {
    let folder = place.folder.join("seed");
    fs::create_dir(&folder)?;
    let content = folder.join(NAME);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&content)?);
    let mut state: u64 = 1;
    for _ in 0..OCTETS / 8 {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        file.write_all(&(state ^ state >> 32).to_le_bytes())?;
    }
    file.flush()?;
    let mut create = Command::new(our_program()?);
    create.args(["torrent", "create", "--format", "v1", "--out"]).arg(&place.torrent).arg(&content);
    let status = create.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("our `torrent create` failed")) }
}

/// What of a transfer makes a row: its name, its unit, and whether more is better.
type Aspect = (&'static str, &'static str, bool, fn(&Transfer) -> f64);

const ASPECTS: [Aspect; 5] = [
    ("rate", "MB/s", true, |transfer| OCTETS as f64 / 1e6 / transfer.seconds),
    ("processor time of the seed", "CPU s/GiB", false, |transfer| transfer.seed.cpu_seconds),
    ("processor time of the leecher", "CPU s/GiB", false, |transfer| transfer.leecher.cpu_seconds),
    ("memory of the seed", "MiB", false, |transfer| transfer.seed.memory_mebioctets),
    ("memory of the leecher", "MiB", false, |transfer| transfer.leecher.memory_mebioctets),
];

fn compare(place: &Place, over: Over, clients: &[&Client], json: bool) -> io::Result<()> {
    let mut transfers: BTreeMap<&'static str, Vec<Transfer>> = BTreeMap::new();
    let mut clients: Vec<&Client> = clients.iter().copied().filter(|client| client.carries(over)).collect();
    for _ in 0..ROUNDS {
        for client in &clients {
            transfers.entry(client.name()).or_default().push(transfer::measure(place, client, over)?);
        }
        clients.rotate_left(1);
    }
    for (what, unit, more, of) in ASPECTS {
        let figure = |transfers: &Vec<Transfer>| Figure::median(transfers.iter().map(of).collect());
        let mut peers: BTreeMap<_, _> =
            transfers.iter().map(|(name, transfers)| (*name, figure(transfers))).collect();
        let Some(ours) = peers.remove(clients::OURS) else { return Ok(()) };
        let what = format!("Torrent, {over}, {what}");
        let row = if more {
            Row::more_is_better(what, unit, ours, peers, &[])
        } else {
            Row::less_is_better(what, unit, ours, peers, &[])
        };
        row.print(json);
    }
    Ok(())
}
