//! How each client is started as a seed and as a leecher, with the settings of
//! somebody who changes none, and how it says that it has everything. Leechers
//! stay as seeds, as the lecture's bound supposes.

use super::network::{Network, address};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A peer of libtorrent.
const LIBTORRENT: &str = include_str!("libtorrent_peer.py");
/// What aria2 and Transmission run when all is here: tells us by a file beside it.
const HOOK: &str = "#!/bin/sh\ntouch \"$(dirname \"$0\")/done\"\n";
/// A share ratio that is never reached.
const FOR_EVER: &str = "1000000";

/// A program for files by BitTorrent.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) name: &'static str,
    kind: Kind,
    program: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Libtorrent,
    Aria2,
    Transmission,
    Rqbit,
}

/// What is distributed.
#[derive(Debug)]
pub(super) struct Distributed {
    /// The folder of the file.
    pub(super) folder: PathBuf,
    /// The file.
    pub(super) file: PathBuf,
    /// Its torrent.
    pub(super) torrent: PathBuf,
}

/// A client that runs; it is killed when it is dropped.
pub(super) struct Running {
    child: Child,
    folder: PathBuf,
    said_done: Arc<AtomicBool>,
}

impl Client {
    /// Ours first, then those of the others that are installed.
    pub(super) fn all(ours: PathBuf) -> Vec<Self> {
        let mut found = vec![Self { name: "ours", kind: Kind::Ours, program: ours }];
        for (name, kind, program) in [
            ("libtorrent", Kind::Libtorrent, "python3"),
            ("aria2", Kind::Aria2, "aria2c"),
            ("Transmission", Kind::Transmission, "transmission-cli"),
            ("rqbit", Kind::Rqbit, "rqbit"),
        ] {
            let program = installed(program).filter(|program| kind != Kind::Libtorrent || imports(program));
            found.extend(program.map(|program| Self { name, kind, program }));
        }
        found
    }

    /// Starts it on a host in an empty folder of its own.
    pub(super) fn start(
        &self,
        network: &Network,
        host: usize,
        what: &Distributed,
        folder: &Path,
        seeds: bool,
    ) -> io::Result<Running> {
        fs::create_dir_all(folder)?;
        let hook = folder.join("hook");
        fs::write(&hook, HOOK)?;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
        let ip = address(host).to_string();
        let into = if seeds { what.folder.clone() } else { folder.join("files") };
        fs::create_dir_all(&into)?;
        let mut command = network.command(host, &self.program);
        command.env("HOME", folder).current_dir(folder);
        match self.kind {
            Kind::Ours if seeds => {
                command.args(["torrent", "seed"]).arg(&what.file).arg("--torrent").arg(&what.torrent);
                command
                    .args(["--json", "--listen", &format!("{ip}:6881"), "--data"])
                    .arg(folder.join("data"));
            }
            Kind::Ours => {
                command.args(["torrent", "get"]).arg(&what.torrent).arg("--out").arg(&into);
                command
                    .args(["--json", "--listen", &format!("{ip}:6881"), "--data"])
                    .arg(folder.join("data"));
                command.args(["--seed-ratio", FOR_EVER]);
            }
            Kind::Libtorrent => {
                let script = folder.join("peer.py");
                fs::write(&script, LIBTORRENT)?;
                // The home is another one for its settings, not for its packages.
                command.env("HOME", std::env::var_os("HOME").unwrap_or_default());
                command.arg(script).arg(&what.torrent).arg(&into).arg(&ip);
            }
            Kind::Aria2 => {
                command.args(["--seed-ratio=0.0", "--listen-port=6881", "--check-integrity=true"]);
                command.arg("--on-bt-download-complete").arg(&hook).arg("--dir").arg(&into);
                command.arg(&what.torrent);
            }
            Kind::Transmission => {
                command.arg("--config-dir").arg(folder).arg("--download-dir").arg(&into);
                command.args(["--port", "6881", "--finish"]).arg(&hook).arg(&what.torrent);
            }
            Kind::Rqbit => {
                command.args(["--http-api-listen-addr", &format!("{ip}:3030"), "download", "--overwrite"]);
                command.arg("--output-folder").arg(&into).arg(&what.torrent);
            }
        }
        Running::new(command, folder, self.kind)
    }
}

impl Running {
    fn new(mut command: Command, folder: &Path, kind: Kind) -> io::Result<Self> {
        let mut log = File::create(folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.try_clone()?);
        let mut child = command.spawn()?;
        let said_done = Arc::new(AtomicBool::new(false));
        if let Some(output) = child.stdout.take() {
            let said_done = said_done.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    said_done.fetch_or(says_done(kind, &line), Ordering::Relaxed);
                    let _ = io::Write::write_all(&mut log, format!("{line}\n").as_bytes());
                }
            });
        }
        Ok(Self { child, folder: folder.to_owned(), said_done })
    }

    /// Whether it has everything. An error if it ended.
    pub(super) fn is_done(&mut self) -> io::Result<bool> {
        if let Some(status) = self.child.try_wait()? {
            let log = self.folder.join("log");
            let says = fs::read_to_string(&log).unwrap_or_default();
            let last = says.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            return Err(io::Error::other(format!("a client ended by itself ({status}): {last}")));
        }
        Ok(self.said_done.load(Ordering::Relaxed) || self.folder.join("done").exists())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn says_done(kind: Kind, line: &str) -> bool {
    match kind {
        Kind::Ours => line.contains("\"stage\":\"seeding\""),
        Kind::Libtorrent => line == "done",
        Kind::Rqbit => line.contains("(100.00%)"),
        Kind::Aria2 | Kind::Transmission => false,
    }
}

fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn imports(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", "import libtorrent"]).stdin(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
