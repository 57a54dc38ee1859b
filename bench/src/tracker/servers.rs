//! What is measured: ours, the echo, and foreign trackers with one thread each.

use super::PEERS_TOLD;
use super::load::Load;
use crate::threads::Measured;
use bittorrent::tracker::udp::{CONNECT_OCTETS, write_announce_head, write_connect};
use bittorrent_node::tracker::{AccessKind, Config, Tracker};
use net::batch::{BatchOptions, DatagramBatch};
use net::{Network, Shutdown};
use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

/// Octets of a reply with all the peers it may have.
const REPLY_OCTETS: usize = 20 + 6 * PEERS_TOLD as usize;

/// Our tracker, of this process: where it listens over UDP and over HTTP.
pub(super) async fn start_ours(shutdown: &Shutdown) -> io::Result<[SocketAddr; 2]> {
    let config = Config {
        udp_listen: vec![([127, 0, 0, 1], 0).into()],
        http_listen: vec![([127, 0, 0, 1], 0).into()],
        threads: 1,
        access: AccessKind::Open,
        peers_max: PEERS_TOLD,
        // All of the load comes from one.
        connections_per_address_max: 1_000,
        ..Config::default()
    };
    let tracker = Tracker::start(&config, Network::new(), event::Reporter::silent(), shutdown.clone())
        .map_err(io::Error::other)?;
    match (&*tracker.udp_addrs(), &*tracker.http_addrs()) {
        ([udp], [http]) => Ok([*udp, *http]),
        _ => Err(io::Error::other("the tracker does not listen")),
    }
}

/// The same socket code, and nothing else: each datagram is answered with as
/// many octets as an announce's reply has.
pub(super) fn start_echo(shutdown: &Shutdown) -> io::Result<SocketAddr> {
    let options = BatchOptions::at(([127, 0, 0, 1], 0).into());
    let mut batches = Network::new().datagram_batches(&options)?;
    let batch = batches.pop().ok_or_else(|| io::Error::other("no socket"))?;
    let address = batch.local_addr();
    let (shutdown, hold) = (shutdown.clone(), shutdown.hold());
    thread::Builder::new().name("echo".to_owned()).spawn(move || {
        let ended = echo(batch, &shutdown);
        drop(hold);
        ended
    })?;
    Ok(address)
}

fn echo(mut batch: DatagramBatch, shutdown: &Shutdown) -> io::Result<()> {
    while !shutdown.is_requested() {
        batch.receive()?;
        for (datagram, mut reply) in batch.exchanges() {
            let length = if datagram.octets.len() == CONNECT_OCTETS {
                write_connect(7, 1, reply.buffer())
            } else {
                write_announce_head(7, 1, 1, 1, reply.buffer());
                REPLY_OCTETS
            };
            reply.set_len(length);
        }
        batch.send()?;
    }
    Ok(())
}

/// A foreign tracker, on a configuration of its own.
pub(super) struct Foreign {
    child: Child,
    address: SocketAddr,
}

impl Foreign {
    /// Opentracker; `None` where it is not installed. Debian's serves only
    /// torrents on a list.
    pub(super) fn opentracker(folder: &Path, load: &Load) -> io::Result<Option<Self>> {
        let Some(program) = installed("opentracker") else { return Ok(None) };
        let list = load.info_hashes().fold(String::new(), |mut list, info_hash| {
            // Writing to a string cannot fail.
            for octet in info_hash {
                let _ = write!(list, "{octet:02x}");
            }
            list.push('\n');
            list
        });
        std::fs::write(folder.join("list"), list)?;
        // It gives up its privileges where it has any, and must still read the list.
        Command::new("chmod").arg("755").arg(folder).status()?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.args(["-i", "127.0.0.1", "-P", &port.to_string(), "-p", &port.to_string()]);
        command.arg("-d").arg(folder).args(["-w", "list"]).current_dir(folder);
        Self::start(command, port).map(Some)
    }

    /// Aquatic with one socket worker; `None` where it is not installed.
    pub(super) fn aquatic(folder: &Path) -> io::Result<Option<Self>> {
        let Some(program) = installed("aquatic_udp") else { return Ok(None) };
        let port = free_port()?;
        let file = folder.join("aquatic.toml");
        let configuration = format!(
            "socket_workers = 1\n[network]\naddress = \"127.0.0.1:{port}\"\n[protocol]\nmax_response_peers = {PEERS_TOLD}\n"
        );
        std::fs::write(&file, configuration)?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&file);
        Self::start(command, port).map(Some)
    }

    /// Aquatic over HTTP with one socket worker and one that keeps the peers;
    /// `None` where it is not installed.
    pub(super) fn aquatic_http(folder: &Path) -> io::Result<Option<Self>> {
        let Some(program) = installed("aquatic_http") else { return Ok(None) };
        let port = free_port()?;
        let file = folder.join("aquatic_http.toml");
        let configuration =
            format!("[network]\naddress = \"127.0.0.1:{port}\"\n[protocol]\nmax_peers = {PEERS_TOLD}\n");
        std::fs::write(&file, configuration)?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&file);
        Self::start(command, port).map(Some)
    }

    fn start(mut command: Command, port: u16) -> io::Result<Self> {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { child, address: ([127, 0, 0, 1], port).into() })
    }

    /// All threads of the processes it consists of, once `asks` is answered: then
    /// they are there.
    pub(super) fn measured(
        &mut self,
        asks: impl FnOnce(&Measured) -> io::Result<()>,
    ) -> io::Result<Measured> {
        asks(&Measured::of_process(self.address, self.child.id())?)?;
        if let Some(status) = self.child.try_wait()? {
            return Err(io::Error::other(format!("the tracker at {} ended: {status}", self.address)));
        }
        Measured::of_process(self.address, self.child.id())
    }
}

/// Where a program is installed.
pub(super) fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A port that nobody has, over UDP and TCP, and that was not given before: who
/// got it may not have it yet. Below those that the system gives to clients:
/// connections that have just ended would hold them for a while.
fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let free = |port: &u16| {
        let address = ("127.0.0.1", *port);
        UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
    };
    std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed))
        .take_while(|port| *port < 30_000)
        .find(free)
        .ok_or_else(|| io::Error::other("no port is free"))
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
