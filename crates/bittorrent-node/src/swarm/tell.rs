//! What happens in a swarm, told to the stream of events.

use super::{Ended, Entry, State, Swarm};
use bittorrent::torrent::{Event, PeerKey, Send};
use event::{BittorrentEvent, Detail};
use std::sync::Arc;
use std::time::Instant;

impl Swarm {
    /// The torrent as it is named in events: its first info-hash.
    pub(super) fn event_name(&self) -> Arc<str> {
        self.hashes.wire().next().map(|hash| hash.to_string()).unwrap_or_default().into()
    }

    fn tell(&self, detail: Detail, event: impl FnOnce(Arc<str>) -> BittorrentEvent) {
        self.context().network.reporter().tell_with(detail, || event(self.event_name()));
    }

    pub(super) fn tell_joined(&self, entry: &Entry) {
        let (peer, incoming) = (entry.link.address, entry.incoming);
        self.tell(Detail::Message, |torrent| BittorrentEvent::PeerJoined { torrent, peer, incoming });
    }

    pub(super) fn tell_left(&self, entry: &Entry, ended: &Ended) {
        let peer = entry.link.address;
        self.tell(Detail::Message, |torrent| BittorrentEvent::PeerLeft {
            torrent,
            peer,
            reason: ended.to_string(),
        });
    }

    /// Of what the rules want sent, that which is of interest to others.
    pub(super) fn tell_sent(&self, now: Instant, state: &State, key: PeerKey, send: &Send) {
        let Some(entry) = state.peers.get(&key.0) else { return };
        let peer = entry.link.address;
        match send {
            Send::Choke => {
                self.tell(Detail::Message, |torrent| BittorrentEvent::Choked { torrent, peer });
            }
            Send::Unchoke => self.tell(Detail::Message, |torrent| {
                let torrents = state.active.iter();
                let mut views = torrents.flat_map(|active| active.torrent.peers(now));
                let optimistic = views.any(|view| view.key == key && view.optimistic);
                BittorrentEvent::Unchoked { torrent, peer, optimistic }
            }),
            _ => {}
        }
    }

    /// Of what the rules say that happened, that which is of interest to others.
    pub(super) fn tell_event(&self, state: &State, event: &Event) {
        match event {
            Event::PieceCompleted { piece } => self.tell(Detail::Summary, |torrent| {
                let octets =
                    state.active.as_ref().map_or(0, |active| active.torrent.lengths().octets(*piece));
                BittorrentEvent::PieceVerified { torrent, piece: *piece, octets }
            }),
            Event::Completed => self.tell(Detail::Summary, |torrent| BittorrentEvent::Completed { torrent }),
            _ => {}
        }
    }

    pub(super) fn tell_failed(&self, piece: u32) {
        self.tell(Detail::Summary, |torrent| BittorrentEvent::PieceFailed { torrent, piece });
    }
}
