//! Peers that mean no good, and what they need to be taken for peers.

use crate::torrent::{Place, lines};
use crate::utopia::{own_address, run, told};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// How long a run may take.
const PATIENCE: Duration = Duration::from_mins(3);
/// Octets of a message that these peers read.
const MESSAGE_OCTETS_MAX: usize = 1024 * 1024;

/// Message ids of BEP 3, 6, 10 and 52.
pub mod id {
    #![allow(missing_docs)]
    pub const CHOKE: u8 = 0;
    pub const UNCHOKE: u8 = 1;
    pub const INTERESTED: u8 = 2;
    pub const HAVE: u8 = 4;
    pub const BITFIELD: u8 = 5;
    pub const REQUEST: u8 = 6;
    pub const PIECE: u8 = 7;
    pub const HAVE_ALL: u8 = 14;
    pub const HAVE_NONE: u8 = 15;
    pub const EXTENDED: u8 = 20;
    pub const HASH_REQUEST: u8 = 21;
    pub const HASHES: u8 = 22;
    pub const HASH_REJECT: u8 = 23;
}

/// What a torrent is called on the wire: the first 20 octets of its info-hash.
///
/// # Panics
/// When it cannot be read.
pub fn wire_hash(torrent: &Path) -> [u8; 20] {
    let shown = told(run(&["torrent", "info", "--json", torrent.to_str().expect("a name")]));
    let info: Value = serde_json::from_str(&shown).expect("JSON");
    let hash = info["info_hash"].as_str().or(info["info_hash_v2"].as_str()).expect("a hash");
    std::array::from_fn(|at| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).expect("hex"))
}

/// One connection of such a peer. It gives up silently: being let go is what it
/// deserves.
#[derive(Debug)]
pub struct Wire(pub TcpStream);

impl Wire {
    /// Connects from an address of its own.
    pub fn connect(to: SocketAddr) -> Option<Self> {
        TcpStream::connect_timeout(&to, Duration::from_secs(5)).ok().map(Self)
    }

    /// Shakes hands, with the fast extension and that for extensions.
    pub fn greet(&mut self, hash: &[u8; 20], name: &[u8; 20]) -> Option<()> {
        let mut ours = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x04".to_vec();
        ours.extend_from_slice(hash);
        ours.extend_from_slice(name);
        self.0.write_all(&ours).ok()?;
        self.0.read_exact(&mut [0; 68]).ok()
    }

    /// Sends a message.
    pub fn send(&mut self, id: u8, body: &[u8]) -> Option<()> {
        let mut message = (1 + body.len() as u32).to_be_bytes().to_vec();
        message.push(id);
        message.extend_from_slice(body);
        self.0.write_all(&message).ok()
    }

    /// The next message that is no keep-alive: id and body.
    pub fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let mut length = [0; 4];
            self.0.read_exact(&mut length).ok()?;
            let length = u32::from_be_bytes(length) as usize;
            if length > 0 {
                let mut body = vec![0; length.min(MESSAGE_OCTETS_MAX)];
                self.0.read_exact(&mut body).ok()?;
                return Some((body.remove(0), body));
            }
        }
    }

    /// Reads until the other end closes.
    pub fn drain(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while self.0.read(&mut buffer).is_ok_and(|octets| octets > 0) {}
    }

    /// Has everything, and answers each request with what `answer` says of piece,
    /// begin and length.
    pub fn serve(&mut self, answer: impl Fn(u32, u32, u32) -> Option<Vec<u8>>) -> Option<()> {
        self.send(id::HAVE_ALL, &[])?;
        self.send(id::UNCHOKE, &[])?;
        loop {
            let (kind, body) = self.read()?;
            if kind != id::REQUEST || body.len() != 12 {
                continue;
            }
            let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().expect("four octets"));
            if let Some(octets) = answer(number(0), number(4), number(8)) {
                self.send(id::PIECE, &[&body[..8], &octets].concat())?;
            }
        }
    }
}

/// A peer that listens at an address of its own.
#[derive(Debug)]
pub struct Hostile {
    /// Where.
    pub address: SocketAddr,
    /// Connections that came.
    came: Arc<AtomicU64>,
    /// The longest of those that are over, in milliseconds.
    longest: Arc<AtomicU64>,
}

impl Hostile {
    /// Speaks with each who comes.
    ///
    /// # Panics
    /// When the system has no port left.
    pub fn listen<T>(speak: impl Fn(Wire) -> T + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(SocketAddr::new(own_address(), 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (came, longest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (speak, counted, told) = (Arc::new(speak), came.clone(), longest.clone());
        spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                let (speak, told) = (speak.clone(), told.clone());
                spawn(move || {
                    let began = Instant::now();
                    speak(Wire(stream));
                    told.fetch_max(began.elapsed().as_millis() as u64, Ordering::Relaxed);
                });
            }
        });
        Self { address, came, longest }
    }

    /// How often it was connected to.
    pub fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    /// How long the longest connection lasted that is over.
    pub fn longest(&self) -> Duration {
        Duration::from_millis(self.longest.load(Ordering::Relaxed))
    }
}

/// What a run of ours came to.
#[derive(Debug)]
pub struct Run {
    /// The lines of its progress.
    pub lines: Vec<Value>,
    /// The most memory it had, in KiB (`VmHWM`).
    pub memory_kib: u64,
    /// How long it took.
    pub took: Duration,
}

impl Run {
    /// A number of the last line.
    ///
    /// # Panics
    /// When there is none.
    pub fn last(&self, key: &str) -> u64 {
        self.lines.last().and_then(|line| line[key].as_u64()).unwrap_or_else(|| panic!("{key} is a number"))
    }

    /// Whether a peer was connected at any time that was told.
    pub fn saw(&self, peer: SocketAddr) -> bool {
        let name = peer.to_string();
        self.lines.iter().any(|line| peers(line).iter().any(|peer| peer["address"] == name.as_str()))
    }

    /// Whether a peer was connected when the last line was told.
    pub fn ends_with(&self, peer: SocketAddr) -> bool {
        let name = peer.to_string();
        self.lines.last().is_some_and(|line| peers(line).iter().any(|peer| peer["address"] == name.as_str()))
    }
}

fn peers(line: &Value) -> &[Value] {
    line["peers"].as_array().map_or(&[], Vec::as_slice)
}

/// Runs a command of ours to its good end, and looks how much memory it takes.
///
/// # Panics
/// When it fails or takes longer than three minutes.
#[track_caller]
pub fn watch(mut command: Command) -> Run {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("utopia runs");
    let status = format!("/proc/{}/status", child.id());
    let (mut stdout, mut stderr) =
        (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let printed = spawn(move || {
        let mut printed = String::new();
        stdout.read_to_string(&mut printed).expect("text");
        printed
    });
    let said = spawn(move || {
        let mut said = String::new();
        let _ = stderr.read_to_string(&mut said);
        said
    });
    let mut memory_kib = 0;
    let ended = loop {
        let most = fs::read_to_string(&status).unwrap_or_default();
        let most = most.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|most| most.trim().strip_suffix(" kB")?.parse().ok());
        memory_kib = memory_kib.max(most.unwrap_or(0));
        if let Some(ended) = child.try_wait().expect("a child") {
            break Some(ended);
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            break None;
        }
        sleep(Duration::from_millis(20));
    };
    let (printed, said) = (printed.join().expect("read"), said.join().expect("read"));
    let last = printed.lines().last().unwrap_or_default();
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}: {said}\n{last}");
    Run { lines: lines(&printed), memory_kib, took: began.elapsed() }
}

/// What lies in the one file of a place.
///
/// # Panics
/// When it cannot be read.
pub fn content(place: &Place) -> Arc<Vec<u8>> {
    Arc::new(fs::read(place.source()).expect("the file"))
}
