//! libtorrent as a foreign peer, through its Python bindings.

use crate::{Peer, skip};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Debian's Python, which sees Debian's bindings.
const PYTHON: &str = "/usr/bin/python3";

/// Arguments: seed or get, torrent file or magnet link, folder, listen address,
/// peer address, the node of a hash table as `dht:ADDRESS:PORT`, `lsd` for
/// neighbours or -, what is encrypted and what carries it (plain, rc4, utp, utp-rc4),
/// and from where it may get (all, peers, web). Gets until all is here, or seeds
/// until it is ended; prints `ready` when it listens.
const CLIENT: &str = r#"
import sys, time, libtorrent as lt
mode, what, folder, listen, peer, encryption, ways = sys.argv[1:8]
policy = lt.enc_policy.forced if encryption.endswith("rc4") else lt.enc_policy.disabled
utp = encryption.startswith("utp")
dht = peer.removeprefix("dht:") if peer.startswith("dht:") else ""
session = lt.session({
    "listen_interfaces": listen, "enable_dht": bool(dht), "dht_bootstrap_nodes": dht,
    "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False,
    "dht_prefer_verified_node_ids": False, "dht_enforce_node_id": False, "enable_lsd": peer == "lsd", "enable_upnp": False,
    "enable_natpmp": False, "enable_outgoing_utp": utp, "enable_incoming_utp": utp,
    "enable_outgoing_tcp": not utp, "enable_incoming_tcp": not utp,
    "allow_multiple_connections_per_ip": True, "out_enc_policy": int(policy), "in_enc_policy": int(policy),
    "allowed_enc_level": int(lt.enc_level.rc4), "alert_mask": 0,
    # Where replies for both info-hashes of a hybrid come at once, it may take our handshake for one of the
    # other swarm, and comes again.
    "min_reconnect_time": 1})
if what.startswith("magnet:"):
    parameters = lt.parse_magnet_uri(what)
else:
    parameters = lt.add_torrent_params()
    parameters.ti = lt.torrent_info(what)
parameters.save_path = folder
parameters.flags &= ~lt.torrent_flags.auto_managed
parameters.flags |= lt.torrent_flags.paused
torrent = session.add_torrent(parameters)
if ways == "peers":
    for url in torrent.url_seeds():
        torrent.remove_url_seed(url)
if ways == "web":
    torrent.replace_trackers([])
torrent.resume()
while mode == "seed" and not torrent.status().is_seeding:
    time.sleep(0.02)
print("ready", flush=True)
if peer not in ("-", "lsd") and not dht:
    host, port = peer.rsplit(":", 1)
    torrent.connect_peer((host, int(port)))
turn = 0
while mode == "seed" or not torrent.status().is_seeding:
    time.sleep(0.02)
    turn += 1
    # By itself it asks the hash table once at its beginning, and then every 15 minutes.
    if dht and turn % 100 == 0 and torrent.status().num_peers == 0:
        torrent.force_dht_announce()
# The last haves are said before it goes.
time.sleep(0.2)
"#;

/// What libtorrent finds in torrent files: a line each with name, octets, pieces
/// and info-hashes.
const READER: &str = r#"
import sys, libtorrent as lt
for file in sys.argv[1:]:
    info = lt.torrent_info(file)
    hashes = info.info_hashes()
    v1 = str(hashes.v1) if hashes.has_v1() else "-"
    v2 = str(hashes.v2) if hashes.has_v2() else "-"
    print(info.name(), info.total_size(), info.num_pieces(), v1, v2)
"#;

/// Whether it is here; otherwise the test is skipped.
///
/// # Panics
/// When it is missing and required.
pub fn is_here() -> bool {
    let mut python = Command::new(PYTHON);
    python.args(["-c", "import libtorrent"]).stderr(Stdio::null());
    let here = python.status().is_ok_and(|status| status.success());
    if !here {
        assert!(
            std::env::var_os("UTOPIA_PEERS").is_none_or(|value| value != "required"),
            "python3-libtorrent is not installed, and UTOPIA_PEERS=required asks for it"
        );
        skip("python3-libtorrent is not installed");
    }
    here
}

fn client(
    mode: &str,
    what: &str,
    folder: &Path,
    listen: SocketAddr,
    peer: &str,
    encryption: &str,
    ways: &str,
) -> Command {
    let mut command = Command::new(PYTHON);
    command.args(["-c", CLIENT, mode, what]).arg(folder).arg(listen.to_string());
    command.args([peer, encryption, ways]);
    command
}

/// Seeds what lies whole in `folder`, until the test ends.
///
/// # Panics
/// When it does not start.
pub fn seed(torrent: &Path, folder: &Path, listen: SocketAddr, encryption: &str) -> Peer {
    seed_for(torrent, folder, listen, "-", encryption)
}

/// The same, announced in the hash table that `node` belongs to.
///
/// # Panics
/// When it does not start.
pub fn seed_in_dht(torrent: &Path, folder: &Path, listen: SocketAddr, node: SocketAddr) -> Peer {
    seed_for(torrent, folder, listen, &format!("dht:{node}"), "plain")
}

/// The same, told to the neighbours.
///
/// # Panics
/// When it does not start.
pub fn seed_to_neighbours(torrent: &Path, folder: &Path, listen: SocketAddr) -> Peer {
    seed_for(torrent, folder, listen, "lsd", "plain")
}

fn seed_for(torrent: &Path, folder: &Path, listen: SocketAddr, peer: &str, encryption: &str) -> Peer {
    use std::io::{BufRead, BufReader};
    let torrent = torrent.to_str().expect("a name");
    let mut command = client("seed", torrent, folder, listen, peer, encryption, "all");
    let mut child = command.stdout(Stdio::piped()).spawn().expect("python runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n", "libtorrent seeds");
    Peer(child)
}

/// Gets a torrent from `peer` to its end.
///
/// # Panics
/// When it cannot be run.
pub fn get(what: &str, folder: &Path, listen: SocketAddr, peer: SocketAddr, encryption: &str) -> Output {
    bounded(&client("get", what, folder, listen, &peer.to_string(), encryption, "all"))
}

/// Gets a torrent from whomever the hash table that `node` belongs to tells of.
///
/// # Panics
/// When it cannot be run.
pub fn get_by_dht(what: &str, folder: &Path, listen: SocketAddr, node: SocketAddr) -> Output {
    bounded(&client("get", what, folder, listen, &format!("dht:{node}"), "plain", "all"))
}

/// Gets a torrent from a neighbour.
///
/// # Panics
/// When it cannot be run.
pub fn get_from_neighbours(what: &str, folder: &Path, listen: SocketAddr) -> Output {
    bounded(&client("get", what, folder, listen, "lsd", "plain", "all"))
}

/// Gets a torrent to its end as it finds it itself: from `all`, or from `peers` or
/// `web` seeds alone.
///
/// # Panics
/// When it cannot be run.
pub fn find(what: &str, folder: &Path, listen: SocketAddr, ways: &str) -> Output {
    bounded(&client("get", what, folder, listen, "-", "plain", ways))
}

/// One that never ends fails, and does not hold up all tests.
fn bounded(client: &Command) -> Output {
    let mut bounded = Command::new("timeout");
    bounded.arg("180").arg(client.get_program()).args(client.get_args());
    bounded.output().expect("timeout runs")
}

/// What it finds in torrent files.
///
/// # Panics
/// When it cannot be run.
pub fn read(files: &[&Path]) -> Output {
    Command::new(PYTHON).args(["-c", READER]).args(files).output().expect("python runs")
}
