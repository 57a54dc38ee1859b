//! Answers to the queries of others.

use super::Node;
use crate::dht::contact::{Contact, Family};
use crate::dht::id::Id;
use crate::dht::item::Item;
use crate::dht::krpc::{
    Body, ErrorReply, GetPeers, Message, Method, PutArgs, Query, REPLY_OCTETS_MAX, Response, Want, code,
};
use crate::dht::lookup::Ask;
use crate::dht::routing::K;
use rand_core::CryptoRng;
use std::net::SocketAddr;
use std::time::Instant;

impl<R: CryptoRng> Node<R> {
    /// What is to be replied to a query.
    pub(super) fn answer(&mut self, now: Instant, from: SocketAddr, query: Query, read_only: bool) -> Body {
        let family = Family::of(&from);
        let Some(side) = self.side_mut(family) else {
            return ErrorReply::new(code::SERVER, "no node of this family").into();
        };
        let own = side.table.own();
        let contact = Contact { id: query.id, address: from };
        // Who does not answer queries is not to be asked any (BEP 43).
        if !read_only && side.table.queried(now, &contact) {
            side.verify(Ask { address: from, id: Some(query.id) });
            self.send_pings(now, family);
        }
        let answer = match query.method {
            Method::Ping => Ok(Response::default()),
            Method::FindNode { target, want } | Method::Other { target: Some(target), want, .. } => {
                Ok(self.nodes(now, &target, want.families(family)))
            }
            Method::GetPeers(get) => Ok(self.answer_get_peers(now, from, get)),
            Method::AnnouncePeer { info_hash, port, token, seed } => {
                let peer = SocketAddr::new(from.ip(), port.unwrap_or(from.port()));
                self.answer_announce(now, own, info_hash, peer, &token, seed)
            }
            Method::Get { target, newer_than, want } => {
                Ok(self.answer_get(now, from, &target, newer_than, want))
            }
            Method::Put(put) => self.answer_put(now, own, from, *put),
            Method::SampleInfohashes { target, want } => Ok(Response {
                samples: Some(self.peers.sample(now, &mut self.rng)),
                ..self.nodes(now, &target, want.families(family))
            }),
            Method::Other { target: None, .. } => {
                Err(ErrorReply::new(code::METHOD_UNKNOWN, "method unknown"))
            }
        };
        match answer {
            Ok(response) => Body::Response(Box::new(Response { id: Some(own), ..response })),
            Err(error) => error.into(),
        }
    }

    /// The good nodes nearest to `target`.
    fn nodes(&self, now: Instant, target: &Id, want: Want) -> Response {
        let closest = |wanted: bool, family| {
            let side = self.side(family).filter(|_| wanted)?;
            Some(side.table.closest(now, target, K, false))
        };
        Response {
            nodes: closest(want.v4, Family::V4),
            nodes6: closest(want.v6, Family::V6),
            ..Response::default()
        }
    }

    fn token(&mut self, now: Instant, from: SocketAddr, target: &Id) -> Vec<u8> {
        self.tokens.give(now, &from.ip(), target, &mut self.rng)
    }

    fn check_token(
        &mut self,
        now: Instant,
        from: SocketAddr,
        target: &Id,
        token: &[u8],
    ) -> Result<(), ErrorReply> {
        if self.tokens.check(now, &from.ip(), target, token, &mut self.rng) {
            Ok(())
        } else {
            Err(ErrorReply::new(code::PROTOCOL, "bad token"))
        }
    }

    fn answer_get_peers(&mut self, now: Instant, from: SocketAddr, get: GetPeers) -> Response {
        let family = Family::of(&from);
        let sums = self.peers.filters(&get.info_hash).filter(|_| get.scrape);
        // BEP 33: beside the filters there is room for one family's nodes only.
        let want = if sums.is_some() { Want::default() } else { get.want };
        let mut response = self.nodes(now, &get.info_hash, want.families(family));
        if self.peers.has_room(&get.info_hash, family) {
            response.token = Some(self.token(now, from, &get.info_hash));
        }
        if let Some(sums) = sums {
            response.seeds = Some(sums.seeds.into_octets());
            response.peers = Some(sums.peers.into_octets());
        }
        let room = room_for_peers(&response, from);
        response.values = self.peers.pick(now, &get.info_hash, family, get.no_seed, room, &mut self.rng);
        response
    }

    fn answer_announce(
        &mut self,
        now: Instant,
        own: Id,
        info_hash: Id,
        peer: SocketAddr,
        token: &[u8],
        seed: bool,
    ) -> Result<Response, ErrorReply> {
        self.check_token(now, peer, &info_hash, token)?;
        if self.peers.announce(now, &own, info_hash, peer, seed) {
            Ok(Response::default())
        } else {
            Err(ErrorReply::new(code::SERVER, "no room for another peer"))
        }
    }

    fn answer_get(
        &mut self,
        now: Instant,
        from: SocketAddr,
        target: &Id,
        newer_than: Option<i64>,
        want: Want,
    ) -> Response {
        let mut response = self.nodes(now, target, want.families(Family::of(&from)));
        response.token = Some(self.token(now, from, target));
        match self.items.get(now, target) {
            Some(Item::Mutable(item)) if newer_than.is_some_and(|than| item.sequence() <= than) => {
                response.sequence = Some(item.sequence());
            }
            Some(item) => response.hold(item),
            None => {}
        }
        response
    }

    fn answer_put(
        &mut self,
        now: Instant,
        own: Id,
        from: SocketAddr,
        put: PutArgs,
    ) -> Result<Response, ErrorReply> {
        // The token is cheaper to check than the signature.
        let target = match &put.signature {
            None => Id::hash(&[&put.value]),
            Some(signature) => Id::hash(&[&signature.key, &signature.salt]),
        };
        self.check_token(now, from, &target, &put.token)?;
        let item = Item::from_put(put.value, put.signature.as_ref())?;
        self.items.put(now, &own, item, put.cas)?;
        Ok(Response::default())
    }
}

/// How many peers fit into a reply of [`REPLY_OCTETS_MAX`] besides the rest of
/// it.
fn room_for_peers(response: &Response, to: SocketAddr) -> usize {
    let mut whole = Message::new(
        [0; super::super::krpc::TRANSACTION_OCTETS_MAX],
        Body::Response(Box::new(Response { id: Some(Id::new([0; 20])), ..response.clone() })),
    );
    (whole.version, whole.your_address) = (Some([0; 4]), Some(to));
    let left = REPLY_OCTETS_MAX.saturating_sub(whole.encode().len() + "6:valuesle".len());
    // Each is a string: its length of one or two digits, a colon, its octets.
    let each = match Family::of(&to) {
        Family::V4 => 2 + Family::V4.address_octets(),
        Family::V6 => 3 + Family::V6.address_octets(),
    };
    left / each
}
