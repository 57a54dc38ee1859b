//! What the person sees: octets as they come, whole lines, hexadecimal, or one
//! JSON object a line.

use super::LINE_OCTETS_MAX;
use crate::out;
use serde::Serialize;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

/// Prints what happens on the sockets.
#[derive(Debug, Clone)]
pub(super) struct Output {
    transport: &'static str,
    json: bool,
    hex: bool,
    lines: bool,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    event: &'a str,
    transport: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl Output {
    pub(super) fn new(transport: &'static str, json: bool, hex: bool, lines: bool) -> Self {
        Self { transport, json, hex, lines }
    }

    /// Whether what comes is to be cut into lines before it is printed.
    pub(super) fn by_lines(&self) -> bool {
        self.lines || self.json
    }

    /// Something about an address: `listening`, `connected`, `closed`.
    pub(super) fn notice(&self, event: &str, address: SocketAddr, more: &str) -> io::Result<()> {
        if self.json {
            let text = (!more.is_empty()).then(|| more.to_owned());
            return Self::object(&Line { address: Some(address), text, ..self.line(event) });
        }
        let more = if more.is_empty() { String::new() } else { format!(" ({more})") };
        out::complain(format_args!("{event} {} {address}{more}", self.transport));
        Ok(())
    }

    /// Octets that came. `named` puts the sender before them.
    pub(super) fn received(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        octets: &[u8],
        named: bool,
    ) -> io::Result<()> {
        if self.json {
            return self.message("received", from, to, octets);
        }
        let mut shown = if named { format!("{from} ").into_bytes() } else { Vec::new() };
        if self.hex {
            shown.extend_from_slice(hex(octets).as_bytes());
            shown.push(b'\n');
        } else {
            shown.extend_from_slice(octets);
            let whole = self.transport == "udp" || self.lines;
            if whole && !octets.ends_with(b"\n") {
                shown.push(b'\n');
            }
        }
        out::octets(&shown);
        Ok(())
    }

    /// Octets that left; only told in JSON, the person typed them.
    pub(super) fn sent(&self, from: SocketAddr, to: SocketAddr, octets: &[u8]) -> io::Result<()> {
        if self.json { self.message("sent", from, to, octets) } else { Ok(()) }
    }

    fn message(&self, event: &str, from: SocketAddr, to: SocketAddr, octets: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(octets).trim_end_matches(['\r', '\n']).to_owned();
        let (text, hex) = if self.hex { (None, Some(hex(octets))) } else { (Some(text), None) };
        Self::object(&Line { from: Some(from), to: Some(to), text, hex, ..self.line(event) })
    }

    fn line<'a>(&self, event: &'a str) -> Line<'a> {
        Line { event, transport: self.transport, address: None, from: None, to: None, text: None, hex: None }
    }

    fn object(line: &Line<'_>) -> io::Result<()> {
        out::line(serde_json::to_string(line)?);
        Ok(())
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        // Writing to a String does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Gathers octets until a line is whole. Holds at most `LINE_OCTETS_MAX`.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    /// Takes octets in and gives each whole line, with its end, to `each`; a
    /// line beyond the bound in pieces.
    pub(super) fn push<E>(
        &mut self,
        octets: &[u8],
        mut each: impl FnMut(Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        for piece in octets.split_inclusive(|octet| *octet == b'\n') {
            for part in piece.chunks(LINE_OCTETS_MAX) {
                if self.0.len() + part.len() > LINE_OCTETS_MAX {
                    each(std::mem::take(&mut self.0))?;
                }
                self.0.extend(part);
            }
            if self.0.ends_with(b"\n") {
                each(std::mem::take(&mut self.0))?;
            }
        }
        Ok(())
    }

    /// What is left when the sender ends without a line end.
    pub(super) fn rest(&mut self) -> Option<Vec<u8>> {
        (!self.0.is_empty()).then(|| std::mem::take(&mut self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(gather: &mut Lines, octets: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let Ok(()) = gather.push(octets, |line| {
            all.push(line);
            Ok::<_, std::convert::Infallible>(())
        });
        all
    }

    #[test]
    fn gathers_lines_over_reads() {
        let mut gather = Lines::default();
        assert!(lines(&mut gather, b"he").is_empty());
        assert_eq!(lines(&mut gather, b"llo\nyou\nre"), [b"hello\n".to_vec(), b"you\n".to_vec()]);
        assert_eq!(gather.rest().unwrap(), b"re");
        assert_eq!(gather.rest(), None);
    }

    #[test]
    fn holds_no_more_than_its_bound() {
        let mut gather = Lines::default();
        let all = lines(&mut gather, &vec![b'a'; LINE_OCTETS_MAX * 2 + 5]);
        assert!(all.iter().all(|line| line.len() == LINE_OCTETS_MAX));
        assert_eq!(all.len(), 2);
        assert_eq!(gather.rest().unwrap().len(), 5);
    }
}
