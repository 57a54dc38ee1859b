//! Writes the pcapng file format (draft-ietf-opsawg-pcapng): section header,
//! interface descriptions, packets, and TLS secrets.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;
/// Packets begin with their IPv4 or IPv6 header.
const LINKTYPE_RAW: u16 = 101;
/// NSS key log lines.
const SECRETS_TLS: u32 = 0x544C_534B;
/// Options of an interface description.
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
/// Time stamps count nanoseconds.
const NANOSECONDS: u8 = 9;

/// Writes blocks; little-endian, as the section header says.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    to: W,
    interfaces: u32,
    /// Octets written so far.
    octets: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a section.
    pub(crate) fn new(to: W) -> io::Result<Self> {
        let mut writer = Self { to, interfaces: 0, octets: 0 };
        let mut body = Vec::new();
        body.extend(0x1A2B_3C4D_u32.to_le_bytes());
        body.extend(1_u16.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        // The section's length is not known beforehand.
        body.extend(u64::MAX.to_le_bytes());
        writer.block(SECTION_HEADER, &body)?;
        Ok(writer)
    }

    /// How much was written.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// Describes one more interface; returns its number.
    pub(crate) fn interface(&mut self, name: &str) -> io::Result<u32> {
        let mut body = Vec::new();
        body.extend(LINKTYPE_RAW.to_le_bytes());
        body.extend(0_u16.to_le_bytes());
        // No limit on the captured length.
        body.extend(0_u32.to_le_bytes());
        option(&mut body, IF_NAME, name.as_bytes());
        option(&mut body, IF_TSRESOL, &[NANOSECONDS]);
        option(&mut body, 0, &[]);
        self.block(INTERFACE_DESCRIPTION, &body)?;
        let number = self.interfaces;
        self.interfaces += 1;
        Ok(number)
    }

    /// One packet: IP header, then all it carries.
    pub(crate) fn packet(&mut self, interface: u32, at: SystemTime, packet: &[u8]) -> io::Result<()> {
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let nanoseconds = since_epoch.as_nanos() as u64;
        let mut body = Vec::with_capacity(packet.len() + 24);
        body.extend(interface.to_le_bytes());
        body.extend(((nanoseconds >> 32) as u32).to_le_bytes());
        body.extend((nanoseconds as u32).to_le_bytes());
        body.extend((packet.len() as u32).to_le_bytes());
        body.extend((packet.len() as u32).to_le_bytes());
        body.extend(packet);
        pad(&mut body);
        self.block(ENHANCED_PACKET, &body)
    }

    /// Secrets of a TLS session, as a line of the NSS key log format.
    pub(crate) fn tls_secrets(&mut self, line: &str) -> io::Result<()> {
        let mut body = Vec::with_capacity(line.len() + 12);
        body.extend(SECRETS_TLS.to_le_bytes());
        body.extend((line.len() as u32).to_le_bytes());
        body.extend(line.as_bytes());
        pad(&mut body);
        self.block(DECRYPTION_SECRETS, &body)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let length = body.len() as u32 + 12;
        self.to.write_all(&kind.to_le_bytes())?;
        self.to.write_all(&length.to_le_bytes())?;
        self.to.write_all(body)?;
        self.to.write_all(&length.to_le_bytes())?;
        self.octets += u64::from(length);
        Ok(())
    }
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

/// Bodies and option values end on a multiple of four octets.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}
