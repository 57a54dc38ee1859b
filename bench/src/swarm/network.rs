//! Hosts with uplinks of their own: a network namespace each, a veth link from it
//! to a bridge, and a token bucket that shapes what it sends. The bridge lies in a
//! namespace too, so that the machine's own network is not touched.

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Namespaces begin with this, then follow the process and a number.
const PREFIX: &str = "utopia-swarm";
/// Octets that may leave at once: a GSO segment of the kernel.
const BURST: &str = "64kb";
/// How long an octet waits in the uplink's queue at most, as in a modem.
const QUEUE: &str = "200ms";
/// Linux's default, for all clients alike.
const CONGESTION_CONTROL: &str = "cubic";

/// The bridge and its hosts; all are gone when it is dropped.
pub(super) struct Network {
    namespaces: Vec<String>,
}

impl Network {
    /// A bridge and a host for each uplink, in octets a second. The hosts are
    /// numbered from 0 on.
    pub(super) fn new(uplinks: &[u64]) -> io::Result<Self> {
        if std::fs::metadata("/proc/self")?.uid() != 0 {
            let why = "swarms run in network namespaces with shaped links, which only root may make: \
                       run `cargo build --release -p utopia -p utopia-bench` as you, then \
                       `sudo target/release/utopia-bench swarm`";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        remove_stale()?;
        let mut network = Self { namespaces: Vec::new() };
        let bridge = network.add_namespace()?;
        ip(&["-n", &bridge, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &bridge, "addr", "add", &format!("{}/24", address(TRACKER)), "dev", "bridge"])?;
        ip(&["-n", &bridge, "link", "set", "bridge", "up"])?;
        for (host, up) in uplinks.iter().enumerate() {
            let namespace = network.add_namespace()?;
            let port = format!("host{host}");
            let veth = [
                "-n", &bridge, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns",
                &namespace,
            ];
            ip(&veth)?;
            ip(&["-n", &bridge, "link", "set", &port, "master", "bridge", "up"])?;
            ip(&["-n", &namespace, "addr", "add", &format!("{}/24", address(host)), "dev", "eth0"])?;
            ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
            ip(&["-n", &namespace, "link", "set", "eth0", "up"])?;
            // What the machine at hand has set is no concern of the swarm's.
            let route = ["-n", &namespace, "route", "change", "10.99.0.0/24", "dev", "eth0"];
            ip(&[&route[..], &["congctl", CONGESTION_CONTROL]].concat())?;
            let rate = format!("{}bit", up * 8);
            let shape = ["qdisc", "add", "dev", "eth0", "root", "tbf", "rate", &rate, "burst", BURST];
            run(Command::new("tc").args(["-n", &namespace]).args(shape).args(["latency", QUEUE]))?;
        }
        Ok(network)
    }

    fn add_namespace(&mut self) -> io::Result<String> {
        let name = format!("{PREFIX}-{}-{}", std::process::id(), self.namespaces.len());
        ip(&["netns", "add", &name])?;
        self.namespaces.push(name.clone());
        Ok(name)
    }

    /// A program in the place of a host, or of the tracker.
    pub(super) fn command(&self, host: usize, program: &Path) -> Command {
        let place = if host == TRACKER { 0 } else { host + 1 };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespaces[place]]).arg(program);
        command
    }

    /// Octets a host has sent, headers of Ethernet, IP and TCP and
    /// acknowledgements included.
    pub(super) fn sent_octets(&self, host: usize) -> io::Result<u64> {
        let shown = Command::new("tc")
            .args(["-n", &self.namespaces[host + 1], "-s", "qdisc", "show", "dev", "eth0"])
            .output()?;
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        let sent = text.split_once("Sent ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        sent.ok_or_else(|| io::Error::other(format!("`tc -s qdisc` says: {text}")))
    }
}

/// The place of the tracker: at the bridge, where nothing is shaped.
pub(super) const TRACKER: usize = 253;

/// Where a host is.
pub(super) fn address(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, (host + 1) as u8)
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

/// Removes what runs left behind that were killed.
fn remove_stale() -> io::Result<()> {
    let listed = Command::new("ip").args(["netns", "list"]).output()?;
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            ip(&["netns", "del", name])?;
        }
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    run(Command::new("ip").args(arguments))
}

fn run(command: &mut Command) -> io::Result<()> {
    let ended = command.stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| {
        let program = command.get_program().display();
        io::Error::new(error.kind(), format!("`{program}`: {error}; it is of Debian's package iproute2"))
    })?;
    if ended.status.success() {
        return Ok(());
    }
    let mut what = format!("`{}", command.get_program().display());
    for argument in command.get_args() {
        // Writing to a string cannot fail.
        let _ = write!(what, " {}", argument.display());
    }
    let says = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    Err(io::Error::other(format!("{what}` says: {says}")))
}
