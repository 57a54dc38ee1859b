//! What the tests against foreign peers share: finding a peer's program, and
//! running it in a folder of its own until the test ends.

pub mod hostile;
pub mod libtorrent;
pub mod mail;
pub mod namespace;
pub mod nginx;
pub mod pypi;
pub mod torrent;
pub mod utopia;

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command};

/// Where the peer's program is; `None` says so on standard error, and the test
/// returns. `UTOPIA_PEERS=required` makes a missing peer a failure, as it is
/// wherever the peers could be installed.
///
/// # Panics
/// When the peer is missing and required.
pub fn peer(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        assert!(
            env::var_os("UTOPIA_PEERS").is_none_or(|value| value != "required"),
            "{program} is not installed, and UTOPIA_PEERS=required asks for it"
        );
        skip(&format!("{program} is not installed"));
    }
    found
}

/// Says that a test is skipped and why, so that the count at the end of the run
/// tells it (`UTOPIA_SKIPPED` names the file that gathers the reasons).
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
    if let Some(list) = env::var_os("UTOPIA_SKIPPED")
        && let Ok(mut file) = OpenOptions::new().create(true).append(true).open(list)
    {
        let _ = file.write_all(format!("{reason}\n").as_bytes());
    }
}

/// A process that is ended when the test is.
#[derive(Debug)]
pub struct Peer(Child);

impl Peer {
    /// Starts `command`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> std::io::Result<Self> {
        command.spawn().map(Self)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl From<Child> for Peer {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
