//! Addresses and control messages of recvmsg and sendmsg, for which std has no
//! words: where a datagram was sent to (IP_PKTINFO, IPV6_RECVPKTINFO of RFC
//! 3542 section 6.2), where a reply leaves from, and how trains of datagrams are
//! cut and joined (UDP_SEGMENT, UDP_GRO).
#![expect(unsafe_code, reason = "the C interface of sockets")]

use libc::{c_int, c_void, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Room for one packet information message of either family.
pub(crate) const CONTROL_OCTETS: usize = 64;

/// Room for control messages, aligned as they must be.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Control(pub(crate) [u8; CONTROL_OCTETS]);

impl Control {
    pub(crate) const EMPTY: Self = Self([0; CONTROL_OCTETS]);
}

/// Asks the system to say with each datagram where it was sent to.
pub(crate) fn enable_destination(socket: BorrowedFd<'_>, ipv4: bool) -> io::Result<()> {
    let (level, name) = if ipv4 {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    };
    set_option(socket, level, name, 1)
}

/// An all-zero address with room for every family.
pub(crate) fn empty_address() -> sockaddr_storage {
    // SAFETY: sockaddr_storage is plain old data, for which all zeros is valid.
    unsafe { mem::zeroed() }
}

/// An all-zero message header.
pub(crate) fn empty_header() -> libc::msghdr {
    // SAFETY: msghdr is plain old data; null pointers with zero lengths are valid.
    unsafe { mem::zeroed() }
}

/// Writes an address as the system reads it; returns its length.
pub(crate) fn write_address(address: SocketAddr, into: &mut sockaddr_storage) -> socklen_t {
    match address {
        SocketAddr::V4(v4) => {
            let raw = sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is larger than sockaddr_in and aligned for it.
            unsafe { (&raw mut *into).cast::<sockaddr_in>().write(raw) };
            mem::size_of::<sockaddr_in>() as socklen_t
        }
        SocketAddr::V6(v6) => {
            let raw = sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: sockaddr_storage is larger than sockaddr_in6 and aligned for it.
            unsafe { (&raw mut *into).cast::<sockaddr_in6>().write(raw) };
            mem::size_of::<sockaddr_in6>() as socklen_t
        }
    }
}

/// Reads an address as the system wrote it; `None` for other families.
pub(crate) fn read_address(from: &sockaddr_storage) -> Option<SocketAddr> {
    match c_int::from(from.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that a sockaddr_in stands here; the storage
            // is larger and aligned for it.
            let raw = unsafe { (&raw const *from).cast::<sockaddr_in>().read() };
            let ip = Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, with sockaddr_in6.
            let raw = unsafe { (&raw const *from).cast::<sockaddr_in6>().read() };
            let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
            let port = u16::from_be(raw.sin6_port);
            Some(SocketAddrV6::new(ip, port, raw.sin6_flowinfo, raw.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Where a received datagram was sent to, if the system said so.
///
/// # Safety
/// `header` must be as recvmsg or recvmmsg left it, its control pointer valid
/// for its control length.
pub(crate) unsafe fn read_destination(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the caller vouches for the header, and the CMSG functions stay
    // within its control length.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, hence a whole cmsghdr within the control data.
        let (level, kind) = unsafe { ((*message).cmsg_level, (*message).cmsg_type) };
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: level and type say what the data is; it may be unaligned.
                let info = unsafe { libc::CMSG_DATA(message).cast::<libc::in_pktinfo>().read_unaligned() };
                return Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: as above.
                let info = unsafe { libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>().read_unaligned() };
                return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
            }
            // SAFETY: as for the first.
            _ => message = unsafe { libc::CMSG_NXTHDR(header, message) },
        }
    }
    None
}

/// How large the datagrams are that were joined into one (UDP_GRO, Linux 5.0);
/// `None` when it is a single one.
///
/// # Safety
/// As for [`read_destination`].
pub(crate) unsafe fn read_segment_octets(header: &libc::msghdr) -> Option<usize> {
    // SAFETY: the caller vouches for the header, and the CMSG functions stay
    // within its control length.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, hence a whole cmsghdr within the control data.
        let (level, kind) = unsafe { ((*message).cmsg_level, (*message).cmsg_type) };
        if (level, kind) == (libc::SOL_UDP, libc::UDP_GRO) {
            // SAFETY: level and type say that an int stands here.
            let octets = unsafe { libc::CMSG_DATA(message).cast::<c_int>().read_unaligned() };
            return usize::try_from(octets).ok().filter(|octets| *octets > 0);
        }
        // SAFETY: as for the first.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// Sets an option of a socket that is an int.
pub(crate) fn set_option(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let octets = mem::size_of::<c_int>() as socklen_t;
    // SAFETY: the value is an int that outlives the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast::<c_void>(), octets)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets DF, or leaves fragments to the system (IP_MTU_DISCOVER). The system's own
/// idea of the path's MTU is not asked either way.
pub(crate) fn forbid_fragments(socket: BorrowedFd<'_>, ipv4: bool, forbid: bool) -> io::Result<()> {
    let (level, name) = if ipv4 {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)
    };
    let value = if forbid { libc::IP_PMTUDISC_PROBE } else { libc::IP_PMTUDISC_DONT };
    set_option(socket, level, name, value)
}

/// Reads an option of a socket that is an int.
pub(crate) fn option(socket: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut octets = mem::size_of::<c_int>() as socklen_t;
    // SAFETY: the value is an int that outlives the call, and its size is given.
    let result = unsafe {
        let value = (&raw mut value).cast::<c_void>();
        libc::getsockopt(socket.as_raw_fd(), level, name, value, &raw mut octets)
    };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Writes the address a datagram shall leave from; returns the control length.
pub(crate) fn write_source(source: IpAddr, into: &mut Control) -> usize {
    match source {
        IpAddr::V4(ip) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            write_control(libc::IPPROTO_IP, libc::IP_PKTINFO, info, into)
        }
        IpAddr::V6(ip) => {
            let info =
                libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 };
            write_control(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info, into)
        }
    }
}

fn write_control<T>(level: c_int, kind: c_int, value: T, into: &mut Control) -> usize {
    append_control(level, kind, value, 0, into)
}

/// Appends the size of the datagrams that the system cuts what it is given into
/// (UDP_SEGMENT, Linux 4.18) behind `used` octets; returns the control length.
pub(crate) fn append_segment_octets(octets: u16, used: usize, into: &mut Control) -> usize {
    append_control(libc::SOL_UDP, libc::UDP_SEGMENT, octets, used, into)
}

/// Writes a control message behind those of `used` octets; returns the length
/// of all.
fn append_control<T>(level: c_int, kind: c_int, value: T, used: usize, into: &mut Control) -> usize {
    let octets = mem::size_of::<T>() as u32;
    // SAFETY: CMSG_SPACE and CMSG_LEN only calculate.
    let (space, length) = unsafe { (libc::CMSG_SPACE(octets) as usize, libc::CMSG_LEN(octets) as usize) };
    let aligned = used.is_multiple_of(mem::align_of::<libc::cmsghdr>());
    assert!(aligned && used + space <= CONTROL_OCTETS, "a control message has its room");
    // SAFETY: `used` lies within `Control`, as just asserted.
    let message = unsafe { (&raw mut *into).cast::<libc::cmsghdr>().byte_add(used) };
    // SAFETY: `Control` is aligned for cmsghdr and so is `used`; as just asserted
    // it has room for header and value; the value is written without demanding
    // alignment.
    unsafe {
        (*message).cmsg_len = length as _;
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
    }
    used + space
}

/// A datagram as recvmsg gave it.
pub(crate) struct Taken {
    pub(crate) octets: usize,
    pub(crate) peer: SocketAddr,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) truncated: bool,
}

/// Receives one datagram with its destination.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Taken> {
    let mut address = empty_address();
    let mut control = Control::EMPTY;
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut header = empty_header();
    header.msg_name = (&raw mut address).cast();
    header.msg_namelen = mem::size_of::<sockaddr_storage>() as socklen_t;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = CONTROL_OCTETS as _;
    // SAFETY: every pointer in the header is valid for the length beside it
    // until the call returns.
    let octets = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, 0) };
    let octets = usize::try_from(octets).map_err(|_| io::Error::last_os_error())?;
    let peer = read_address(&address).ok_or_else(|| io::Error::other("a datagram without a sender"))?;
    // SAFETY: recvmsg has just filled the header, `control` still stands.
    let destination = unsafe { read_destination(&header) };
    Ok(Taken { octets, peer, destination, truncated: header.msg_flags & libc::MSG_TRUNC != 0 })
}

/// Sends one datagram that leaves from `source`.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    datagram: &[u8],
    source: IpAddr,
    to: SocketAddr,
) -> io::Result<usize> {
    let mut address = empty_address();
    let mut control = Control::EMPTY;
    let mut part = libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() };
    let mut header = empty_header();
    header.msg_namelen = write_address(to, &mut address);
    header.msg_name = (&raw mut address).cast();
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_controllen = write_source(source, &mut control) as _;
    header.msg_control = (&raw mut control).cast();
    // SAFETY: every pointer in the header is valid for the length beside it
    // until the call returns; sendmsg does not write to the datagram.
    let octets = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) };
    usize::try_from(octets).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn addresses_survive_the_system_s_form(ip: IpAddr, port: u16, flow: u32, scope: u32) {
            let address = match ip {
                IpAddr::V4(ip) => SocketAddrV4::new(ip, port).into(),
                IpAddr::V6(ip) => SocketAddrV6::new(ip, port, flow, scope).into(),
            };
            let mut raw = empty_address();
            write_address(address, &mut raw);
            prop_assert_eq!(read_address(&raw), Some(address));
        }

        /// IP_PKTINFO names the source in another field than the destination:
        /// only IPv6 reads back what it wrote.
        #[test]
        fn a_source_is_a_control_message_of_its_length(ip: std::net::Ipv6Addr) {
            let mut control = Control::EMPTY;
            let mut header = empty_header();
            header.msg_controllen = write_source(ip.into(), &mut control) as _;
            header.msg_control = (&raw mut control).cast();
            // SAFETY: `control` holds one whole message of the length given.
            prop_assert_eq!(unsafe { read_destination(&header) }, Some(IpAddr::V6(ip)));
        }
    }

    #[test]
    fn an_address_of_another_family_is_none() {
        assert_eq!(read_address(&empty_address()), None);
    }
}
