//! Copying a rendered body behind a question: flags, counts, pointers, EDNS and
//! truncation.

use super::query::Query;
use crate::zone::{Body, HEADER_OCTETS};
use domain::base::iana::OptRcode;

/// Octets of an OPT record without options.
const OPT_OCTETS: usize = 11;
/// Octets of a datagram for a client without EDNS (RFC 1035 section 4.2.1).
pub const PLAIN_OCTETS_MAX: usize = 512;
/// The largest datagram sent unless configured otherwise: it passes everywhere
/// without fragments.
pub const PAYLOAD_OCTETS_DEFAULT: u16 = 1232;
/// Octets of the largest message over TCP.
pub const MESSAGE_OCTETS_MAX: usize = 65_535;

/// A reply that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Its octets.
    pub length: usize,
    /// Its response code.
    pub rcode: OptRcode,
    /// Whether it is truncated (TC).
    pub truncated: bool,
}

/// How a reply is framed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// Octets the reply may have.
    pub(crate) octets_max: usize,
    /// The payload size that our OPT records name.
    pub(crate) payload: u16,
    /// Turns address sets.
    pub(crate) turn: usize,
}

/// Writes the response to `message` with this body. `reply` has room for
/// `octets_max`.
#[inline]
pub(crate) fn response(
    message: &[u8],
    query: &Query,
    body: Body<'_>,
    rcode: OptRcode,
    frame: Frame,
    reply: &mut [u8],
) -> Option<Reply> {
    let start = query.question_end;
    let opt = if query.edns.is_some() { OPT_OCTETS } else { 0 };
    let limit = frame.octets_max.min(reply.len());
    let room = limit.checked_sub(start + opt)?;
    reply.get_mut(..start)?.copy_from_slice(message.get(..start)?);

    let [answers, authority, mut additional] = body.fields.counts;
    let mut length = body.octets.len();
    let mut truncated = false;
    if length > room {
        length = usize::from(body.fields.required);
        if length > room {
            // The rest is to be had over TCP (RFC 2181 section 9).
            truncated = true;
            length = 0;
        } else {
            for (end, records) in body.optional().filter(|(end, _)| *end <= room) {
                length = end;
                additional += records;
            }
        }
    } else {
        additional += body.optional().map(|(_, records)| records).sum::<u16>();
    }

    let to = reply.get_mut(start..start + length)?;
    if body.fields.rotation > 0 && !truncated {
        copy_turned(&body, answers, frame.turn, to);
    } else {
        to.copy_from_slice(&body.octets[..length]);
    }
    let shift = (query.name.octets().len() as u16).wrapping_sub(u16::from(body.fields.reference));
    if shift != 0 {
        for at in body.pointers().take_while(|at| *at < length) {
            let pointer = u16::from_be_bytes([to[at], to[at + 1]]).wrapping_add(shift);
            to[at..at + 2].copy_from_slice(&pointer.to_be_bytes());
        }
    }

    let counts = if truncated { [0; 3] } else { [answers, authority, additional] };
    let header = reply.first_chunk_mut::<HEADER_OCTETS>()?;
    // QR, the opcode (QUERY), AA, TC, RD as it came; no RA, CD as it came
    // (RFC 4035 section 3.1.6).
    let flags = u8::from(body.fields.authoritative) << 2 | u8::from(truncated) << 1;
    header[2] = 0x80 | header[2] & 0x01 | flags;
    header[3] = header[3] & 0x10 | rcode.to_int() as u8 & 0x0F;
    for (place, count) in header[6..].chunks_exact_mut(2).zip(counts) {
        place.copy_from_slice(&count.to_be_bytes());
    }
    let end = start + length;
    Some(Reply { length: opt_record(reply, end, query, rcode, frame.payload)?, rcode, truncated })
}

/// Appends our OPT record when the query has one (RFC 6891 section 6.1.1);
/// returns where the message ends.
#[inline]
fn opt_record(reply: &mut [u8], end: usize, query: &Query, rcode: OptRcode, payload: u16) -> Option<usize> {
    let Some(edns) = query.edns else { return Some(end) };
    let [p1, p2] = payload.to_be_bytes();
    let extended = (rcode.to_int() >> 4) as u8;
    let dnssec = if edns.dnssec_ok { 0x80 } else { 0 };
    reply.get_mut(end..end + OPT_OCTETS)?.copy_from_slice(&[0, 0, 41, p1, p2, extended, 0, dnssec, 0, 0, 0]);
    let count = reply.get_mut(10..12)?;
    let more = u16::from_be_bytes([count[0], count[1]]) + 1;
    count.copy_from_slice(&more.to_be_bytes());
    Some(end + OPT_OCTETS)
}

/// Copies a body whose answer records all have the same size, each in turn first.
fn copy_turned(body: &Body<'_>, answers: u16, turn: usize, to: &mut [u8]) {
    let size = usize::from(body.fields.rotation);
    let all = size * answers as usize;
    let first = turn % answers.max(1) as usize * size;
    let (head, tail) = to.split_at_mut(all.min(to.len()));
    let octets = body.octets;
    head[..all - first].copy_from_slice(&octets[first..all]);
    head[all - first..].copy_from_slice(&octets[..first]);
    tail.copy_from_slice(&octets[all..all + tail.len()]);
}

/// Writes a reply that is an error and has no records. It repeats the question
/// where that could be read.
pub(crate) fn error(
    message: &[u8],
    query: &Query,
    rcode: OptRcode,
    payload: u16,
    reply: &mut [u8],
) -> Option<Reply> {
    let start = query.question_end;
    reply.get_mut(..start)?.copy_from_slice(message.get(..start)?);
    let header = reply.first_chunk_mut::<HEADER_OCTETS>()?;
    header[2] = 0x80 | header[2] & 0x79;
    header[3] = header[3] & 0x10 | rcode.to_int() as u8 & 0x0F;
    header[4..].copy_from_slice(&[0, u8::from(start > HEADER_OCTETS), 0, 0, 0, 0, 0, 0]);
    let length = opt_record(reply, start, query, rcode, payload)?;
    Some(Reply { length, rcode, truncated: false })
}
