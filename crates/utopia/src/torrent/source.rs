//! Where a torrent is named: a file, a magnet link, an address on the web; and
//! making one of files on the disk.

use crate::out;
use bittorrent::metainfo::{Limits, Magnet, Metainfo};
use bittorrent_node::{Hidden, Making, Original, What};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Reads a torrent file.
pub(super) fn read_file(file: &Path) -> Result<Metainfo, String> {
    let limits = Limits::DEFAULT;
    match storage::files::read(file, limits.metainfo_octets_max as u64) {
        Ok(Some(octets)) => {
            Metainfo::parse(&octets, &limits).map_err(|error| format!("{}: {error}", file.display()))
        }
        Ok(None) => {
            Err(format!("{}: there is no such file; name a torrent file or a magnet link", file.display()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A torrent by what a person typed.
pub(super) async fn find(source: &str, network: &net::Network) -> Result<What, String> {
    if source.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("magnet:")) {
        let magnet: Magnet = source.parse().map_err(|error| format!("the magnet link: {error}"))?;
        return Ok(What::Magnet(Box::new(magnet)));
    }
    if source.starts_with("http://") || source.starts_with("https://") {
        let octets =
            bittorrent_node::fetch(network, &names(), source).await.map_err(|error| error.to_string())?;
        let metainfo =
            Metainfo::parse(&octets, &Limits::DEFAULT).map_err(|error| format!("{source}: {error}"))?;
        return Ok(What::Metainfo(Arc::new(metainfo)));
    }
    if let Some(link) = link_of_hash(source).filter(|_| !Path::new(source).exists()) {
        let magnet: Magnet = link.parse().map_err(|error| format!("{source}: {error}"))?;
        return Ok(What::Magnet(Box::new(magnet)));
    }
    Ok(What::Metainfo(Arc::new(read_file(Path::new(source))?)))
}

/// The link to a torrent of which only the info-hash is known: 40 hexadecimal digits
/// or 32 of base 32 (v1), or 64 hexadecimal digits (v2).
fn link_of_hash(text: &str) -> Option<String> {
    let is_hex = text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_base32 = text.bytes().all(|digit| matches!(digit.to_ascii_uppercase(), b'A'..=b'Z' | b'2'..=b'7'));
    match text.len() {
        40 if is_hex => Some(format!("magnet:?xt=urn:btih:{text}")),
        32 if is_base32 => Some(format!("magnet:?xt=urn:btih:{text}")),
        64 if is_hex => Some(format!("magnet:?xt=urn:btmh:1220{text}")),
        _ => None,
    }
}

/// The network of who listens at these addresses: trackers, peers and nodes must
/// see the one that can be reached.
pub(super) fn network(listen: &[SocketAddr]) -> net::Network {
    match listen.first().map(SocketAddr::ip) {
        Some(ip) if !ip.is_unspecified() => net::Network::from_source(ip),
        _ => net::Network::new(),
    }
}

/// Names as this machine knows them, and the authorities it believes.
pub(super) fn names() -> bittorrent_node::Names {
    bittorrent_node::Names::new(None, net::tls::client_config_of_system())
}

/// Makes a torrent of a file or a folder. `tell` hears how many octets of how
/// many are done.
pub(super) fn make(path: &Path, making: Making, mut tell: impl FnMut(u64, u64)) -> Result<Metainfo, String> {
    let original = Original::look(path, Hidden::Included).map_err(|error| error.to_string())?;
    for left_out in &original.left_out {
        out::complain(format_args!("left out: {left_out}"));
    }
    let tell = |done, total| {
        tell(done, total);
        ControlFlow::Continue(())
    };
    original.make(making, tell).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_hash_alone_is_a_link() {
        for (text, hash) in [
            ("a".repeat(40), "a".repeat(40)),
            ("a".repeat(32), "00".repeat(20)),
            ("b".repeat(64), "b".repeat(64)),
        ] {
            let magnet: Magnet = link_of_hash(&text).expect("a link").parse().expect("a link that is read");
            let hashes = magnet.hashes;
            let read = hashes.v1.map(|hash| hash.to_string());
            assert_eq!(read.or(hashes.v2.map(|hash| hash.to_string())), Some(hash));
        }
        for none in ["film.torrent", &"g".repeat(40), &"1".repeat(32), &"a".repeat(41), ""] {
            assert_eq!(link_of_hash(none), None, "{none}");
        }
    }
}
