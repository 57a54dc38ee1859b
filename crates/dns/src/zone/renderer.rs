//! Rendering answers: records into wire format, names in them compressed.

use super::body::{Fields, HEADER_OCTETS, Rendered};
use super::key;
use super::rrset::{Embedded, Rrset};
use domain::base::iana::Rtype;

/// The farthest place a pointer may point to (RFC 1035 section 4.1.4), less the
/// longest move.
const POINTER_MAX: usize = 0x3FFF - 255;
/// Names remembered for compression in one body; what comes after them is
/// compressed less well, not wrongly.
const NAMES_MAX: usize = 48;
/// Octets of the largest RRset a zone may hold, so that an answer with it fits
/// into a message over TCP.
pub const RRSET_OCTETS_MAX: usize = 60_000;

/// Who owns a record, as the renderer writes it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner<'a> {
    /// The question name, whatever it is.
    Question,
    /// A name in wire format.
    Name(&'a [u8]),
}

/// A section a record goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer = 0,
    Authority = 1,
    Additional = 2,
}

/// Renders a body; sections in order.
#[derive(Debug)]
pub(crate) struct Renderer {
    body: Vec<u8>,
    base: usize,
    names: Vec<(u16, Box<[u8]>)>,
    pointers: Vec<u16>,
    reference: u8,
    counts: [u16; 3],
    required: Option<usize>,
    optional: Vec<(u16, u16)>,
    rotation: u16,
}

impl Renderer {
    /// For questions whose names end in `reference` (lower-cased wire format).
    pub(crate) fn new(reference: &[u8]) -> Self {
        let mut names = Vec::with_capacity(8);
        let mut at = HEADER_OCTETS;
        let mut rest = reference;
        while let Some(next) = key::parent(rest) {
            names.push((at as u16, rest.into()));
            at += rest.len() - next.len();
            rest = next;
        }
        Self {
            body: Vec::with_capacity(128),
            base: HEADER_OCTETS + reference.len() + 4,
            names,
            pointers: Vec::new(),
            reference: reference.len() as u8,
            counts: [0; 3],
            required: None,
            optional: Vec::new(),
            rotation: 0,
        }
    }

    /// Octets rendered so far.
    pub(crate) fn octets(&self) -> usize {
        self.body.len()
    }

    /// Adds an RRset. Returns false, and adds nothing, when the message would
    /// grow beyond what a body can hold.
    pub(crate) fn rrset(&mut self, section: Section, owner: Owner<'_>, rrset: &Rrset, ttl: u32) -> bool {
        let (octets, pointers, names) = (self.body.len(), self.pointers.len(), self.names.len());
        for data in &rrset.data {
            self.record(owner, rrset.rtype, ttl, data);
        }
        if self.body.len() > usize::from(u16::MAX) - 600 {
            self.body.truncate(octets);
            self.pointers.truncate(pointers);
            self.names.truncate(names);
            return false;
        }
        self.counts[section as usize] += rrset.data.len() as u16;
        if section == Section::Answer
            && self.counts == [rrset.data.len() as u16, 0, 0]
            && rrset.data.len() > 1
            && matches!(rrset.rtype, Rtype::A | Rtype::AAAA)
            && matches!(owner, Owner::Question)
        {
            self.rotation = (self.body.len() / rrset.data.len()) as u16;
        } else if section == Section::Answer {
            self.rotation = 0;
        }
        true
    }

    /// Adds an RRset to the additional section that may be left out.
    pub(crate) fn optional(&mut self, owner: Owner<'_>, rrset: &Rrset) {
        self.required.get_or_insert(self.body.len());
        let before = self.counts[2];
        if self.rrset(Section::Additional, owner, rrset, rrset.ttl) {
            self.counts[2] = before;
            self.optional.push((self.body.len() as u16, rrset.data.len() as u16));
        }
    }

    fn record(&mut self, owner: Owner<'_>, rtype: Rtype, ttl: u32, data: &[u8]) {
        match owner {
            Owner::Question => self.body.extend_from_slice(&[0xC0, HEADER_OCTETS as u8]),
            Owner::Name(name) => self.name(name, true),
        }
        self.body.extend_from_slice(&rtype.to_int().to_be_bytes());
        self.body.extend_from_slice(&[0, 1]);
        self.body.extend_from_slice(&ttl.to_be_bytes());
        let length_at = self.body.len();
        self.body.extend_from_slice(&[0, 0]);
        let names = Embedded::of(rtype);
        let mut done = 0;
        for range in names.ranges(data) {
            self.body.extend_from_slice(&data[done..range.start]);
            done = range.end;
            self.name(&data[range], names.compressed);
        }
        self.body.extend_from_slice(&data[done..]);
        let length = (self.body.len() - length_at - 2) as u16;
        self.body[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    fn name(&mut self, name: &[u8], compressed: bool) {
        let lower = name.to_ascii_lowercase();
        let mut rest = 0;
        while lower.get(rest).is_some_and(|&length| length > 0) {
            let suffix = &lower[rest..];
            let known = self.names.iter().find(|(_, known)| **known == *suffix).map(|&(at, _)| at);
            if let (true, Some(at)) = (compressed, known) {
                self.pointers.push(self.body.len() as u16);
                self.body.extend_from_slice(&(0xC000 | at).to_be_bytes());
                return;
            }
            let at = self.base + self.body.len();
            if known.is_none() && at <= POINTER_MAX && self.names.len() < NAMES_MAX {
                self.names.push((at as u16, suffix.into()));
            }
            let end = (rest + 1 + lower[rest] as usize).min(name.len());
            self.body.extend_from_slice(&name[rest..end]);
            rest = end;
        }
        self.body.push(0);
    }

    /// The finished body.
    pub(crate) fn finish(self, authoritative: bool) -> Rendered {
        let fields = Fields {
            required: self.required.unwrap_or(self.body.len()) as u16,
            reference: self.reference,
            counts: self.counts,
            rotation: self.rotation,
            authoritative,
        };
        Rendered::new(fields, &self.body, &self.pointers, &self.optional)
    }
}

#[cfg(test)]
mod tests {
    //! What is remembered for compression.
    use super::*;

    #[test]
    fn only_so_many_names_are_remembered_and_only_those_a_pointer_reaches() {
        let rrset = |name: &str| Rrset {
            rtype: Rtype::NS,
            ttl: 60,
            data: vec![[&[name.len() as u8], name.as_bytes(), b"\x04test\x00"].concat().into()],
        };
        let mut renderer = Renderer::new(b"\x04test\x00");
        for number in 0..2 * NAMES_MAX {
            assert!(renderer.rrset(Section::Answer, Owner::Question, &rrset(&format!("n{number}")), 60));
        }
        assert_eq!(renderer.names.len(), NAMES_MAX);

        let mut renderer = Renderer::new(b"\x04test\x00");
        let padding = Rrset { rtype: Rtype::TXT, ttl: 60, data: vec![vec![0; POINTER_MAX].into()] };
        assert!(renderer.rrset(Section::Answer, Owner::Question, &padding, 60));
        // Both times in full, up to the end that stands before the padding.
        for _ in 0..2 {
            let before = renderer.octets();
            assert!(renderer.rrset(Section::Answer, Owner::Question, &rrset("far"), 60));
            assert_eq!(renderer.octets() - before, 12 + 4 + 2);
        }
        assert_eq!(renderer.names.len(), 1);
    }
}
