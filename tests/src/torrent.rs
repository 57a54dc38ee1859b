//! `utopia torrent` in a place of its own: what is given away, torrents of it, and
//! our program as seed and as leecher.

use crate::utopia::{command, own_address, told};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// An address of this test alone, with a port that is free now.
///
/// # Panics
/// When the system has no port left.
pub fn address() -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::new(own_address(), 0)).expect("a port");
    listener.local_addr().expect("its address")
}

/// Octets that do not repeat, so that a block in a wrong place shows.
pub fn octets(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut octets = Vec::with_capacity(count + 8);
    while octets.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets.truncate(count);
    octets
}

/// A place for one test: what is given away, and torrents of it.
#[derive(Debug)]
pub struct Place {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl Place {
    /// One file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn with_file(count: usize) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder"), name: "film.bin" };
        fs::create_dir(place.path("source")).expect("a folder");
        fs::write(place.path("source/film.bin"), octets(count, 7)).expect("written");
        place
    }

    /// A folder with files of odd lengths, an empty one among them.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn with_folder() -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder"), name: "album" };
        fs::create_dir_all(place.path("source/album/deep/er")).expect("a folder");
        for (name, count) in
            [("one", 70_000), ("deep/two", 1), ("deep/er/three", 200_001), ("deep/empty", 0), ("zzz", 16_384)]
        {
            let file = place.path("source/album").join(name);
            fs::write(file, octets(count, count as u64 + 1)).expect("written");
        }
        place
    }

    /// What lies in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is given away.
    pub fn source(&self) -> PathBuf {
        self.path("source").join(self.name)
    }

    /// Makes a torrent of it; gives the file and the magnet link.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn torrent(&self, format: &str, trackers: &[String]) -> (PathBuf, String) {
        let trackers: Vec<&str> = trackers.iter().flat_map(|url| ["--tracker", url]).collect();
        self.torrent_with(format, &trackers)
    }

    /// The same with more arguments.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn torrent_with(&self, format: &str, more: &[&str]) -> (PathBuf, String) {
        let file = self.path(&format!("{format}.torrent"));
        let mut create =
            command(&["torrent", "create", "--json", "--format", format, "--piece-octets", "65536"]);
        create.arg(self.source()).arg("--out").arg(&file);
        create.args(more);
        let made: Value = serde_json::from_str(&told(create.output().expect("utopia runs"))).expect("JSON");
        (file, made["magnet"].as_str().expect("a link").to_owned())
    }

    /// Whether `folder` holds the same as the source.
    ///
    /// # Panics
    /// When something differs.
    #[track_caller]
    pub fn compare(&self, folder: &Path) {
        let mut left = vec![PathBuf::from(self.name)];
        while let Some(name) = left.pop() {
            let (ours, theirs) = (self.path("source").join(&name), folder.join(&name));
            if ours.is_dir() {
                left.extend(
                    fs::read_dir(&ours)
                        .expect("a folder")
                        .map(|entry| name.join(entry.expect("an entry").file_name())),
                );
            } else {
                let same = fs::read(&ours).expect("a file") == fs::read(&theirs).unwrap_or_default();
                assert!(same && theirs.is_file(), "{} differs", theirs.display());
            }
        }
    }
}

/// A program of ours that runs until the test ends.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Runs it; ready after so many lines on its standard output.
    ///
    /// # Panics
    /// When it ends before.
    pub fn start(command: Command, lines: usize) -> Self {
        Self::start_telling(command, lines).0
    }

    /// The same; gives the lines, too.
    ///
    /// # Panics
    /// When it ends before.
    pub fn start_telling(mut command: Command, lines: usize) -> (Self, Vec<String>) {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("utopia runs");
        let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut said = Vec::new();
        for _ in 0..lines {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            assert!(!line.is_empty(), "it ended");
            said.push(line.trim_end().to_owned());
        }
        // It goes on printing; nobody reads.
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        (Self(child), said)
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it ends badly.
    pub fn ended(mut self) {
        let status = self.0.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// When it ends badly.
    pub fn stop(mut self) {
        let killed = Command::new("kill").arg(self.0.id().to_string()).status();
        assert!(killed.expect("kill runs").success());
        let status = self.0.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }
}

impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seeds a torrent by our program.
///
/// # Panics
/// When it does not start.
pub fn seed(place: &Place, torrent: &Path, listen: SocketAddr, more: &[&str]) -> Running {
    let mut seed = command(&["torrent", "seed"]);
    seed.arg(place.source()).arg("--torrent").arg(torrent).args(["--listen", &listen.to_string()]);
    seed.arg("--data").arg(place.path("seed-data")).args(more);
    Running::start(seed, 2)
}

/// Some nodes of a hash table, which are busy with a torrent of their own; the
/// address of one of them.
///
/// # Panics
/// When they do not start.
pub fn hash_table(place: &Place) -> (Vec<Running>, SocketAddr) {
    let busy = place.path("busy");
    fs::write(&busy, octets(20_000, 99)).expect("written");
    let first = address();
    let known = first.to_string();
    let mut nodes = Vec::new();
    for number in 0..3 {
        let mut seed = command(&["torrent", "seed", "--dht-node", &known]);
        seed.arg(&busy).args(["--listen", &if number == 0 { first } else { address() }.to_string()]);
        seed.arg("--data").arg(place.path(&format!("node-{number}")));
        nodes.push(Running::start(seed, 2));
    }
    (nodes, first)
}

/// Gets a torrent by our program.
pub fn getting(place: &Place, what: &str, out: &Path, more: &[&str]) -> Command {
    let mut get = command(&["torrent", "get", what, "--listen", &address().to_string()]);
    get.arg("--out").arg(out).arg("--data").arg(place.path("get-data")).args(more);
    get
}

/// Runs a command to its end; one that never ends fails, and does not hold up all
/// tests.
///
/// # Panics
/// When it cannot be run.
pub fn ended(command: Command) -> Output {
    let mut bounded = Command::new("timeout");
    bounded.arg("180").arg(command.get_program()).args(command.get_args());
    bounded.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bounded.output().expect("timeout runs")
}

/// Gets a torrent by our program, and looks whether all is here.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn get(place: &Place, what: &str, out: &Path, more: &[&str]) {
    told(ended(getting(place, what, out, more)));
    place.compare(out);
}

/// The lines of `--json` that a program printed.
///
/// # Panics
/// When one is no JSON.
pub fn lines(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
