//! What a server reads of a query before it knows the answer.

use crate::zone::{HEADER_OCTETS, Key};
use domain::base::iana::{Class, Opcode, OptRcode, Rtype};

/// Records a query may carry beside its question: OPT, TSIG and few others.
pub const ADDITIONAL_MAX: usize = 8;

/// A query of which header, question and EDNS were read.
#[derive(Debug, Clone)]
pub struct Query {
    /// The question name.
    pub name: Key,
    /// Where the question ends.
    pub question_end: usize,
    /// The type asked for.
    pub rtype: Rtype,
    /// The class asked for.
    pub class: Class,
    /// EDNS, where the query has it.
    pub edns: Option<Edns>,
    /// Whether a TSIG record comes last.
    pub signed: bool,
}

/// What an OPT record says (RFC 6891 section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// Octets of the largest datagram the client takes.
    pub payload: u16,
    /// The version.
    pub version: u8,
    /// Whether DNSSEC records are wanted (RFC 3225).
    pub dnssec_ok: bool,
}

/// What is to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It asks a question.
    Answer,
    /// It needs more than the zones' current version: an update, a NOTIFY, a
    /// transfer, or anything signed.
    Defer,
    /// It gets an error in return.
    Error(OptRcode),
    /// It gets no reply: it is a response, or no message at all.
    Drop,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            name: Key::default(),
            question_end: HEADER_OCTETS,
            rtype: Rtype::A,
            class: Class::IN,
            edns: None,
            signed: false,
        }
    }
}

impl Query {
    /// Reads a message into this value. On [`Verdict::Error`] `question_end`
    /// says how much of the message the reply repeats.
    pub fn read(&mut self, message: &[u8]) -> Verdict {
        self.question_end = HEADER_OCTETS;
        self.edns = None;
        self.signed = false;
        let Some(header) = message.first_chunk::<HEADER_OCTETS>() else { return Verdict::Drop };
        if header[2] & 0x80 != 0 {
            return Verdict::Drop;
        }
        let opcode = Opcode::from_int(header[2] >> 3 & 0x0F);
        match opcode {
            Opcode::QUERY => {}
            Opcode::UPDATE | Opcode::NOTIFY => return Verdict::Defer,
            _ => return Verdict::Error(OptRcode::NOTIMP),
        }
        let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
        // One question (RFC 9619), and no answers; an IXFR has an authority section.
        if count(4) != 1 || count(6) != 0 || count(8) > 1 || count(10) > ADDITIONAL_MAX {
            return Verdict::Error(OptRcode::FORMERR);
        }
        let Some(end) = self.name.read(message, HEADER_OCTETS) else {
            return Verdict::Error(OptRcode::FORMERR);
        };
        let Some(&[t1, t2, c1, c2]) = message.get(end..end + 4) else {
            return Verdict::Error(OptRcode::FORMERR);
        };
        self.rtype = Rtype::from_int(u16::from_be_bytes([t1, t2]));
        self.class = Class::from_int(u16::from_be_bytes([c1, c2]));
        self.question_end = end + 4;
        let records = count(8) + count(10);
        if records > 0 && self.read_records(message, count(8), records).is_none() {
            return Verdict::Error(OptRcode::FORMERR);
        }
        if self.edns.is_some_and(|edns| edns.version > 0) {
            return Verdict::Error(OptRcode::BADVERS);
        }
        if self.signed || matches!(self.rtype, Rtype::AXFR | Rtype::IXFR) {
            return Verdict::Defer;
        }
        Verdict::Answer
    }

    fn read_records(&mut self, message: &[u8], authority: usize, records: usize) -> Option<()> {
        let mut at = self.question_end;
        for index in 0..records {
            let start = at;
            at = skip_name(message, at)?;
            let &[t1, t2, p1, p2, _, version, flags, _, l1, l2] = message.get(at..at + 10)? else {
                return None;
            };
            at += 10 + usize::from(u16::from_be_bytes([l1, l2]));
            message.get(..at)?;
            match Rtype::from_int(u16::from_be_bytes([t1, t2])) {
                Rtype::OPT => {
                    // One OPT, of the root, in the additional section (RFC 6891 section 6.1.1).
                    if index < authority || self.edns.is_some() || message[start] != 0 {
                        return None;
                    }
                    let payload = u16::from_be_bytes([p1, p2]);
                    self.edns = Some(Edns { payload, version, dnssec_ok: flags & 0x80 != 0 });
                }
                Rtype::TSIG => {
                    if index + 1 != records {
                        return None;
                    }
                    self.signed = true;
                }
                _ => {}
            }
        }
        Some(())
    }
}

/// Where the name at `at`, compressed or not, ends.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? as usize {
            0 => return Some(at + 1),
            length @ 1..=63 => at += length + 1,
            0xC0.. => return Some(at + 2),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03wWw\x04test\x00\x00\x01\x00\x01\
        \x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";

    fn verdict(change: impl FnOnce(&mut Vec<u8>)) -> Verdict {
        let mut message = QUERY.to_vec();
        change(&mut message);
        Query::default().read(&message)
    }

    #[test]
    fn reads_a_query() {
        let mut query = Query::default();
        assert_eq!(query.read(QUERY), Verdict::Answer);
        assert_eq!(query.name.octets(), b"\x03www\x04test\x00");
        assert_eq!(query.edns, Some(Edns { payload: 1232, version: 0, dnssec_ok: true }));
        assert_eq!((query.rtype, query.class, query.question_end), (Rtype::A, Class::IN, 26));
    }

    #[test]
    fn errors_are_those_of_the_protocol() {
        assert_eq!(verdict(|m| m.truncate(11)), Verdict::Drop);
        assert_eq!(verdict(|m| m[2] |= 0x80), Verdict::Drop);
        assert_eq!(verdict(|m| m[2] |= 2 << 3), Verdict::Error(OptRcode::NOTIMP));
        assert_eq!(verdict(|m| m[2] |= 5 << 3), Verdict::Defer);
        assert_eq!(verdict(|m| m[5] = 0), Verdict::Error(OptRcode::FORMERR));
        assert_eq!(verdict(|m| m[5] = 2), Verdict::Error(OptRcode::FORMERR));
        assert_eq!(verdict(|m| m[7] = 1), Verdict::Error(OptRcode::FORMERR));
        assert_eq!(verdict(|m| m[12] = 0xC0), Verdict::Error(OptRcode::FORMERR));
        assert_eq!(verdict(|m| m.truncate(24)), Verdict::Error(OptRcode::FORMERR));
        assert_eq!(verdict(|m| m.truncate(30)), Verdict::Error(OptRcode::FORMERR));
        assert_eq!(verdict(|m| m[11] = 2), Verdict::Error(OptRcode::FORMERR));
        assert_eq!(verdict(|m| m[11] = 200), Verdict::Error(OptRcode::FORMERR), "ADDITIONAL_MAX exceeded");
        assert_eq!(verdict(|m| m[32] = 1), Verdict::Error(OptRcode::BADVERS));
        assert_eq!(verdict(|m| m[23] = 252), Verdict::Defer);
    }

    #[test]
    fn two_opt_records_are_one_too_many() {
        let mut message = QUERY.to_vec();
        message.extend_from_slice(&QUERY[26..]);
        message[11] = 2;
        assert_eq!(Query::default().read(&message), Verdict::Error(OptRcode::FORMERR));
    }
}
