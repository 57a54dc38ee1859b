//! What a TCP connection has written and the other end has not acknowledged.

#![expect(unsafe_code, reason = "TCP_INFO, which socket2 does not offer")]

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;
use tokio::net::TcpStream;

/// Octets of `struct tcp_info` that are read: up to and with `tcpi_bytes_retrans`,
/// which Linux 4.19 and later have.
const INFO_OCTETS: usize = 216;
/// Where the fields lie (`linux/tcp.h`).
const ACKNOWLEDGED_OCTETS: usize = 120;
const NOT_SENT_OCTETS: usize = 144;
const ROUND_TRIP_MIN: usize = 148;
const SENT_OCTETS: usize = 200;
const SENT_AGAIN_OCTETS: usize = 208;

/// What a connection has under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Octets that were written and are not acknowledged.
    pub octets: u64,
    /// The shortest round trip that was seen.
    pub round_trip_min: Duration,
}

pub(crate) fn read(tcp: &TcpStream) -> io::Result<Backlog> {
    let info = info(tcp.as_raw_fd())?;
    let narrow = |at: usize| u64::from(field(&info, at).map_or(0, u32::from_ne_bytes));
    let wide = |at: usize| field(&info, at).map_or(0, u64::from_ne_bytes);
    // The packet that opens the connection is acknowledged too, and has no octets.
    let gone = wide(ACKNOWLEDGED_OCTETS) + wide(SENT_AGAIN_OCTETS);
    Ok(Backlog {
        octets: wide(SENT_OCTETS).saturating_sub(gone) + narrow(NOT_SENT_OCTETS),
        round_trip_min: Duration::from_micros(narrow(ROUND_TRIP_MIN)),
    })
}

fn field<const OCTETS: usize>(info: &[u8], at: usize) -> Option<[u8; OCTETS]> {
    info.get(at..at + OCTETS)?.try_into().ok()
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
        // Packets of an octet each count as what they are; the first few are
        // acknowledged at once.
        one.set_nodelay(true).expect("set");
        for small in 1..=99 {
            one.write_all(&[small]).await.expect("written");
            assert!(read(&one).expect("read").octets <= u64::from(small));
        }
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
