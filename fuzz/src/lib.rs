//! One fuzz target for each decoder of octets that come from outside.
//!
//! A target takes any octets, hands them to the code that would meet them, and
//! asserts what must hold whatever they are: an answer is a well-formed message,
//! what was read and is written reads the same again, the outcome does not depend
//! on where the network cut the stream, and nothing grows beyond its bound.
//!
//! # Running
//!
//! `cargo test -p utopia-fuzz` runs each target over its corpus (`corpus/TARGET`)
//! and over seeded mutations of it. Set `UTOPIA_MUTATIONS=200000` for a long run
//! (with `--release`), `UTOPIA_SEED=n` to begin at another seed.
//!
//! With coverage for a guide (it needs `cargo install cargo-fuzz` and a nightly
//! tool chain, or `RUSTC_BOOTSTRAP=1` with a stable one), from this folder:
//!
//! ```text
//! cargo fuzz run --fuzz-dir . --features libfuzzer TARGET /tmp/found corpus/TARGET -- -max_len=4096
//! ```
//!
//! What it finds goes as a test into the crate concerned and as a file of at
//! most 8 KiB into the corpus.

mod bencode;
mod bittorrent_encryption;
mod bittorrent_wire;
mod configuration;
mod dns;
mod imap;
mod ip_filter;
mod krpc;
mod lsd;
mod magnet;
mod merkle;
mod message;
mod metadata;
mod metainfo;
mod resolver;
mod resume;
mod sasl;
mod smtp;
mod socks;
mod stored;
mod tracker_http;
mod tracker_udp;
mod transmission_rpc;
mod utp;
mod zone;

pub use bencode::bencode;
pub use bittorrent_encryption::bittorrent_encryption;
pub use bittorrent_wire::bittorrent_wire;
pub use configuration::configuration;
pub use dns::dns_message;
pub use imap::imap_command;
pub use ip_filter::ip_filter;
pub use krpc::krpc;
pub use lsd::lsd;
pub use magnet::magnet;
pub use merkle::merkle;
pub use message::message_header;
pub use metadata::metadata;
pub use metainfo::metainfo;
pub use resolver::dns_upstream;
pub use resume::resume;
pub use sasl::sasl;
pub use smtp::{smtp_data, smtp_line, smtp_reply};
pub use socks::socks;
pub use stored::stored;
pub use tracker_http::tracker_http;
pub use tracker_udp::tracker_udp;
pub use transmission_rpc::transmission_rpc;
pub use utp::utp;
pub use zone::zone_file;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also the folder of its corpus.
    pub name: &'static str,
    /// Runs it; it panics where a property does not hold.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "bencode", run: bencode },
    Target { name: "bittorrent_encryption", run: bittorrent_encryption },
    Target { name: "bittorrent_wire", run: bittorrent_wire },
    Target { name: "configuration", run: configuration },
    Target { name: "dns_message", run: dns_message },
    Target { name: "dns_upstream", run: dns_upstream },
    Target { name: "zone_file", run: zone_file },
    Target { name: "smtp_line", run: smtp_line },
    Target { name: "smtp_data", run: smtp_data },
    Target { name: "smtp_reply", run: smtp_reply },
    Target { name: "magnet", run: magnet },
    Target { name: "message_header", run: message_header },
    Target { name: "metainfo", run: metainfo },
    Target { name: "imap_command", run: imap_command },
    Target { name: "sasl", run: sasl },
    Target { name: "stored", run: stored },
    Target { name: "ip_filter", run: ip_filter },
    Target { name: "krpc", run: krpc },
    Target { name: "lsd", run: lsd },
    Target { name: "merkle", run: merkle },
    Target { name: "metadata", run: metadata },
    Target { name: "tracker_http", run: tracker_http },
    Target { name: "tracker_udp", run: tracker_udp },
    Target { name: "transmission_rpc", run: transmission_rpc },
    Target { name: "utp", run: utp },
    Target { name: "socks", run: socks },
    Target { name: "resume", run: resume },
];
