//! How near the lecture's bound a swarm comes: the time until the last of N
//! leechers has the file, over max{F/us, F/dmin, NF/(us+Σui)}. Each peer is a
//! process of its own with a shaped uplink of its own, downlinks are unshaped.
//!
//! The time begins when the leechers' processes are started, five seconds after the
//! seed's, and ends when the last of them says that it has everything; then each
//! file is compared with the seed's. All that a newcomer has to do counts: to ask
//! the tracker, to connect, to get a first piece.
//!
//! The bound takes the links' whole rate for the file's octets. In truth headers
//! and acknowledgements take their share of it, for all clients alike: what the
//! uplinks sent for each octet of the file is printed beside, and nobody can be
//! nearer to the bound than that where all uplinks are needed.

mod clients;
mod network;

use crate::choice::{is_chosen, our_program};
use crate::row::{Figure, Row};
use clients::{Client, Distributed};
use network::{Network, TRACKER, address};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Octets of a piece of the torrent that all clients get.
const PIECE_OCTETS: u64 = 256 * 1024;
/// How long seeds have to look at their file and to announce themselves.
const SEED_HEAD_START: Duration = Duration::from_secs(5);
/// How often it is looked who is complete.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Multiples of the bound after which a run is given up.
const BOUND_MULTIPLE_MAX: f64 = 5.0;
/// An uplink's unit.
const MB: f64 = 1e6;

/// A swarm: uplinks in MB a second.
struct Case {
    name: &'static str,
    pieces: u64,
    seed_up: f64,
    leechers_up: &'static [f64],
}

/// Sizes such that the bound is some 40 seconds.
const CASES: [Case; 4] = [
    Case { name: "seed 4 MB/s, 8 leechers of 2", pieces: 400, seed_up: 4.0, leechers_up: &[2.0; 8] },
    Case {
        name: "seed 4 MB/s, 4 leechers of 3.5 and 4 of 0.5",
        pieces: 400,
        seed_up: 4.0,
        leechers_up: &[3.5, 3.5, 3.5, 3.5, 0.5, 0.5, 0.5, 0.5],
    },
    Case { name: "slow seed 1 MB/s, 8 leechers of 4", pieces: 160, seed_up: 1.0, leechers_up: &[4.0; 8] },
    Case { name: "seed 8 MB/s, 16 leechers of 2", pieces: 400, seed_up: 8.0, leechers_up: &[2.0; 16] },
];

impl Case {
    fn file_octets(&self) -> u64 {
        self.pieces * PIECE_OCTETS
    }

    /// The lecture's bound; downlinks have no bound.
    fn bound_seconds(&self) -> f64 {
        let file = self.file_octets() as f64 / MB;
        let all_up = self.seed_up + self.leechers_up.iter().sum::<f64>();
        (file / self.seed_up).max(self.leechers_up.len() as f64 * file / all_up)
    }
}

/// What came of a run.
struct Outcome {
    /// The time of the last leecher over the bound.
    ratio: f64,
    /// Octets the uplinks sent for each octet of the file that leechers need.
    sent_ratio: f64,
    /// Octets of the seed's uplink over the file's.
    seed_sent_ratio: f64,
}

/// Runs all clients through all cases, or those whose names contain `only` (both
/// may be said: `ours,slow`), and prints a row for each case.
pub(crate) fn run(json: bool, only: &[String]) -> io::Result<()> {
    let ours = our_program()?;
    let mut clients = Client::all(ours.clone());
    let names: Vec<&str> = clients.iter().map(|client| client.name).collect();
    clients.retain(|client| is_chosen(only, &names, client.name));
    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    for case in CASES.iter().filter(|case| is_chosen(only, &names, case.name)) {
        let folder = tempfile::tempdir()?;
        let what = distribute(&ours, folder.path(), case)?;
        let mut ratios = BTreeMap::new();
        for client in &clients {
            match measure(&ours, client, case, &what, folder.path()) {
                Ok(outcome) => {
                    let Outcome { ratio, sent_ratio, seed_sent_ratio } = outcome;
                    eprintln!(
                        "{}, {}: {ratio:.3} of the bound of {:.1} s; uplinks sent {sent_ratio:.3} octets for each \
                         that was needed, the seed {seed_sent_ratio:.2} files",
                        case.name,
                        client.name,
                        case.bound_seconds()
                    );
                    ratios.insert(client.name, Figure::median(vec![ratio]));
                }
                Err(error) => eprintln!("{}, {}: {error}", case.name, client.name),
            }
        }
        if let Some(ours) = ratios.remove("ours") {
            let what = format!("Swarm, {}, last leecher", case.name);
            Row::less_is_better(what, "times the bound", ours, ratios, &[]).print(json);
        }
    }
    Ok(())
}

/// Makes the file and its torrent.
fn distribute(ours: &Path, folder: &Path, case: &Case) -> io::Result<Distributed> {
    let seeded = folder.join("seeded");
    fs::create_dir_all(&seeded)?;
    let (file, torrent) = (seeded.join("film"), folder.join("film.torrent"));
    let mut out = io::BufWriter::new(fs::File::create(&file)?);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..case.file_octets() / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.write_all(&state.to_le_bytes())?;
    }
    out.flush()?;
    let tracker = format!("http://{}:6969/announce", address(TRACKER));
    let mut create = Command::new(ours);
    create.args(["torrent", "create", "--format", "v1", "--tracker", &tracker, "--out"]).arg(&torrent);
    create.args(["--piece-octets", &PIECE_OCTETS.to_string()]).arg(&file);
    let made = create.output()?;
    if !made.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()));
    }
    Ok(Distributed { folder: seeded, file, torrent })
}

/// One client through one case.
fn measure(
    ours: &Path,
    client: &Client,
    case: &Case,
    what: &Distributed,
    folder: &Path,
) -> io::Result<Outcome> {
    let rate = |megabytes: &f64| (megabytes * MB) as u64;
    let uplinks: Vec<u64> = [case.seed_up].iter().chain(case.leechers_up).map(rate).collect();
    let network = Network::new(&uplinks)?;
    let _tracker = Tracker::start(&network, ours)?;
    let place = folder.join("peers");
    let _ = fs::remove_dir_all(&place);
    let of = |host: usize| -> PathBuf { place.join(host.to_string()) };
    let mut seed = client.start(&network, 0, what, &of(0), true)?;
    thread::sleep(SEED_HEAD_START);
    seed.is_done()?;
    let started = Instant::now();
    let mut waiting = (1..uplinks.len())
        .map(|host| client.start(&network, host, what, &of(host), false))
        .collect::<io::Result<Vec<_>>>()?;
    let patience = Duration::from_secs_f64(case.bound_seconds() * BOUND_MULTIPLE_MAX);
    let mut done = Vec::new();
    while !waiting.is_empty() {
        thread::sleep(LOOK_INTERVAL);
        if started.elapsed() > patience {
            return Err(io::Error::other(format!("not complete after {BOUND_MULTIPLE_MAX} times the bound")));
        }
        for at in (0..waiting.len()).rev() {
            if waiting[at].is_done()? {
                done.push(waiting.swap_remove(at));
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let file = case.file_octets() as f64;
    let sent = (0..uplinks.len()).map(|host| network.sent_octets(host)).collect::<io::Result<Vec<_>>>()?;
    drop((done, seed));
    for host in 1..uplinks.len() {
        if !same(&what.file, &of(host).join("files/film"))? {
            return Err(io::Error::other(format!("leecher {host} says it has all, and has not")));
        }
    }
    fs::remove_dir_all(&place)?;
    Ok(Outcome {
        ratio: seconds / case.bound_seconds(),
        sent_ratio: sent.iter().sum::<u64>() as f64 / (file * case.leechers_up.len() as f64),
        seed_sent_ratio: sent[0] as f64 / file,
    })
}

fn same(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(Command::new("cmp").arg("--quiet").args([one, other]).status()?.success())
}

/// Our tracker, for all clients.
struct Tracker(Child);

impl Tracker {
    fn start(network: &Network, ours: &Path) -> io::Result<Self> {
        let mut command = network.command(TRACKER, ours);
        command.args(["torrent", "track", "--http", &format!("{}:6969", address(TRACKER))]);
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
