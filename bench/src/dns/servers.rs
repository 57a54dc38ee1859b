//! What is measured: ours, the echo, and foreign servers with one thread each.

use super::load;
use super::query;
use crate::threads::Measured;
use dns_server::authoritative::{Config, Server, ZoneConfig};
use net::batch::{BatchOptions, DatagramBatch};
use net::{Network, Shutdown};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Our server, of this process.
pub(super) async fn start_ours(zone: &str, folder: &Path, shutdown: &Shutdown) -> io::Result<SocketAddr> {
    let reporter = event::Reporter::silent();
    let storage =
        storage::Storage::open(&storage::Config::default(), &folder.join("state"), reporter.clone())
            .map_err(io::Error::other)?;
    let config = Config {
        listen: vec![([127, 0, 0, 1], 0).into()],
        threads: 1,
        zones: vec![ZoneConfig {
            name: "bench.test".to_owned(),
            text: Some(zone.to_owned()),
            ..ZoneConfig::default()
        }],
        ..Config::default()
    };
    let server = Server::start(&config, Network::new(), storage, reporter, shutdown.clone())
        .await
        .map_err(io::Error::other)?;
    server.local_addrs().first().copied().ok_or_else(|| io::Error::other("the server does not listen"))
}

/// The same socket code, and nothing else: each datagram is sent back with
/// `added` octets more, as long as an answer.
pub(super) fn start_echo(added: &Arc<AtomicUsize>, shutdown: &Shutdown) -> io::Result<SocketAddr> {
    let options = BatchOptions::at(([127, 0, 0, 1], 0).into());
    let mut batches = Network::new().datagram_batches(&options)?;
    let batch = batches.pop().ok_or_else(|| io::Error::other("no socket"))?;
    let address = batch.local_addr();
    let (added, shutdown, hold) = (added.clone(), shutdown.clone(), shutdown.hold());
    thread::Builder::new().name("echo".to_owned()).spawn(move || {
        let ended = echo(batch, &added, &shutdown);
        drop(hold);
        ended
    })?;
    Ok(address)
}

fn echo(mut batch: DatagramBatch, added: &AtomicUsize, shutdown: &Shutdown) -> io::Result<()> {
    while !shutdown.is_requested() {
        batch.receive()?;
        let added = added.load(Ordering::Relaxed);
        for (datagram, mut reply) in batch.exchanges() {
            let length = datagram.octets.len();
            reply.buffer()[..length].copy_from_slice(datagram.octets);
            reply.set_len(length + added);
        }
        batch.send()?;
    }
    Ok(())
}

/// A foreign server, on a configuration of its own.
pub(super) struct Foreign {
    child: Child,
    address: SocketAddr,
}

impl Foreign {
    /// NSD with one server process; `None` where it is not installed.
    pub(super) fn nsd(folder: &Path, zone: &str) -> io::Result<Option<Self>> {
        let folder = made(folder, "nsd", zone)?;
        let path = folder.display();
        Self::start("/usr/sbin/nsd", &["-d"], &folder, |port| {
            format!(
                "server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  \
                 zonesdir: \"{path}\"\n  database: \"\"\n  pidfile: \"{path}/pid\"\n  xfrdfile: \"{path}/state\"\n  \
                 zonelistfile: \"{path}/list\"\n  xfrdir: \"{path}\"\n  rrl-ratelimit: 0\n\
                 remote-control:\n  control-enable: no\nzone:\n  name: bench.test\n  zonefile: {path}/zone\n"
            )
        })
    }

    /// Knot with one UDP worker; `None` where it is not installed.
    pub(super) fn knot(folder: &Path, zone: &str) -> io::Result<Option<Self>> {
        let folder = made(folder, "knot", zone)?;
        let path = folder.display();
        Self::start("/usr/sbin/knotd", &[], &folder, |port| {
            format!(
                "server:\n  listen: 127.0.0.1@{port}\n  rundir: {path}\n  udp-workers: 1\n  tcp-workers: 1\n  \
                 background-workers: 1\ndatabase:\n  storage: {path}\nzone:\n  - domain: bench.test\n    \
                 file: {path}/zone\n    journal-content: none\n"
            )
        })
    }

    fn start(
        program: &str,
        arguments: &[&str],
        folder: &Path,
        configuration: impl FnOnce(u16) -> String,
    ) -> io::Result<Option<Self>> {
        if !Path::new(program).is_file() {
            return Ok(None);
        }
        let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let file = folder.join("conf");
        std::fs::write(&file, configuration(address.port()))?;
        let child = Command::new(program)
            .args(arguments)
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { child, address };
        load::ask(address, &query("host1", 1))?;
        Ok(Some(server))
    }

    /// All threads of the processes it consists of.
    pub(super) fn measured(&self) -> io::Result<Measured> {
        Measured::of_process(self.address, self.child.id())
    }
}

/// A folder for a server, with the zone in it.
fn made(folder: &Path, name: &str, zone: &str) -> io::Result<PathBuf> {
    let folder = folder.join(name);
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("zone"), zone)?;
    Ok(folder)
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // NSD ends its children at SIGTERM, and leaves them alone at SIGKILL.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
