//! What a TCP connection has written and the other end has not acknowledged.

#![expect(unsafe_code, reason = "TCP_INFO, which socket2 does not offer")]

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;
use tokio::net::TcpStream;

/// Octets of `struct tcp_info` that are read: up to and with `tcpi_min_rtt`.
const INFO_OCTETS: usize = 152;
/// Where the fields lie (`linux/tcp.h`).
const SEGMENT_OCTETS: usize = 16;
const UNACKED_SEGMENTS: usize = 24;
const NOT_SENT_OCTETS: usize = 144;
const ROUND_TRIP_MIN: usize = 148;

/// What a connection has under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Octets that were written and are not acknowledged, to about a packet.
    pub octets: u64,
    /// The shortest round trip that was seen.
    pub round_trip_min: Duration,
}

pub(crate) fn read(tcp: &TcpStream) -> io::Result<Backlog> {
    let info = info(tcp.as_raw_fd())?;
    let field = |at: usize| {
        let octets = info.get(at..at + 4).and_then(|octets| octets.try_into().ok());
        octets.map_or(0, u32::from_ne_bytes)
    };
    let under_way = u64::from(field(UNACKED_SEGMENTS)) * u64::from(field(SEGMENT_OCTETS));
    Ok(Backlog {
        octets: under_way + u64::from(field(NOT_SENT_OCTETS)),
        round_trip_min: Duration::from_micros(u64::from(field(ROUND_TRIP_MIN))),
    })
}

fn info(socket: RawFd) -> io::Result<[u8; INFO_OCTETS]> {
    let mut info = [0_u8; INFO_OCTETS];
    let mut octets = INFO_OCTETS as libc::socklen_t;
    // SAFETY: the system writes at most `octets` octets to `info`, which has as many.
    let result = unsafe {
        libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut octets)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if (octets as usize) < INFO_OCTETS {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn what_the_other_end_has_not_read_is_under_way_and_then_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut one, mut other) = (one.expect("connected"), other.expect("accepted").0);
        assert_eq!(read(&one).expect("read").octets, 0);
        // More than the other end's buffer takes.
        let mut written = 0;
        while let Ok(Ok(octets)) =
            tokio::time::timeout(Duration::from_millis(200), one.write(&vec![0; 1 << 16])).await
        {
            written += octets;
        }
        let backlog = read(&one).expect("read");
        assert!(backlog.octets > 0 && backlog.octets <= written as u64 + (1 << 16), "{backlog:?}");
        assert!(backlog.round_trip_min < Duration::from_secs(1));
        let mut rest = vec![0; written];
        other.read_exact(&mut rest).await.expect("all comes");
        while read(&one).expect("read").octets > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
