//! Addresses where peers may be, and when each is tried next.

use crate::own_addresses::OwnAddresses;
use crate::progress::Source;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Addresses that are remembered; further ones push out those that failed most.
pub(crate) const CONTACTS_MAX: usize = 2_000;
/// Connections on their way at once.
pub(crate) const CONNECTING_MAX: usize = 30;
/// Times in a row that an address may fail before it is forgotten.
const FAILURES_MAX: u32 = 5;
/// How long an address rests after its first failure; each further one doubles it.
const REST: Duration = Duration::from_secs(15);

/// How long a seed leaves it to a peer to come, which hears of it where it heard of the
/// peer. One that cannot reach us is gone to then.
const SEED_PATIENCE: Duration = Duration::from_mins(1);

/// Whether a peer may be at an address. Strangers must not make us connect to what
/// runs on this machine, unless all peers are on it.
pub(crate) fn may_be_peer(source: Source, address: SocketAddr, is_inside: bool) -> bool {
    let ip = address.ip().to_canonical();
    let told_by_strangers = matches!(source, Source::Pex | Source::Dht);
    address.port() != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && (is_inside || !told_by_strangers || !ip.is_loopback())
}

#[derive(Debug)]
struct Contact {
    source: Source,
    /// Since when it is known.
    since: Instant,
    failures: u32,
    /// Not before this time; `None` is at once.
    next: Option<Instant>,
    /// On its way or open.
    busy: bool,
    opened: bool,
    /// It is told to be reached by a meeting (BEP 55).
    meets: bool,
    /// What a connection with it is worth (BEP 40).
    priority: u32,
}

impl Contact {
    fn new(source: Source, priority: u32) -> Self {
        let since = Instant::now();
        Self { source, since, failures: 0, next: None, busy: false, opened: false, meets: false, priority }
    }
}

/// The addresses of one torrent.
#[derive(Debug)]
pub(crate) struct Contacts {
    all: BTreeMap<SocketAddr, Contact>,
    connecting: usize,
    own: OwnAddresses,
}

impl Contacts {
    /// None yet, for who is seen at `own`.
    pub(crate) fn new(own: OwnAddresses) -> Self {
        Self { all: BTreeMap::new(), connecting: 0, own }
    }

    /// Others see us elsewhere, perhaps.
    pub(crate) fn set_own(&mut self, own: OwnAddresses) {
        if self.own != own {
            self.own = own;
            for (address, contact) in &mut self.all {
                contact.priority = own.priority(*address);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Connections on their way.
    pub(crate) fn connecting(&self) -> usize {
        self.connecting
    }

    /// Who told of an address.
    pub(crate) fn source(&self, address: &SocketAddr) -> Option<Source> {
        self.all.get(address).map(|contact| contact.source)
    }

    /// Whether a third peer may bring us together.
    pub(crate) fn can_meet(&self, address: &SocketAddr) -> bool {
        self.all.get(address).is_some_and(|contact| contact.meets)
    }

    /// A third peer may bring us together.
    pub(crate) fn set_can_meet(&mut self, address: &SocketAddr) {
        if let Some(contact) = self.all.get_mut(address) {
            contact.meets = true;
        }
    }

    /// A connection to this address begins now, whenever it was due. Whether it
    /// may: it does not already, and others leave room.
    pub(crate) fn begin(&mut self, source: Source, address: SocketAddr) -> bool {
        self.add(source, address);
        let connecting = self.connecting;
        let idle = self.all.get_mut(&address).filter(|contact| !contact.busy && connecting < CONNECTING_MAX);
        let Some(contact) = idle else { return false };
        (contact.busy, contact.opened) = (true, false);
        self.connecting += 1;
        true
    }

    /// Forgets those of other sources that are not connected.
    pub(crate) fn retain(&mut self, keep: impl Fn(Source) -> bool) {
        self.all.retain(|_, contact| contact.busy || keep(contact.source));
    }

    /// Remembers an address.
    pub(crate) fn add(&mut self, source: Source, address: SocketAddr) {
        if let Some(contact) = self.all.get_mut(&address) {
            contact.source = contact.source.max(source);
            return;
        }
        if self.all.len() >= CONTACTS_MAX {
            let idle = self.all.iter().filter(|(_, contact)| !contact.busy);
            let worst = idle.min_by_key(|(_, contact)| (contact.source, Reverse(contact.failures)));
            match worst.map(|(address, contact)| (*address, contact.source)) {
                Some((worst, its_source)) if its_source <= source => drop(self.all.remove(&worst)),
                _ => return,
            }
        }
        self.all.insert(address, Contact::new(source, self.own.priority(address)));
    }

    /// Those that failed are tried again at once.
    pub(crate) fn rest_is_over(&mut self) {
        for contact in self.all.values_mut() {
            (contact.failures, contact.next) = (0, None);
        }
    }

    /// Whom to try now: those that failed least, of these the best source, of these the
    /// highest priority. Whoever `seeds` goes at once to whom the user names and to
    /// neighbours, who would hear of it only minutes later.
    pub(crate) fn next(&mut self, now: Instant, seeds: bool) -> Option<SocketAddr> {
        if self.connecting >= CONNECTING_MAX {
            return None;
        }
        let ready = self.all.iter_mut().filter(|(_, contact)| {
            !contact.busy
                && contact.next.is_none_or(|next| next <= now)
                && (!seeds
                    || matches!(contact.source, Source::Lsd | Source::User)
                    || now >= contact.since + SEED_PATIENCE)
        });
        let (address, contact) = ready.min_by_key(|(_, contact)| {
            (contact.failures, Reverse(contact.source), Reverse(contact.priority))
        })?;
        contact.busy = true;
        contact.opened = false;
        self.connecting += 1;
        Some(*address)
    }

    /// A connection on its way is open.
    pub(crate) fn connected(&mut self, address: SocketAddr) {
        if let Some(contact) = self.all.get_mut(&address).filter(|contact| contact.busy && !contact.opened) {
            contact.opened = true;
            contact.failures = 0;
            self.connecting = self.connecting.saturating_sub(1);
        }
    }

    /// A connection is over, or came to nothing.
    pub(crate) fn closed(&mut self, now: Instant, address: SocketAddr, misbehaved: bool) {
        let Some(contact) = self.all.get_mut(&address).filter(|contact| contact.busy) else { return };
        if !contact.opened {
            self.connecting = self.connecting.saturating_sub(1);
        }
        contact.busy = false;
        contact.failures += if misbehaved { FAILURES_MAX } else { 1 };
        contact.next = Some(now + REST * (1 << contact.failures.min(8).saturating_sub(1)));
        if contact.failures >= FAILURES_MAX && contact.source < Source::Tracker {
            self.all.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> SocketAddr {
        SocketAddr::new(std::net::Ipv4Addr::from_bits(0x7f00_0000 + number).into(), 6881)
    }

    fn own() -> OwnAddresses {
        OwnAddresses::new(&[address(1 << 16)])
    }

    #[test]
    fn those_of_high_priority_come_first() {
        let mut contacts = Contacts::new(own());
        for number in 1..10 {
            contacts.add(Source::Tracker, address(number));
        }
        let now = Instant::now();
        let order: Vec<u32> =
            (1..10).map(|_| own().priority(contacts.next(now, false).expect("a contact"))).collect();
        assert!(order.is_sorted_by(|one, other| one >= other), "{order:?}");
        let mut seen = own();
        seen.set(std::net::IpAddr::from([10, 2, 3, 4]));
        contacts.set_own(seen);
        assert!(contacts.all.iter().all(|(address, contact)| contact.priority == seen.priority(*address)));
    }

    #[test]
    fn strangers_do_not_lead_us_to_this_machine() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        for here in ["127.0.0.1:25", "[::1]:25", "[::ffff:127.0.0.1]:25"] {
            assert!(!may_be_peer(Source::Dht, at(here), false) && !may_be_peer(Source::Pex, at(here), false));
            assert!(
                may_be_peer(Source::Dht, at(here), true) && may_be_peer(Source::Tracker, at(here), false)
            );
        }
        for nowhere in ["0.0.0.0:1", "[::]:1", "224.0.0.1:1", "192.0.2.1:0"] {
            assert!(!may_be_peer(Source::User, at(nowhere), true));
        }
        assert!(may_be_peer(Source::Pex, at("192.0.2.1:1"), false));
    }

    #[test]
    fn so_many_are_remembered_and_so_many_tried_at_once() {
        let mut contacts = Contacts::new(own());
        for number in 1..=CONTACTS_MAX as u32 + 100 {
            contacts.add(Source::Pex, address(number));
        }
        assert_eq!(contacts.len(), CONTACTS_MAX);
        contacts.add(Source::User, address(1 << 20));
        assert_eq!(contacts.len(), CONTACTS_MAX);
        let now = Instant::now();
        assert_eq!(contacts.next(now, false), Some(address(1 << 20)), "the user's word counts most");
        for _ in 1..CONNECTING_MAX {
            assert!(contacts.next(now, false).is_some());
        }
        assert_eq!(contacts.next(now, false), None);
    }

    #[test]
    fn who_fails_rests_ever_longer_and_is_forgotten() {
        let mut contacts = Contacts::new(own());
        contacts.add(Source::Pex, address(1));
        let mut now = Instant::now();
        for failure in 0..FAILURES_MAX {
            assert_eq!(contacts.next(now, false), Some(address(1)), "{failure}");
            contacts.closed(now, address(1), false);
            assert_eq!(contacts.next(now, false), None);
            now += REST * (1 << failure);
        }
        assert_eq!(contacts.len(), 0);
        contacts.add(Source::Pex, address(2));
        assert_eq!(contacts.next(now, false), Some(address(2)));
        contacts.connected(address(2));
        assert_eq!(contacts.connecting(), 0);
        contacts.add(Source::Lsd, address(3));
        contacts.add(Source::Dht, address(4));
        assert_eq!(contacts.next(now, true), Some(address(3)));
        assert_eq!(contacts.next(Instant::now(), true), None, "it is left to it to come");
        assert_eq!(contacts.next(Instant::now() + SEED_PATIENCE, true), Some(address(4)));
        assert!(!contacts.begin(Source::Pex, address(3)), "it is on its way already");
        contacts.closed(now, address(3), false);
        assert_eq!(contacts.next(now, false), None, "it rests");
        assert!(contacts.begin(Source::Pex, address(3)) && contacts.connecting() == 2);
        contacts.closed(now, address(3), true);
        contacts.closed(now, address(2), true);
        contacts.closed(now, address(4), true);
        assert_eq!(contacts.len(), 0, "who misbehaves is forgotten at once");
    }
}
