//! What can be seen of a swarm: fed by the events that its nodes tell, and by a
//! look at their progress a few times a second.

use super::node::{Node, Role};
use super::timeline::{Sample, Timeline};
use bittorrent::torrent::PieceSet;
use bittorrent_node::Progress;
use event::{BittorrentEvent, Detail, Event, Observer, Told};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One host as it is seen.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Whether it is switched on.
    pub(crate) present: bool,
    pub(crate) has: PieceSet,
    /// When it joined first, had a piece, had all; seconds since the beginning.
    pub(crate) joined: Option<f64>,
    pub(crate) first_piece: Option<f64>,
    pub(crate) completed: Option<f64>,
    /// Octets of blocks, all its stays together.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Octets that came although they were here.
    pub(crate) wasted: u64,
    /// While it and another wanted pieces: for how many seconds the others could
    /// have unchoked it, and did.
    could: f64,
    did: f64,
}

impl Host {
    /// For what share of the time it was unchoked by those who want pieces too;
    /// `None` where there was no time.
    pub(crate) fn unchoked_share(&self) -> Option<f64> {
        (self.could > 0.0).then(|| self.did / self.could)
    }

    /// Whether others can have its pieces.
    pub(crate) fn gives(&self) -> bool {
        self.present && self.role != Role::FreeRider
    }

    fn wants(&self) -> bool {
        self.present && !self.has.is_full()
    }
}

/// What one host does for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Door {
    #[default]
    Choked,
    Unchoked,
    /// Unchoked without regard to what it sends.
    Optimistic,
}

/// All that is seen, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) hosts: Vec<Host>,
    pub(crate) pieces: u32,
    pub(crate) seconds: f64,
    /// By the giver's index, then the taker's.
    pub(crate) doors: Vec<Vec<Door>>,
    pub(crate) given: Vec<Vec<u64>>,
    pub(crate) timeline: Timeline,
    addresses: HashMap<IpAddr, usize>,
    /// What the connections had brought at the last look, by taker and giver.
    counted: HashMap<(usize, SocketAddr), u64>,
    /// What each node's present stay had transferred at the last look.
    stay: Vec<Transferred>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Transferred {
    received: u64,
    wasted: u64,
}

/// The swarm as its observers see it.
pub(crate) struct View {
    began: Instant,
    seen: Mutex<Seen>,
}

impl View {
    /// A view of nodes that are switched off, for a file of so many pieces.
    pub(crate) fn new(nodes: &[Node], pieces: u32) -> Arc<Self> {
        let hosts = nodes.iter().map(|node| (node.plan.name.clone(), node.plan.role, node.plan.address));
        Arc::new(Self { began: Instant::now(), seen: Mutex::new(Seen::new(hosts, pieces)) })
    }

    /// What is seen now.
    pub(crate) fn seen(&self) -> Seen {
        let mut seen = self.lock().clone();
        seen.seconds = self.seconds();
        seen
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node is on, with what it found on its disk.
    pub(crate) fn joined(&self, at: usize) {
        let seconds = self.seconds();
        let mut seen = self.lock();
        if let Some(host) = seen.hosts.get_mut(at) {
            host.present = true;
            host.joined.get_or_insert(seconds);
        }
    }

    /// A node is off.
    pub(crate) fn left(&self, at: usize) {
        let mut seen = self.lock();
        if let Some(host) = seen.hosts.get_mut(at) {
            host.present = false;
        }
        for (giver, row) in seen.doors.iter_mut().enumerate() {
            for (taker, door) in row.iter_mut().enumerate() {
                if giver == at || taker == at {
                    *door = Door::Choked;
                }
            }
        }
        seen.counted.retain(|(taker, _), _| *taker != at);
        if let Some(stay) = seen.stay.get_mut(at) {
            *stay = Transferred::default();
        }
    }

    /// Looks at the nodes' progress, and notes how all stands.
    pub(crate) fn look(&self, nodes: &[Node]) {
        let now = self.seconds();
        let mut seen = self.lock();
        for (at, node) in nodes.iter().enumerate() {
            if let Some(progress) = node.progress() {
                seen.count(at, &progress);
            }
        }
        let passed = now - std::mem::replace(&mut seen.seconds, now);
        seen.count_doors(passed);
        let sample = Sample {
            seconds: now,
            have: seen.hosts.iter().map(|host| host.has.count()).collect(),
            present: seen.hosts.iter().map(|host| host.present).collect(),
            copies: seen.copies(|host| host.present),
        };
        seen.timeline.add(sample);
    }
}

fn host(name: String, role: Role, pieces: u32) -> Host {
    let seed = role == Role::Seed;
    Host {
        name,
        role,
        present: false,
        has: if seed { PieceSet::full(pieces) } else { PieceSet::empty(pieces) },
        joined: None,
        first_piece: None,
        completed: None,
        received: 0,
        sent: 0,
        wasted: 0,
        could: 0.0,
        did: 0.0,
    }
}

impl Seen {
    fn new(them: impl Iterator<Item = (String, Role, IpAddr)>, pieces: u32) -> Self {
        let (mut hosts, mut addresses) = (Vec::new(), HashMap::new());
        for (name, role, address) in them {
            addresses.insert(address, hosts.len());
            hosts.push(host(name, role, pieces));
        }
        let count = hosts.len();
        Self {
            hosts,
            pieces,
            seconds: 0.0,
            doors: vec![vec![Door::Choked; count]; count],
            given: vec![vec![0; count]; count],
            timeline: Timeline::default(),
            addresses,
            counted: HashMap::new(),
            stay: vec![Transferred::default(); count],
        }
    }

    /// Whether anybody unchokes this host.
    pub(crate) fn is_unchoked(&self, at: usize) -> bool {
        self.doors.iter().any(|row| row.get(at).is_some_and(|door| *door != Door::Choked))
    }

    /// How many of these hosts have each piece.
    pub(crate) fn copies(&self, of: impl Fn(&Host) -> bool) -> Vec<u16> {
        let mut copies = vec![0; self.pieces as usize];
        for host in self.hosts.iter().filter(|host| of(host)) {
            for piece in host.has.iter() {
                if let Some(count) = copies.get_mut(piece as usize) {
                    *count += 1;
                }
            }
        }
        copies
    }

    /// Copies of the whole file among those of these hosts that give: its rarest
    /// piece decides, and the share of pieces of which there are more.
    pub(crate) fn distributed_copies(&self, of: impl Fn(&Host) -> bool) -> f64 {
        let copies = self.copies(|host| host.gives() && of(host));
        let whole = copies.iter().min().copied().unwrap_or_default();
        let more = copies.iter().filter(|count| **count > whole).count();
        f64::from(whole) + more as f64 / copies.len().max(1) as f64
    }

    fn count(&mut self, at: usize, progress: &Progress) {
        let Some(host) = self.hosts.get_mut(at) else { return };
        if let Some(stay) = self.stay.get_mut(at) {
            host.received += progress.received_octets.saturating_sub(stay.received);
            host.wasted += progress.wasted_octets.saturating_sub(stay.wasted);
            // Its own count goes on over restarts.
            host.sent = progress.sent_octets;
            *stay = Transferred { received: progress.received_octets, wasted: progress.wasted_octets };
        }
        for line in &progress.peers {
            let Some(other) = self.addresses.get(&line.address.ip()).copied() else { continue };
            let before = self.counted.insert((at, line.address), line.received_octets).unwrap_or(0);
            if let Some(given) = self.given.get_mut(other).and_then(|row| row.get_mut(at)) {
                *given += line.received_octets.saturating_sub(before);
            }
            // Events tell of doors that open and close; one that stays open may come
            // to be so for another reason.
            if !line.am_choking
                && let Some(door) = self.doors.get_mut(at).and_then(|row| row.get_mut(other))
                && *door != Door::Choked
            {
                *door = if line.optimistic { Door::Optimistic } else { Door::Unchoked };
            }
        }
    }

    fn count_doors(&mut self, passed: f64) {
        let wants: Vec<bool> = self.hosts.iter().map(Host::wants).collect();
        for (giver, row) in self.doors.iter().enumerate() {
            let gives = self.hosts.get(giver).is_some_and(Host::gives);
            if !gives || wants.get(giver) != Some(&true) {
                continue;
            }
            for (taker, door) in row.iter().enumerate() {
                if taker != giver
                    && wants.get(taker) == Some(&true)
                    && let Some(host) = self.hosts.get_mut(taker)
                {
                    host.could += passed;
                    host.did += if *door == Door::Choked { 0.0 } else { passed };
                }
            }
        }
    }

    fn note(&mut self, seconds: f64, at: usize, event: &BittorrentEvent) {
        match event {
            BittorrentEvent::PieceVerified { piece, .. } => {
                if let Some(host) = self.hosts.get_mut(at) {
                    host.has.insert(*piece);
                    host.first_piece.get_or_insert(seconds);
                }
            }
            BittorrentEvent::Completed { .. } => {
                if let Some(host) = self.hosts.get_mut(at) {
                    host.completed.get_or_insert(seconds);
                }
            }
            BittorrentEvent::Unchoked { peer, optimistic, .. } => {
                self.set_door(at, *peer, if *optimistic { Door::Optimistic } else { Door::Unchoked });
            }
            BittorrentEvent::Choked { peer, .. } | BittorrentEvent::PeerLeft { peer, .. } => {
                self.set_door(at, *peer, Door::Choked);
            }
            _ => {}
        }
    }

    fn set_door(&mut self, giver: usize, taker: SocketAddr, door: Door) {
        let Some(taker) = self.addresses.get(&taker.ip()).copied() else { return };
        if let Some(place) = self.doors.get_mut(giver).and_then(|row| row.get_mut(taker)) {
            *place = door;
        }
    }
}

impl Observer for View {
    fn detail(&self) -> Detail {
        Detail::Message
    }

    fn observe(&self, told: &Told) {
        let Event::Bittorrent(event) = &told.event else { return };
        let seconds = self.seconds();
        let mut seen = self.lock();
        let at = seen.hosts.iter().position(|host| *host.name == *told.host);
        if let Some(at) = at {
            seen.note(seconds, at, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::matrix::matrix;
    use super::super::picture::{Caption, moment};
    use super::*;

    /// A seed, a peer and a free rider, four pieces, all switched on.
    fn seen() -> Seen {
        let roles = [("seed", Role::Seed), ("peer1", Role::Peer), ("rider", Role::FreeRider)];
        let hosts = roles
            .iter()
            .enumerate()
            .map(|(at, (name, role))| ((*name).to_owned(), *role, IpAddr::from([127, 0, 0, at as u8 + 1])));
        let mut seen = Seen::new(hosts, 4);
        for host in &mut seen.hosts {
            host.present = true;
        }
        let (peer, rider) = (SocketAddr::from(([127, 0, 0, 2], 1)), SocketAddr::from(([127, 0, 0, 3], 1)));
        let unchoked = |peer, optimistic| BittorrentEvent::Unchoked { torrent: "t".into(), peer, optimistic };
        let verified = |piece| BittorrentEvent::PieceVerified { torrent: "t".into(), piece, octets: 1 };
        seen.note(1.0, 0, &unchoked(peer, false));
        seen.note(1.0, 0, &unchoked(rider, false));
        seen.note(1.0, 1, &unchoked(rider, true));
        seen.note(2.0, 0, &BittorrentEvent::Choked { torrent: "t".into(), peer: rider });
        seen.note(3.0, 1, &verified(0));
        seen.note(4.0, 2, &verified(0));
        seen.note(4.5, 2, &verified(3));
        seen
    }

    #[test]
    fn events_tell_who_has_what_and_who_unchokes_whom() {
        let mut seen = seen();
        assert_eq!(seen.doors[0], [Door::Choked, Door::Unchoked, Door::Choked]);
        assert_eq!(seen.doors[1], [Door::Choked, Door::Choked, Door::Optimistic]);
        assert!(seen.is_unchoked(2) && !seen.is_unchoked(0));
        assert_eq!(seen.hosts[2].first_piece, Some(4.0));
        assert_eq!(seen.copies(|host| host.present), [3, 1, 1, 2]);
        // What the free rider has is nobody's: the seed's copy, and one piece more.
        assert!((seen.distributed_copies(|_| true) - 1.25).abs() < 1e-9);
        assert!((seen.distributed_copies(|host| host.role != Role::Seed) - 0.25).abs() < 1e-9);
        // The seed wants nothing: what it does counts for nobody's share.
        seen.count_doors(2.0);
        assert_eq!((seen.hosts[1].unchoked_share(), seen.hosts[2].unchoked_share()), (None, Some(1.0)));
    }

    #[test]
    fn a_terminal_and_the_page_show_it() {
        let seen = seen();
        let text = matrix(&seen);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with("  S  1  R"), "{text}");
        assert!(lines[2].ends_with("  \\  #  ·") && lines[2].contains("100 %"), "{text}");
        assert!(lines[3].ends_with("  ·  \\  o") && lines[3].contains(" 25 %"), "{text}");
        assert!(
            lines[5].contains(&format!("{}{}{}", "3".repeat(8), "1".repeat(16), "2".repeat(8))),
            "{text}"
        );
        let picture = moment(&seen, &Caption { title: "a <film>".to_owned(), ..Caption::default() });
        for shown in ["a &lt;film&gt;", "rider (gives nothing)", "25 %", "50 %", "1.25 copies"] {
            assert!(picture.contains(shown), "{shown}: {picture}");
        }
    }
}
