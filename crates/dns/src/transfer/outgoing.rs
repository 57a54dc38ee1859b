//! A zone as the messages of a transfer (RFC 5936 section 2.2).

use crate::zone::{HEADER_OCTETS, Node, Owner, Renderer, Rrset, Section, Zone};
use domain::base::iana::Rtype;
use std::sync::Arc;

/// Octets a message of a transfer is filled to: within reach of compression
/// pointers.
pub const MESSAGE_OCTETS: usize = 14_000;

/// The messages of one transfer, made one by one.
#[derive(Debug)]
pub struct Outgoing {
    zone: Arc<Zone>,
    nodes: Vec<Node>,
    node: usize,
    rrset: usize,
    record: usize,
    head: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    First,
    Records,
    Done,
}

impl Outgoing {
    /// The transfer of `zone` that the request, whose question ends at
    /// `question_end`, asks for.
    pub fn new(zone: Arc<Zone>, request: &[u8], question_end: usize) -> Self {
        let mut head = request.get(..question_end).unwrap_or_default().to_vec();
        if let Some(header) = head.first_chunk_mut::<HEADER_OCTETS>() {
            header[2] = 0x84 | header[2] & 0x01;
            header[3] = 0;
            header[4..].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        }
        let nodes = zone.shared_nodes();
        Self { zone, nodes, node: 0, rrset: 0, record: 0, head, state: State::First }
    }

    /// The one message that tells the current version (RFC 1995 section 2: the
    /// requester is up to date, or shall ask over TCP).
    pub fn soa_only(mut self) -> Vec<u8> {
        let mut renderer = Renderer::new(self.zone.key());
        self.push_soa(&mut renderer);
        self.state = State::Done;
        self.message(renderer)
    }

    /// The next message; `None` after the last one.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        if self.state == State::Done {
            return None;
        }
        let mut renderer = Renderer::new(self.zone.key());
        if self.state == State::First {
            self.push_soa(&mut renderer);
            self.state = State::Records;
        }
        while renderer.octets() < MESSAGE_OCTETS {
            if !self.push_record(&mut renderer) {
                self.push_soa(&mut renderer);
                self.state = State::Done;
                break;
            }
        }
        Some(self.message(renderer))
    }

    fn push_soa(&self, renderer: &mut Renderer) {
        if let Some(soa) = self.zone.node(self.zone.key()).and_then(|apex| apex.rrset(Rtype::SOA)) {
            renderer.rrset(Section::Answer, Owner::Name(self.zone.apex().as_slice()), soa, soa.ttl);
        }
    }

    /// Adds the next record; false when there is none.
    fn push_record(&mut self, renderer: &mut Renderer) -> bool {
        while let Some(node) = self.nodes.get(self.node) {
            match node.rrsets().get(self.rrset) {
                None => {
                    self.node += 1;
                    self.rrset = 0;
                }
                Some(rrset) if rrset.rtype == Rtype::SOA => self.rrset += 1,
                Some(rrset) => match rrset.data.get(self.record) {
                    None => {
                        self.rrset += 1;
                        self.record = 0;
                    }
                    Some(data) => {
                        let single = Rrset { rtype: rrset.rtype, ttl: rrset.ttl, data: vec![data.clone()] };
                        renderer.rrset(
                            Section::Answer,
                            Owner::Name(node.owner().as_slice()),
                            &single,
                            rrset.ttl,
                        );
                        self.record += 1;
                        return true;
                    }
                },
            }
        }
        false
    }

    fn message(&self, renderer: Renderer) -> Vec<u8> {
        let body = renderer.finish(true);
        let mut message = self.head.clone();
        message.extend_from_slice(body.body().octets);
        if let Some(count) = message.get_mut(6..8) {
            count.copy_from_slice(&body.body().fields.counts[0].to_be_bytes());
        }
        message
    }
}
