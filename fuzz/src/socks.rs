//! What a SOCKS5 proxy hands on (RFC 1928 section 7).

use net::RelayedDatagram;

/// A datagram of a proxy: what is read is the same when it is written and read
/// again.
pub fn socks(input: &[u8]) {
    let Some(datagram) = RelayedDatagram::read(input) else { return };
    assert!(input.ends_with(datagram.octets));
    let written = datagram.to_octets().expect("what was read can be written");
    assert_eq!(RelayedDatagram::read(&written), Some(datagram));
}
