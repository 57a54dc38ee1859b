//! `utopia torrent track`: a tracker by itself.

use crate::{logging, out};
use bittorrent_node::tracker::{Config, Tracker};
use std::net::SocketAddr;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Listen for the UDP protocol (BEP 15); may be given several times
    #[arg(long, value_name = "ADDRESS:PORT")]
    udp: Vec<SocketAddr>,
    /// Listen for the HTTP protocol (BEP 3); may be given several times
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Vec<SocketAddr>,
    /// Serve only these torrents: info-hashes of 40 hexadecimal digits
    #[arg(long, value_name = "INFO-HASH")]
    only: Vec<String>,
    /// Seconds between the announces of a peer
    #[arg(long, value_name = "SECONDS", default_value_t = 1_800)]
    interval: u32,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    logging::start("info");
    if arguments.udp.is_empty() && arguments.http.is_empty() {
        return out::misused("name where to listen, e.g. --udp 127.0.0.1:6969 --http 127.0.0.1:6969");
    }
    let access = if arguments.only.is_empty() {
        bittorrent_node::tracker::AccessKind::Open
    } else {
        bittorrent_node::tracker::AccessKind::Allow
    };
    let config = Config {
        udp_listen: arguments.udp,
        http_listen: arguments.http,
        access,
        info_hashes: arguments.only,
        interval_seconds: arguments.interval,
        ..Config::default()
    };
    let shutdown = net::Shutdown::new();
    let tracker =
        match Tracker::start(&config, net::Network::new(), event::Reporter::silent(), shutdown.clone()) {
            Ok(tracker) => tracker,
            Err(error) => return out::failed(&error.to_string()),
        };
    for address in tracker.udp_addrs() {
        out::line(format_args!("udp://{address}"));
    }
    for address in tracker.http_addrs() {
        out::line(format_args!("http://{address}/announce"));
    }
    if let Some(address) = tracker.http_addrs().first() {
        out::line(format_args!("what it does is shown at http://{address}/"));
    }
    super::told::until_told().await;
    shutdown.finish(std::time::Duration::from_secs(5)).await;
    ExitCode::SUCCESS
}
