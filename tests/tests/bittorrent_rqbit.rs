//! `utopia torrent` and rqbit, as a library for Python, each as seed and as leecher
//! of the other. It knows nobody but whom our tracker tells of.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use tests::torrent::{Place, Running, address, ended, get, seed};
use tests::utopia::{command, told};
use tests::{Peer, pypi};

/// Arguments: seed or get, torrent file or link, folder. Gets until all is here, or
/// seeds until it is ended; prints `ready` when it has all. It listens at all
/// addresses, where any other test may have the port.
const CLIENT: &str = r#"
import random, sys, time, pyrqbit
mode, what, folder = sys.argv[1:4]
for attempt in range(50):
    try:
        port = random.randint(10_000, 30_000)
        session = pyrqbit.Session(folder, listen_port=port, disable_dht=True)
        break
    except RuntimeError as error:
        if "listeners" not in str(error): raise
torrent = session.add_torrent(what, output_folder=folder, overwrite=True)
def is_whole(stats):
    return stats["state"] == "Live" and stats["downloaded_bytes"] == stats["total_bytes"] > 0
while not is_whole(torrent.stats()):
    time.sleep(0.1)
print("ready", flush=True)
while mode == "seed":
    time.sleep(1)
"#;

fn client(python: &Path, mode: &str, what: &str, folder: &Path) -> Command {
    let mut client = Command::new(python);
    client.args(["-c", CLIENT, mode, what]).arg(folder);
    client
}

#[test]
fn rqbit_and_we_get_what_the_other_seeds() {
    let Some(python) = pypi::python("pyrqbit") else { return };
    let http = address().to_string();
    let tracker = Running::start(command(&["torrent", "track", "--http", &http]), 1);
    let trackers = [format!("http://{http}/announce")];
    for (format, by_link) in [("v1", true), ("hybrid", false), ("hybrid", true)] {
        let place = Place::with_file(3_000_000);
        let (file, magnet) = place.torrent(format, &trackers);
        let name = file.to_str().expect("a name");

        let ours = seed(&place, &file, address(), &[]);
        let out = place.path("theirs");
        told(ended(client(&python, "get", if by_link { &magnet } else { name }, &out)));
        place.compare(&out);
        ours.stop();

        let mut seeding = client(&python, "seed", name, &place.path("source"));
        let mut child = seeding.stdout(Stdio::piped()).spawn().expect("python runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "rqbit seeds");
        let theirs = Peer::from(child);
        get(&place, if by_link { &magnet } else { name }, &place.path("ours"), &[]);
        drop(theirs);
    }
    tracker.stop();
}
