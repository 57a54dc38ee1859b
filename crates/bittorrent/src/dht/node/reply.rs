//! Replies to our queries, and those that do not come.

use super::config::Event;
use super::{Node, Purpose};
use crate::dht::contact::{Contact, Family};
use crate::dht::krpc::{Body, Message, Response};
use crate::dht::lookup::Ask;
use crate::dht::routing::Offered;
use crate::dht::security::id_fits;
use crate::dht::transaction::Transaction;
use rand_core::CryptoRng;
use std::net::SocketAddr;
use std::time::Instant;

impl<R: CryptoRng> Node<R> {
    /// Takes a response or an error. One that belongs to no query of ours is
    /// passed over.
    pub(super) fn handle_reply(&mut self, now: Instant, from: SocketAddr, message: Message) {
        let Some(transaction) = self.transactions.end(&message.transaction, from) else { return };
        let response = match message.body {
            Body::Response(response) => *response,
            Body::Error(_) => return self.handle_refused(now, transaction),
            Body::Query(_) => return,
        };
        let Some(id) = response.id else { return };
        let contact = Contact { id, address: from };
        if let Some(said) = transaction.contact().filter(|said| said.id != id)
            && let Some(side) = self.side_mut(Family::of(&from))
        {
            side.table.failed(now, &said);
        }
        self.meet(now, contact);
        if let Some(seen) = message.your_address {
            self.handle_vote(now, from, seen);
        }
        self.handle_response(now, transaction, contact, response);
    }

    fn handle_response(
        &mut self,
        now: Instant,
        transaction: Transaction<Purpose>,
        contact: Contact,
        response: Response,
    ) {
        match transaction.purpose {
            Purpose::Verify(family) => self.end_ping(now, family),
            Purpose::Search(search) => {
                self.handle_search_reply(now, search, &transaction, contact, response);
            }
            Purpose::Store(search) => {
                let same = transaction.id == Some(contact.id);
                self.handle_stored(now, search, same);
            }
        }
    }

    /// Offers who has replied to the table.
    fn meet(&mut self, now: Instant, contact: Contact) {
        let family = Family::of(&contact.address);
        let unfit = self.config.enforce_ids && !id_fits(&contact.id, &contact.address.ip());
        if unfit || self.config.routers.contains(&contact.address) {
            return;
        }
        let Some(side) = self.side_mut(family) else { return };
        match side.table.responded(now, contact) {
            Offered::Waits(Some(doubtful)) => {
                side.verify(Ask { address: doubtful.address, id: Some(doubtful.id) });
                self.send_pings(now, family);
            }
            // BEP 5: with the first node, those closest to us are looked for.
            Offered::Added if side.table.len() == 1 => {
                side.bootstrap_at = now;
                self.maintain_at = now;
            }
            Offered::Added | Offered::Known | Offered::Waits(None) | Offered::Refused => {}
        }
    }

    /// A node that replied tells where it sees us.
    fn handle_vote(&mut self, now: Instant, from: SocketAddr, seen: SocketAddr) {
        let family = Family::of(&from);
        if Family::of(&seen) != family {
            return;
        }
        let side = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        let Some(side) = side.as_mut() else { return };
        if let Some(address) = side.votes.vote(&from.ip(), seen.ip()) {
            let new_id = side.rekey(now, &address, &mut self.rng);
            self.tell(Event::External { address, new_id });
            self.maintain_at = now;
        }
    }

    /// The node asked replied with an error: it is there, but of no use.
    fn handle_refused(&mut self, now: Instant, transaction: Transaction<Purpose>) {
        match transaction.purpose {
            Purpose::Verify(family) => self.end_ping(now, family),
            Purpose::Search(search) => self.handle_search_failed(now, search, &transaction),
            Purpose::Store(search) => self.handle_stored(now, search, false),
        }
    }

    /// The node asked is slow to reply.
    pub(super) fn handle_slow(&mut self, now: Instant, transaction: Transaction<Purpose>) {
        if let Purpose::Search(search) = transaction.purpose {
            self.handle_search_slow(now, search, transaction.to);
        }
    }

    /// The node asked did not reply.
    pub(super) fn handle_lost(&mut self, now: Instant, transaction: Transaction<Purpose>) {
        if let Some(contact) = transaction.contact()
            && let Some(side) = self.side_mut(Family::of(&contact.address))
        {
            side.table.failed(now, &contact);
        }
        self.handle_refused(now, transaction);
    }

    fn end_ping(&mut self, now: Instant, family: Family) {
        if let Some(side) = self.side_mut(family) {
            side.pings = side.pings.saturating_sub(1);
        }
        self.send_pings(now, family);
    }
}
