//! Two hosts that are joined by a cable: network namespaces, for peers that do not
//! speak with loopback addresses. Only root may make them.

use crate::skip;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Pairs made by this process.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A pair of hosts.
#[derive(Debug)]
pub struct Hosts {
    names: [String; 2],
}

impl Hosts {
    /// The pair, or `None` where it may not be made: then the test is skipped.
    pub fn new() -> Option<Self> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = |side: &str| format!("utopia-test-{}-{number}{side}", std::process::id());
        let hosts = Self { names: [name("a"), name("b")] };
        let [a, b] = &hosts.names;
        let made = ip(&["netns", "add", a])
            && ip(&["netns", "add", b])
            && ip(&["-n", a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b])
            && (0..2).all(|host| hosts.bring_up(host));
        if !made {
            skip("network namespaces may not be made here");
        }
        made.then_some(hosts)
    }

    fn bring_up(&self, host: usize) -> bool {
        let name = &self.names[host];
        let own = format!("{}/24", Self::address(host, 0).ip());
        ip(&["-n", name, "link", "set", "lo", "up"])
            && ip(&["-n", name, "addr", "add", &own, "dev", "eth0"])
            && ip(&["-n", name, "link", "set", "eth0", "up"])
    }

    /// An address of host 0 or 1.
    pub fn address(host: usize, port: u16) -> SocketAddr {
        (Ipv4Addr::new(10, 77, 0, 1 + host as u8), port).into()
    }

    /// The same command on one of the hosts.
    pub fn on(&self, host: usize, command: &Command) -> Command {
        let mut there = Command::new("ip");
        there.args(["netns", "exec", &self.names[host]]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => there.env(name, value),
                None => there.env_remove(name),
            };
        }
        there.stdin(Stdio::null());
        there
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> bool {
    let mut ip = Command::new("ip");
    ip.args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
