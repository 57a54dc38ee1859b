//! Trains and the system calls that carry them.
#![expect(unsafe_code, reason = "recvmmsg and sendmmsg, which std does not offer")]

use super::arrivals::{Arrival, Arrivals, BUFFERS};
use super::{TRAIN_DATAGRAMS_MAX, TRAIN_OCTETS_MAX, TRAIN_PARTS_MAX, Train};
use crate::message::{self, CONTROL_OCTETS, Control};
use libc::{c_int, c_uint, iovec, mmsghdr, sockaddr_storage, socklen_t};
use std::io::{self, IoSlice};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Trains sent by one system call.
const MESSAGES_MAX: usize = 64;

/// A socket without layers.
#[derive(Debug)]
pub(super) struct Wire {
    udp: UdpSocket,
    local: SocketAddr,
    /// The system cuts trains; false once it said that it cannot.
    cuts: AtomicBool,
}

impl Wire {
    pub(super) fn new(socket: std::net::UdpSocket, local: SocketAddr) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        if local.ip().is_unspecified() {
            message::enable_destination(socket.as_fd(), local.is_ipv4())?;
        }
        // A system that cannot join datagrams hands them out one by one.
        message::set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1).ok();
        Ok(Self { udp: UdpSocket::from_std(socket)?, local, cuts: AtomicBool::new(true) })
    }

    pub(super) async fn receive(&self, arrivals: &mut Arrivals) -> io::Result<()> {
        let take = || self.take(arrivals);
        let taken = self.udp.async_io(Interest::READABLE | Interest::ERROR, take).await;
        match taken {
            // An error of the last datagram that was sent (RFC 1122 section
            // 4.1.3.3) belongs to nobody here.
            Err(error) if is_of_a_datagram(&error) => Ok(()),
            other => other,
        }
    }

    fn take(&self, arrivals: &mut Arrivals) -> io::Result<()> {
        let mut peers = [message::empty_address(); BUFFERS];
        let mut controls = [Control::EMPTY; BUFFERS];
        let mut parts = [iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; BUFFERS];
        let mut headers = [mmsghdr { msg_hdr: message::empty_header(), msg_len: 0 }; BUFFERS];
        for (index, buffer) in arrivals.buffers.iter_mut().take(BUFFERS).enumerate() {
            parts[index] = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            let header = &mut headers[index].msg_hdr;
            header.msg_name = (&raw mut peers[index]).cast();
            header.msg_namelen = mem::size_of::<sockaddr_storage>() as socklen_t;
            header.msg_iov = &raw mut parts[index];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut controls[index]).cast();
            header.msg_controllen = CONTROL_OCTETS as _;
        }
        // SAFETY: there are that many headers, each just filled with pointers that
        // are valid for the length beside them; the buffers belong to `arrivals`,
        // which is borrowed until the call returns.
        let count = unsafe {
            let (first, flags) = (headers.as_mut_ptr(), libc::MSG_DONTWAIT);
            let null = std::ptr::null_mut();
            libc::recvmmsg(self.udp.as_raw_fd(), first, BUFFERS as c_uint, flags as _, null)
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (index, header) in headers.iter().take(count).enumerate() {
            let Some(peer) = message::read_address(&peers[index]) else { continue };
            // SAFETY: recvmmsg has just filled the header, `controls` stand.
            let (size, local) = unsafe {
                let size = message::read_segment_octets(&header.msg_hdr);
                (size, message::read_destination(&header.msg_hdr))
            };
            let octets = arrivals.take(index, header.msg_len as usize);
            arrivals.push(Arrival {
                datagram_octets: size.unwrap_or(octets.len()),
                octets,
                peer,
                local: local.filter(|_| self.local.ip().is_unspecified()),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            });
        }
        Ok(())
    }

    pub(super) async fn send(&self, trains: &[Train<'_>]) -> io::Result<()> {
        for group in trains.chunk_by(|one, other| one.fragmentable == other.fragmentable) {
            let fragmentable = group.first().is_some_and(|train| train.fragmentable);
            if fragmentable {
                message::forbid_fragments(self.udp.as_fd(), self.local.is_ipv4(), false)?;
            }
            let sent = self.send_group(group).await;
            if fragmentable {
                message::forbid_fragments(self.udp.as_fd(), self.local.is_ipv4(), true)?;
            }
            sent?;
        }
        Ok(())
    }

    async fn send_group(&self, trains: &[Train<'_>]) -> io::Result<()> {
        let mut rest = trains;
        while let Some(train) = rest.first() {
            if !self.is_cut_by_system(train) {
                for parts in train.datagrams() {
                    let datagram_octets = parts.iter().map(|part| part.len()).sum();
                    self.send_messages(&[Train { parts, datagram_octets, ..*train }]).await?;
                }
                rest = &rest[1..];
                continue;
            }
            let count =
                rest.iter().take(MESSAGES_MAX).take_while(|train| self.is_cut_by_system(train)).count();
            let sent = self.send_messages(&rest[..count]).await?;
            rest = &rest[sent..];
        }
        Ok(())
    }

    /// Whether it can be handed over as it is.
    fn is_cut_by_system(&self, train: &Train<'_>) -> bool {
        let octets = train.octets();
        octets <= train.datagram_octets
            || (self.cuts.load(Ordering::Relaxed)
                && octets <= TRAIN_OCTETS_MAX
                && octets.div_ceil(train.datagram_octets.max(1)) <= TRAIN_DATAGRAMS_MAX
                && train.parts.len() <= TRAIN_PARTS_MAX)
    }

    /// Sends trains by one system call; returns how many of them are done with.
    async fn send_messages(&self, trains: &[Train<'_>]) -> io::Result<usize> {
        let sent = self.udp.async_io(Interest::WRITABLE, || self.put(trains)).await;
        let Err(error) = sent else { return sent };
        let Some(first) = trains.first() else { return Ok(0) };
        let is_train = first.octets() > first.datagram_octets;
        match error.raw_os_error() {
            // No cutting on this link: without checksums by the hardware (EIO), or
            // a datagram is larger than it thinks the path carries (EINVAL).
            Some(code @ (libc::EIO | libc::EINVAL)) if is_train => {
                if code == libc::EIO {
                    self.cuts.store(false, Ordering::Relaxed);
                }
                for parts in first.datagrams() {
                    let datagram_octets = parts.iter().map(|part| part.len()).sum();
                    let single = [Train { parts, datagram_octets, ..*first }];
                    self.udp.async_io(Interest::WRITABLE, || self.put(&single)).await.ok();
                }
                Ok(1)
            }
            Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) => Err(error),
            // The error is the first one's: the others can still go.
            _ => Ok(1),
        }
    }

    fn put(&self, trains: &[Train<'_>]) -> io::Result<usize> {
        let mut peers = [message::empty_address(); MESSAGES_MAX];
        let mut controls = [Control::EMPTY; MESSAGES_MAX];
        let mut headers = [mmsghdr { msg_hdr: message::empty_header(), msg_len: 0 }; MESSAGES_MAX];
        let count = trains.len().min(MESSAGES_MAX);
        for (index, train) in trains.iter().take(count).enumerate() {
            let mut used = 0;
            if let Some(source) = train.from.filter(|_| self.local.ip().is_unspecified()) {
                used = message::write_source(source, &mut controls[index]);
            }
            if train.octets() > train.datagram_octets {
                let size = u16::try_from(train.datagram_octets).unwrap_or(u16::MAX);
                used = message::append_segment_octets(size, used, &mut controls[index]);
            }
            let header = &mut headers[index].msg_hdr;
            header.msg_namelen = message::write_address(train.to, &mut peers[index]);
            header.msg_name = (&raw mut peers[index]).cast();
            // IoSlice has the layout of iovec, as std promises; it is not written to.
            header.msg_iov = train.parts.as_ptr().cast_mut().cast::<iovec>();
            header.msg_iovlen = train.parts.len() as _;
            if used > 0 {
                header.msg_control = (&raw mut controls[index]).cast();
                header.msg_controllen = used as _;
            }
        }
        // SAFETY: that many headers were just filled with pointers that are valid
        // for the length beside them; the parts are borrowed by `trains`, and
        // sendmmsg does not write to what they point to.
        let sent = unsafe {
            let flags: c_int = libc::MSG_DONTWAIT;
            libc::sendmmsg(self.udp.as_raw_fd(), headers.as_mut_ptr(), count as c_uint, flags as _)
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// The parts of a train are handed to the system as they lie.
const _: () = assert!(mem::size_of::<IoSlice<'_>>() == mem::size_of::<iovec>());

fn is_of_a_datagram(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EMSGSIZE | libc::EINTR)
    )
}
