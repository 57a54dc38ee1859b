//! Peers who are not reached from outside: a third one, connected to both, brings
//! them together, and both open a connection over uTP at once (BEP 55).

use super::{Entry, State, Swarm};
use crate::context::Counted;
use crate::progress::Source;
use crate::transport::Protocol;
use bittorrent::torrent::PeerKey;
use bittorrent::wire::extension::{Extension, ExtensionMessage, Holepunch, Relay, Target, relay};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Peers to be met that wait for a place among the connections on their way.
const MEETINGS_MAX: usize = 32;
/// How often one peer may ask for a meeting or call for one, in the long run.
const CALL_INTERVAL: Duration = Duration::from_secs(2);
/// Such calls that may come at once.
const CALLS_MAX: u32 = 20;

/// What one peer may still call for.
#[derive(Debug)]
pub(super) struct Calls {
    /// When all of it is there again.
    whole: Instant,
}

impl Calls {
    pub(super) fn new(now: Instant) -> Self {
        Self { whole: now }
    }

    /// Whether one more may come.
    fn take(&mut self, now: Instant) -> bool {
        let whole = self.whole.max(now) + CALL_INTERVAL;
        let may = whole <= now + CALL_INTERVAL * CALLS_MAX;
        if may {
            self.whole = whole;
        }
        may
    }
}

/// Peers that are to be met.
#[derive(Debug, Default)]
pub(super) struct Meetings(VecDeque<SocketAddr>);

impl Meetings {
    /// One more, if it does not wait already and there is room. Whether it waits
    /// now.
    fn add(&mut self, address: SocketAddr) -> bool {
        if self.0.len() < MEETINGS_MAX && !self.0.contains(&address) {
            self.0.push_back(address);
        }
        self.0.contains(&address)
    }
}

impl Swarm {
    /// Whether we take part in meetings.
    pub(super) fn can_meet(&self, state: &State) -> bool {
        self.context().protocols.has(Protocol::Utp) && !state.is_private()
    }

    /// A peer was not reached: whoever told of it is asked to bring us together.
    pub(crate) fn ask_to_meet(&self, address: SocketAddr) {
        let state = self.state.borrow();
        if !self.can_meet(&state) || !state.contacts.can_meet(&address) {
            return;
        }
        let knows = |entry: &&Entry| {
            entry.ids.get(Extension::Holepunch).is_some() && entry.pex_in.known().any(|one| *one == address)
        };
        if let Some(relay) = state.peers.values().find(knows) {
            tracing::debug!(%address, relay = %relay.link.address, "asking for a meeting");
            let message = ExtensionMessage::Holepunch(Holepunch::Rendezvous(address));
            relay.link.send_extension(&message, relay.ids);
        }
    }

    /// A peer asks for a meeting, or calls for one.
    pub(super) fn handle_holepunch(&self, now: Instant, state: &mut State, key: PeerKey, message: Holepunch) {
        if !self.can_meet(state) || !state.peers.get_mut(&key.0).is_some_and(|peer| peer.calls.take(now)) {
            return;
        }
        match message {
            Holepunch::Rendezvous(wanted) => self.introduce(state, key, wanted, &message),
            Holepunch::Connect(address) => {
                let kept_out = state.banned.contains(&address.ip())
                    || self.context().filters(address)
                    || !self.may_be_peer(Source::Pex, address);
                if !kept_out && !state.is_connected(address) && state.meetings.add(address) {
                    self.stir.notify_one();
                }
            }
            Holepunch::Error(address, failure) => tracing::debug!(%address, ?failure, "no meeting"),
        }
    }

    /// As the third one: tells both of each other.
    fn introduce(&self, state: &State, key: PeerKey, wanted: SocketAddr, message: &Holepunch) {
        let Some(asking) = state.peers.get(&key.0) else { return };
        let target = state.peers.values().find(|peer| peer.listens_at() == Some(wanted));
        let found = match target {
            _ if self.context().is_own(wanted) => Target::Ourselves,
            Some(peer) => Target::Connected { holepunch: peer.ids.get(Extension::Holepunch).is_some() },
            None => Target::NotConnected,
        };
        let speaks = asking.ids.get(Extension::Holepunch).is_some();
        let from = asking.listens_at().unwrap_or(asking.link.address);
        let tell = |peer: &Entry, message| {
            peer.link.send_extension(&ExtensionMessage::Holepunch(message), peer.ids);
        };
        match (relay(message, from, speaks, found), target) {
            (Relay::Introduce { to_initiator, to_target }, Some(target)) => {
                tracing::debug!(one = %from, other = %wanted, "bringing two together");
                tell(asking, to_initiator);
                tell(target, to_target);
            }
            (Relay::Refuse(refusal), _) => tell(asking, refusal),
            _ => {}
        }
    }

    /// Whom to meet now.
    pub(crate) fn next_meeting(&self) -> Option<(SocketAddr, Counted)> {
        let mut state = self.state.borrow_mut();
        while let Some(address) = state.meetings.0.front().copied() {
            let full = state.peers.len() + state.contacts.connecting() >= state.connections_max;
            let dialling = self.context().dialling().filter(|_| !full)?;
            state.meetings.0.pop_front();
            if !state.is_connected(address) && state.contacts.begin(Source::Pex, address) {
                return Some((address, dialling));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_to_be_met_and_each_once() {
        let at = |port: usize| SocketAddr::from(([127, 0, 0, 1], port as u16 + 1));
        let mut meetings = Meetings::default();
        for port in (0..MEETINGS_MAX).chain(0..MEETINGS_MAX) {
            assert!(meetings.add(at(port)));
        }
        assert!(!meetings.add(at(MEETINGS_MAX)));
        assert_eq!(meetings.0.len(), MEETINGS_MAX);
    }

    #[test]
    fn so_many_calls_come_at_once_and_then_one_by_one() {
        let now = Instant::now();
        let mut calls = Calls::new(now);
        assert_eq!((0..CALLS_MAX * 2).filter(|_| calls.take(now)).count(), CALLS_MAX as usize);
        assert!(calls.take(now + CALL_INTERVAL));
        assert!(!calls.take(now + CALL_INTERVAL));
        assert_eq!((0..CALLS_MAX * 2).filter(|_| calls.take(now + CALL_INTERVAL * 100)).count(), 20);
    }
}
