//! The clients, and how each is told to seed or to get over which carrier.

use super::{NAME, Place};
use crate::choice::our_program;
use std::fmt;
use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Our own name in the rows.
pub(super) const OURS: &str = "ours";
/// libtorrent as a client; its arguments are said there.
const LIBTORRENT: &str = include_str!("libtorrent.py");

/// What carries the octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// In the clear.
    Tcp,
    /// In the clear.
    Utp,
    /// TCP under message stream encryption, RC4 from the first octet to the last.
    Encrypted,
}

impl Over {
    /// What it is called in the rows.
    pub(super) fn name(self) -> &'static str {
        match self {
            Over::Tcp => "TCP",
            Over::Utp => "uTP",
            Over::Encrypted => "encrypted",
        }
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a process does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// Gives the content, and listens there.
    Seed { at: SocketAddrV4 },
    /// Gets it from `seed`, and stays when it has it.
    Leecher { at: SocketAddrV4, seed: SocketAddrV4 },
}

impl Role {
    fn listens_at(&self) -> SocketAddrV4 {
        match self {
            Role::Seed { at } | Role::Leecher { at, .. } => *at,
        }
    }

    fn seed(&self) -> Option<SocketAddrV4> {
        match self {
            Role::Seed { .. } => None,
            Role::Leecher { seed, .. } => Some(*seed),
        }
    }
}

/// A client that is installed.
#[derive(Debug)]
pub(super) enum Client {
    /// Ours.
    Utopia(PathBuf),
    /// libtorrent by its Python bindings.
    Libtorrent,
    /// rqbit.
    Rqbit,
    /// aria2.
    Aria2,
}

/// Ours, and those of the others that are installed.
pub(super) fn all() -> io::Result<Vec<Client>> {
    let runs = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let mut clients = vec![Client::Utopia(our_program()?)];
    if runs("python3", &["-c", "import libtorrent"]) {
        clients.push(Client::Libtorrent);
    }
    if runs("rqbit", &["--version"]) {
        clients.push(Client::Rqbit);
    }
    if runs("aria2c", &["--version"]) {
        clients.push(Client::Aria2);
    }
    Ok(clients)
}

impl Client {
    /// What it is called in the rows.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Client::Utopia(_) => OURS,
            Client::Libtorrent => "libtorrent",
            Client::Rqbit => "rqbit",
            Client::Aria2 => "aria2",
        }
    }

    /// Whether it can.
    pub(super) fn carries(&self, over: Over) -> bool {
        match (self, over) {
            (Client::Rqbit, Over::Encrypted) | (Client::Aria2, Over::Utp) => false,
            (Client::Utopia(_) | Client::Libtorrent | Client::Rqbit | Client::Aria2, _) => true,
        }
    }

    /// The process of a role. Nothing runs beside the transfer: no DHT, no looking
    /// for peers, no mapping of ports.
    pub(super) fn command(&self, place: &Place, over: Over, role: &Role) -> Command {
        let folder = match role {
            Role::Seed { .. } => place.folder.join("seed"),
            Role::Leecher { .. } => place.folder.join("run/got"),
        };
        let (at, seed) = (role.listens_at(), role.seed());
        match self {
            Client::Utopia(program) => {
                let mut command = Command::new(program);
                command.arg("torrent");
                match seed {
                    None => command.arg("seed").arg(folder.join(NAME)).arg("--torrent").arg(&place.torrent),
                    // With a ratio it stays when it has all, as the others do.
                    Some(seed) => command
                        .args(["get", "--seed-ratio", "1000", "--peer", &seed.to_string(), "--out"])
                        .arg(folder)
                        .arg(&place.torrent),
                };
                command.args(["--dht", "off", "--no-lsd"]);
                command.args(["--listen", &at.to_string(), "--data", &format!("data-{}", at.port())]);
                command.args(match over {
                    Over::Tcp => ["--encryption", "disabled"],
                    Over::Utp => ["--transport", "utp"],
                    Over::Encrypted => ["--encryption", "required"],
                });
                command
            }
            Client::Libtorrent => {
                let over = match over {
                    Over::Tcp => "tcp",
                    Over::Utp => "utp",
                    Over::Encrypted => "rc4",
                };
                let seed = seed.map_or_else(|| "-".to_owned(), |seed| seed.to_string());
                let mut command = Command::new("python3");
                command.args(["-c", LIBTORRENT]).arg(&place.torrent).arg(folder);
                command.args([&at.to_string(), &seed, over]);
                command
            }
            Client::Rqbit => {
                let mut command = Command::new("rqbit");
                command.args(["--disable-dht", "--disable-lsd", "--disable-trackers", "--ipv4-only"]);
                command.args(["--listen-ip", "127.0.0.1", "--listen-port", &at.port().to_string()]);
                if over == Over::Utp {
                    command.args(["--disable-tcp-listen", "--disable-tcp-connect"]);
                    command.arg("--experimental-enable-utp-listen");
                }
                command
                    .args(["download", "--disable-http-api", "--overwrite", "--output-folder"])
                    .arg(folder);
                if let Some(seed) = seed {
                    command.arg(format!("--initial-peers={seed}"));
                }
                command.arg(&place.torrent);
                command
            }
            Client::Aria2 => {
                let mut command = Command::new("aria2c");
                command.args(["--enable-dht=false", "--bt-enable-lpd=false", "--seed-ratio=0.0"]);
                command.args(["--file-allocation=none", "--check-integrity=true", "--quiet=true"]);
                // It cannot be told of a peer.
                command.args([
                    format!("--bt-tracker={}", place.tracker),
                    format!("--listen-port={}", at.port()),
                ]);
                if over == Over::Encrypted {
                    command.args(["--bt-require-crypto=true", "--bt-min-crypto-level=arc4"]);
                }
                command.arg("--dir").arg(folder).arg(&place.torrent);
                command
            }
        }
    }
}
