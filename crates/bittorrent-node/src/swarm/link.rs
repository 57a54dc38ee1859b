//! What waits to be sent to one peer, and the way to its task.

use bittorrent::torrent::Octets;
use bittorrent::wire::Message;
use bittorrent::wire::extension::{ExtensionMessage, PeerIds};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::{Context, Waker};

/// Octets of messages that may wait for one peer; one that does not read is
/// disconnected. A bitfield of two million pieces fits twice.
pub(crate) const WAITING_OCTETS_MAX: usize = 1024 * 1024;

/// Something to write.
#[derive(Debug)]
pub(crate) enum Item {
    /// Encoded messages.
    Octets(Vec<u8>),
    /// A block, to be read when its turn comes.
    Serve(Octets),
}

/// One peer as the rest of the swarm sees it.
#[derive(Debug)]
pub(crate) struct Link {
    /// The other end.
    pub(crate) address: SocketAddr,
    queue: RefCell<VecDeque<Item>>,
    waiting_octets: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    /// Why it shall end.
    closing: Cell<Option<&'static str>>,
}

impl Link {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            queue: RefCell::default(),
            waiting_octets: Cell::new(0),
            waker: RefCell::default(),
            closing: Cell::new(None),
        }
    }

    /// Queues a message.
    pub(crate) fn send(&self, message: &Message<'_>) {
        self.append(|out| message.encode_to(out));
    }

    /// Queues a message of an extension, if the peer speaks it.
    pub(crate) fn send_extension(&self, message: &ExtensionMessage<'_>, peer: PeerIds) -> bool {
        let mut said = false;
        self.append(|out| said = message.encode_to(&peer, out));
        said
    }

    fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut queue = self.queue.borrow_mut();
        if !matches!(queue.back(), Some(Item::Octets(_))) {
            queue.push_back(Item::Octets(Vec::new()));
        }
        if let Some(Item::Octets(out)) = queue.back_mut() {
            let before = out.len();
            write(out);
            let waiting = self.waiting_octets.get() + (out.len() - before);
            self.waiting_octets.set(waiting);
            if waiting > WAITING_OCTETS_MAX {
                self.closing.set(Some("it does not read what it is sent"));
            }
        }
        self.wake();
    }

    /// Queues a block.
    pub(crate) fn serve(&self, octets: Octets) {
        self.queue.borrow_mut().push_back(Item::Serve(octets));
        self.wake();
    }

    /// The next thing to write.
    pub(crate) fn take(&self) -> Option<Item> {
        let item = self.queue.borrow_mut().pop_front()?;
        if let Item::Octets(octets) = &item {
            self.waiting_octets.set(self.waiting_octets.get().saturating_sub(octets.len()));
        }
        Some(item)
    }

    /// The next messages to write, before blocks that have to wait.
    pub(crate) fn take_messages(&self) -> Option<Item> {
        let mut queue = self.queue.borrow_mut();
        let at = queue.iter().position(|item| matches!(item, Item::Octets(_)))?;
        let item = queue.remove(at)?;
        if let Item::Octets(octets) = &item {
            self.waiting_octets.set(self.waiting_octets.get().saturating_sub(octets.len()));
        }
        Some(item)
    }

    /// Puts back what cannot be written yet.
    pub(crate) fn put_back(&self, item: Item) {
        self.queue.borrow_mut().push_front(item);
    }

    /// Ends the connection.
    pub(crate) fn close(&self, why: &'static str) {
        self.closing.set(Some(why));
        self.wake();
    }

    /// Why the connection shall end, if it shall.
    pub(crate) fn closing(&self) -> Option<&'static str> {
        self.closing.get()
    }

    /// Has the task woken when something is queued.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_gathered_and_blocks_keep_their_place() {
        let link = Link::new("127.0.0.1:1".parse().expect("an address"));
        link.send(&Message::Unchoke);
        link.send(&Message::Have(3));
        let octets = Octets { piece: 1, begin: 0, octets: 5 };
        link.serve(octets);
        link.send(&Message::Choke);
        assert!(matches!(link.take_messages(), Some(Item::Octets(gathered)) if gathered.len() == 5 + 9));
        assert!(matches!(link.take_messages(), Some(Item::Octets(gathered)) if gathered.len() == 5));
        assert!(link.take_messages().is_none() && link.take().is_some());
        link.send(&Message::Unchoke);
        link.send(&Message::Have(3));
        link.serve(octets);
        link.send(&Message::Choke);
        assert!(matches!(link.take(), Some(Item::Octets(gathered)) if gathered.len() == 5 + 9));
        assert!(matches!(link.take(), Some(Item::Serve(served)) if served == octets));
        assert!(matches!(link.take(), Some(Item::Octets(_))) && link.take().is_none());
    }

    #[test]
    fn a_peer_that_does_not_read_is_let_go() {
        let link = Link::new("127.0.0.1:1".parse().expect("an address"));
        for _ in 0..WAITING_OCTETS_MAX / 5 {
            link.send(&Message::Choke);
        }
        assert_eq!(link.closing(), None);
        link.send(&Message::Choke);
        assert!(link.closing().is_some());
    }
}
