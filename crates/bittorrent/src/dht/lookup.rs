//! One iterative search: nodes ever nearer to a target are asked until the
//! nearest have replied (BEP 5, "Overview").

use super::contact::{Contact, Holder, is_local};
use super::id::Id;
use super::routing::K;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;

/// Queries on their way at once, slow ones not counted (Kademlia's α).
pub const ALPHA: usize = 3;

/// Nodes that are remembered, the nearest ones.
pub const CANDIDATES_MAX: usize = 120;

/// Queries of one search: who makes up ever nearer nodes does not keep us busy
/// for ever.
pub const QUERIES_MAX: usize = 250;

/// Nodes whose id is not known, to begin with.
pub const ENTRANCES_MAX: usize = 32;

/// Nodes of one network (24 bits of IPv4, 48 of IPv6) that are asked.
pub const NETWORK_NODES_MAX: usize = 4;

/// Nodes that one reply may name.
pub const NAMED_MAX: usize = K;

/// Addresses that are remembered as seen, so that none is asked twice.
const SEEN_MAX: usize = 4_096;

/// A search. It knows neither time nor messages: it says whom to ask, and is
/// told what came of it.
#[derive(Debug, Clone)]
pub struct Lookup {
    target: Id,
    /// Others name us, too.
    own: Id,
    /// In order of distance.
    candidates: Vec<Candidate>,
    /// Nodes whose id is not known.
    entrances: VecDeque<SocketAddr>,
    seen: HashSet<SocketAddr>,
    holders: HashSet<Holder>,
    networks: HashMap<Holder, usize>,
    /// Queries on their way that are not slow.
    brisk: usize,
    /// Queries on their way, slow or not.
    open: usize,
    queries: usize,
}

#[derive(Debug, Clone)]
struct Candidate {
    contact: Contact,
    state: State,
    token: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Asked,
    Replied,
    /// Replied, but is not to be counted: its id does not fit its address.
    Unfit,
    Failed,
}

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Where.
    pub address: SocketAddr,
    /// Who should be there, where that is known.
    pub id: Option<Id>,
}

impl Lookup {
    /// A search by the node `own` that knows nobody yet.
    pub fn new(target: Id, own: Id) -> Self {
        Self {
            target,
            own,
            candidates: Vec::new(),
            entrances: VecDeque::new(),
            seen: HashSet::new(),
            holders: HashSet::new(),
            networks: HashMap::new(),
            brisk: 0,
            open: 0,
            queries: 0,
        }
    }

    /// What is looked for.
    pub fn target(&self) -> Id {
        self.target
    }

    /// Queries so far.
    pub fn queries(&self) -> usize {
        self.queries
    }

    /// An address to begin at.
    pub fn add_entrance(&mut self, address: SocketAddr) {
        if self.entrances.len() < ENTRANCES_MAX && self.remember(address) {
            self.entrances.push_back(address);
        }
    }

    /// A node that somebody named, or that we know.
    pub fn add(&mut self, contact: Contact) {
        let at = self.position(&contact.id);
        let far = at >= CANDIDATES_MAX;
        let known = self.candidates.get(at).is_some_and(|candidate| candidate.contact.id == contact.id);
        if far
            || known
            || contact.id == self.own
            || !self.has_share(&contact)
            || !self.remember(contact.address)
        {
            return;
        }
        self.insert(at, contact, State::New, None);
    }

    /// The nodes that one reply names: the first [`NAMED_MAX`].
    pub fn add_named(&mut self, contacts: &[Contact]) {
        for contact in contacts.iter().take(NAMED_MAX) {
            self.add(*contact);
        }
    }

    fn insert(&mut self, at: usize, contact: Contact, state: State, token: Option<Vec<u8>>) {
        self.candidates.insert(at, Candidate { contact, state, token });
        if self.candidates.len() > CANDIDATES_MAX {
            // The farthest that nobody waits for.
            if let Some(last) = self.candidates.iter().rposition(|candidate| candidate.state != State::Asked)
            {
                self.candidates.remove(last);
            }
        }
    }

    fn position(&self, id: &Id) -> usize {
        let distance = self.target.distance(id);
        self.candidates.partition_point(|candidate| self.target.distance(&candidate.contact.id) < distance)
    }

    fn remember(&mut self, address: SocketAddr) -> bool {
        self.seen.len() < SEEN_MAX && self.seen.insert(address)
    }

    /// Counts a node against the share of its address and network.
    fn has_share(&mut self, contact: &Contact) -> bool {
        let ip = contact.address.ip();
        if is_local(&ip) || self.seen.contains(&contact.address) {
            return true;
        }
        let in_network = self.networks.entry(Holder::network(&ip)).or_default();
        if *in_network >= NETWORK_NODES_MAX
            || self.holders.len() >= SEEN_MAX
            || !self.holders.insert(Holder::of(&ip))
        {
            return false;
        }
        *in_network += 1;
        true
    }

    /// Whom to ask next; `None` while enough are being asked, or when there is
    /// nobody left to ask.
    pub fn next_ask(&mut self) -> Option<Ask> {
        if self.brisk >= ALPHA || self.queries >= QUERIES_MAX {
            return None;
        }
        let mut replied = 0;
        let mut next = None;
        for (at, candidate) in self.candidates.iter().enumerate() {
            match candidate.state {
                State::Replied => replied += 1,
                State::New => {
                    next = Some(at);
                    break;
                }
                State::Asked | State::Unfit | State::Failed => {}
            }
            if replied >= K {
                break;
            }
        }
        if let Some(candidate) = next.and_then(|at| self.candidates.get_mut(at)) {
            candidate.state = State::Asked;
            let Contact { id, address } = candidate.contact;
            return Some(self.asked(address, Some(id)));
        }
        // Only if all we know is exhausted.
        if self.open > 0 && replied > 0 || replied >= K {
            return None;
        }
        let address = self.entrances.pop_front()?;
        Some(self.asked(address, None))
    }

    fn asked(&mut self, address: SocketAddr, id: Option<Id>) -> Ask {
        self.brisk += 1;
        self.open += 1;
        self.queries += 1;
        Ask { address, id }
    }

    /// The node asked has replied, as `contact`. `slow` tells whether it was
    /// reported slow before; `counts` whether its id fits its address.
    pub fn replied(&mut self, ask: Ask, contact: Contact, token: Option<Vec<u8>>, counts: bool, slow: bool) {
        self.ended(slow);
        let state = if counts { State::Replied } else { State::Unfit };
        match ask.id {
            // Whom we asked is not whom we were told of.
            Some(id) if id != contact.id => self.set(&id, State::Failed, None),
            Some(id) => self.set(&id, state, token),
            None => {
                let at = self.position(&contact.id);
                if self.candidates.get(at).is_some_and(|candidate| candidate.contact.id == contact.id) {
                    return;
                }
                self.insert(at, contact, state, token);
            }
        }
    }

    /// The node asked is slow: another may be asked meanwhile.
    pub fn slow(&mut self) {
        self.brisk = self.brisk.saturating_sub(1);
    }

    /// The node asked did not reply, or replied with an error.
    pub fn failed(&mut self, ask: Ask, slow: bool) {
        self.ended(slow);
        if let Some(id) = ask.id {
            self.set(&id, State::Failed, None);
        }
    }

    fn ended(&mut self, slow: bool) {
        self.open = self.open.saturating_sub(1);
        if !slow {
            self.brisk = self.brisk.saturating_sub(1);
        }
    }

    fn set(&mut self, id: &Id, state: State, token: Option<Vec<u8>>) {
        let at = self.position(id);
        if let Some(candidate) = self.candidates.get_mut(at).filter(|candidate| candidate.contact.id == *id) {
            (candidate.state, candidate.token) = (state, token);
        }
    }

    /// Whether it is over: to be asked after [`Lookup::next_ask`] gave `None`.
    /// Slow nodes nearer than the nearest who replied are waited for.
    pub fn is_finished(&self) -> bool {
        if self.open == 0 {
            return true;
        }
        let mut replied = 0;
        for candidate in &self.candidates {
            match candidate.state {
                State::Replied => replied += 1,
                State::Asked => return false,
                State::New | State::Unfit | State::Failed => {}
            }
            if replied >= K {
                return true;
            }
        }
        false
    }

    /// The nearest nodes that replied, and the token each gave; at most
    /// `count`.
    pub fn nearest(&self, count: usize) -> impl Iterator<Item = (Contact, Option<&[u8]>)> {
        let replied = self.candidates.iter().filter(|candidate| candidate.state == State::Replied);
        replied.take(count).map(|candidate| (candidate.contact, candidate.token.as_deref()))
    }

    /// The nearest nodes that replied and gave a token: where to store
    /// (BEP 33: who gave none cannot take more).
    pub fn stores(&self, count: usize) -> impl Iterator<Item = (Contact, &[u8])> {
        self.nearest(usize::MAX).filter_map(|(contact, token)| Some((contact, token?))).take(count)
    }

    /// Nodes that replied.
    pub fn replies(&self) -> usize {
        let replied = |candidate: &&Candidate| matches!(candidate.state, State::Replied | State::Unfit);
        self.candidates.iter().filter(replied).count()
    }
}

#[cfg(test)]
#[path = "lookup/tests.rs"]
mod tests;
