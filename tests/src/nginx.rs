//! nginx as a foreign web server.

use crate::Peer;
use crate::utopia::wait_for;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// nginx that runs until the test ends, or it is stopped.
#[derive(Debug)]
pub struct Nginx {
    _process: Peer,
    log: PathBuf,
}

/// One request as nginx saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What was asked for.
    pub path: String,
    /// The field Range; `-` where there was none.
    pub range: String,
    /// The status code of the answer.
    pub status: u16,
    /// The number of the connection.
    pub connection: u64,
}

impl Nginx {
    /// Serves `root` at `address`; what it needs for itself, and the log of all
    /// requests, lies in `folder`. `more` is configuration for the server.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(program: &Path, folder: &Path, root: &Path, address: SocketAddr, more: &str) -> Self {
        Self::listening(program, folder, root, address, &format!("listen {address}; {more}"))
    }

    /// The same over https; `more` names the certificate and its key.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_tls(program: &Path, folder: &Path, root: &Path, address: SocketAddr, more: &str) -> Self {
        Self::listening(program, folder, root, address, &format!("listen {address} ssl; {more}"))
    }

    fn listening(program: &Path, folder: &Path, root: &Path, address: SocketAddr, server: &str) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let (at, log) = (folder.display(), folder.join("access.log"));
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};"))
            .join("\n");
        let configuration = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
            events {{ worker_connections 128; }}
            http {{
                {temporary}
                log_format seen '$request_uri $http_range $status $connection';
                access_log {at}/access.log seen;
                server {{ root {}; {server} }}
            }}",
            root.display()
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration).expect("written");
        let mut command = Command::new(program);
        command.arg("-e").arg(folder.join("error.log")).arg("-p").arg(folder).arg("-c").arg(&file);
        let process = Peer::start(command.stdout(Stdio::null()).stderr(Stdio::null())).expect("nginx runs");
        wait_for("nginx listens", || TcpStream::connect(address).ok());
        Self { _process: process, log }
    }

    /// The requests it has answered.
    ///
    /// # Panics
    /// When its log cannot be read.
    pub fn requests(&self) -> Vec<Request> {
        let log = fs::read_to_string(&self.log).expect("its log");
        let read = |line: &str| {
            let mut fields = line.split_whitespace().map(str::to_owned);
            Some(Request {
                path: fields.next()?,
                range: fields.next()?,
                status: fields.next()?.parse().ok()?,
                connection: fields.next()?.parse().ok()?,
            })
        };
        log.lines().filter_map(read).collect()
    }
}
