//! `utopia socket`: the lecture's pair (a line in, upper case back) and a
//! better netcat, over UDP, TCP or TLS.

mod connect;
mod input;
mod listen;
mod output;

use crate::{capture, out};
use clap::{ArgGroup, Args, Subcommand};
use net::{Capture, Network, Timeouts};
use output::Output;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// A line longer than this is passed on in pieces.
const LINE_OCTETS_MAX: usize = 64 * 1024;

/// Arguments of `utopia socket`.
#[derive(Debug, Args)]
pub(crate) struct SocketArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: SocketCommand,
}

/// What `utopia socket` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum SocketCommand {
    /// Wait for clients; print what they send, send them what you type
    #[command(after_help = "Examples:
  utopia socket listen --udp 12000 --upper       the lecture's server: a line in, upper case back
  utopia socket listen --tcp 0.0.0.0:5000        for everybody, not only this machine
  utopia socket listen --tls 8443 --json --capture tls.pcapng")]
    Listen(ListenArguments),
    /// Connect to a server; send what you type, print what it sends
    #[command(after_help = "Examples:
  utopia socket connect --udp 127.0.0.1:12000    type a line, get it back in upper case
  echo hello | utopia socket connect --tcp localhost:5000
  utopia socket connect --tls mail.example.org:465 --timeout 5
  echo 0a0b0c | utopia socket connect --udp 127.0.0.1:12000 --hex")]
    Connect(ConnectArguments),
}

/// What both have in common.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("transport"))]
pub(crate) struct Shared {
    /// Datagrams: a line typed is a datagram sent, without its line end
    #[arg(long, group = "transport")]
    udp: bool,
    /// A connection (the default)
    #[arg(long, group = "transport")]
    tcp: bool,
    /// A connection under TLS
    #[arg(long, group = "transport")]
    tls: bool,
    /// Print by whole lines, each with its sender where there are several
    #[arg(long)]
    lines: bool,
    /// Print octets in hexadecimal, and read them so: each line typed is sent as the octets it names
    #[arg(long)]
    hex: bool,
    /// Give up after so many seconds in which nothing happens
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Write all packets to a file that Wireshark and tshark read; with --tls also the keys to decrypt them
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Arguments of `utopia socket listen`.
#[derive(Debug, Args)]
pub(crate) struct ListenArguments {
    #[command(flatten)]
    shared: Shared,
    /// PORT (on 127.0.0.1) or ADDRESS:PORT; port 0 takes a free one
    #[arg(value_parser = listen_address)]
    address: SocketAddr,
    /// Send every line or datagram back in upper case
    #[arg(long)]
    upper: bool,
    /// End when the first client has gone
    #[arg(long)]
    once: bool,
    /// Connections open at once; further ones wait
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    connections_max: usize,
    /// The certificate chain for --tls (PEM); without it one is made for this run
    #[arg(long, value_name = "FILE", requires_all = ["key", "tls"], conflicts_with_all = ["udp", "tcp"])]
    cert: Option<PathBuf>,
    /// The key that belongs to --cert (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// Arguments of `utopia socket connect`.
#[derive(Debug, Args)]
pub(crate) struct ConnectArguments {
    #[command(flatten)]
    shared: Shared,
    /// HOST:PORT, or PORT on 127.0.0.1
    #[arg(value_parser = target)]
    target: String,
    /// Trust the certificates in this file only (PEM)
    #[arg(long, value_name = "FILE", requires = "tls", conflicts_with_all = ["udp", "tcp", "insecure"])]
    ca: Option<PathBuf>,
    /// Encrypt, but believe any certificate
    #[arg(long, requires = "tls", conflicts_with_all = ["udp", "tcp"])]
    insecure: bool,
}

/// Why the command failed: one line that names the place and the remedy.
#[derive(Debug)]
struct Failure(String);

impl Failure {
    fn new(what: impl Display) -> Self {
        Self(what.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// How the command talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }
}

impl Shared {
    fn transport(&self) -> Transport {
        match (self.udp, self.tls) {
            (true, _) => Transport::Udp,
            (_, true) => Transport::Tls,
            _ => Transport::Tcp,
        }
    }

    fn timeouts(&self) -> Timeouts {
        self.timeout.map_or_else(Timeouts::default, Timeouts::all)
    }

    /// The network, with a capture around it where one is asked for.
    fn network(&self) -> Result<(Network, Option<Capture>), Failure> {
        let Some(path) = &self.capture else { return Ok((Network::new(), None)) };
        let capture = capture::begin(path).map_err(Failure)?.with_tls_secrets();
        let interface = capture.interface("utopia socket").map_err(|error| Failure(error.to_string()))?;
        Ok((Network::new().with(interface), Some(capture)))
    }

    fn output(&self) -> Output {
        Output::new(self.transport().name(), self.json, self.hex, self.lines)
    }
}

/// Runs the command; 0 when all went well, 1 when it failed.
pub(crate) async fn run(arguments: SocketArguments) -> ExitCode {
    let shared = match &arguments.command {
        SocketCommand::Listen(listen) => &listen.shared,
        SocketCommand::Connect(connect) => &connect.shared,
    };
    let result = match shared.network() {
        Ok((network, capture)) => {
            let work = async {
                match &arguments.command {
                    SocketCommand::Listen(arguments) => listen::run(arguments, &network).await,
                    SocketCommand::Connect(arguments) => connect::run(arguments, &network).await,
                }
            };
            let result = tokio::select! {
                result = work => result,
                () = asked_to_stop() => Ok(()),
                () = out::UNREAD.requested() => Ok(()),
            };
            drop(network);
            let flushed = capture.map_or(Ok(()), |capture| {
                capture.flush().map_err(|error| Failure(format!("the capture is not complete: {error}")))
            });
            result.and(flushed)
        }
        Err(failure) => Err(failure),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(why)) => {
            out::complain(format_args!("utopia socket: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// Resolves on Ctrl-C or SIGTERM.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => std::future::pending().await,
    }
}

fn read_file(path: &Path) -> Result<String, Failure> {
    out::file(path, "name one that is there").map_err(Failure)
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected seconds, e.g. 5 or 0.5".to_owned())
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.replace("localhost:", "127.0.0.1:")
        .parse()
        .map_err(|_| "expected PORT or ADDRESS:PORT, e.g. 12000, 0.0.0.0:12000 or [::1]:12000".to_owned())
}

fn target(text: &str) -> Result<String, String> {
    if text.parse::<u16>().is_ok() {
        return Ok(format!("127.0.0.1:{text}"));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("expected HOST:PORT, e.g. localhost:12000 or [::1]:12000".to_owned()),
    }
}

/// A line or datagram in upper case; what is no UTF-8 keeps its other octets.
fn upper(octets: &[u8]) -> Vec<u8> {
    std::str::from_utf8(octets)
        .map_or_else(|_| octets.to_ascii_uppercase(), |text| text.to_uppercase().into_bytes())
}
