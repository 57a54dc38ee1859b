//! What a torrent wants done.

use super::peer::PeerKey;

/// Something to send to one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Send {
    /// What we have, as the first message (BEP 3).
    Bitfield(Vec<u8>),
    /// We have everything, as the first message (BEP 6).
    HaveAll,
    /// We have nothing, or show nothing, as the first message (BEP 6).
    HaveNone,
    /// Its requests are no longer served.
    Choke,
    /// Its requests are served.
    Unchoke,
    /// It has something we want.
    Interested,
    /// It has nothing we want.
    NotInterested,
    /// We have one more piece.
    Have {
        /// Index of the piece.
        piece: u32,
    },
    /// A block is wanted.
    Request(Octets),
    /// A block is no longer wanted.
    Cancel(Octets),
    /// A request will not be served (BEP 6).
    Reject(Octets),
    /// It may ask for this piece while choked (BEP 6).
    AllowedFast {
        /// Index of the piece.
        piece: u32,
    },
    /// It should ask for this piece: nobody else has it (BEP 6).
    Suggest {
        /// Index of the piece.
        piece: u32,
    },
    /// Octets are to be read and sent; [`super::Torrent::handle_block_sent`]
    /// follows when they are.
    Serve(Octets),
}

/// A run of octets in a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Octets {
    /// Index of the piece.
    pub piece: u32,
    /// Where the octets begin in the piece.
    pub begin: u32,
    /// How many octets.
    pub octets: u32,
}

/// What is to be done with a block that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockUse {
    /// It is to be written.
    Wanted,
    /// It is here already: it is dropped.
    Duplicate,
    /// Nobody asked for it: it is dropped.
    Unrequested,
}

/// Why a peer is to be disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Neither of us needs anything from the other.
    Useless,
    /// It sent too much that makes no sense.
    Faults,
}

/// Something that happened, for the service to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// All blocks of a piece are written: check it, then call
    /// [`super::Torrent::handle_piece_checked`].
    PieceReady {
        /// Index of the piece.
        piece: u32,
        /// Each block's digest is needed even if the piece is good: an earlier
        /// version was bad.
        digests: bool,
    },
    /// A piece is here and good.
    PieceCompleted {
        /// Index of the piece.
        piece: u32,
    },
    /// Everything that is wanted is here (BEP 21: upload only from now on).
    Finished,
    /// Every piece is here.
    Completed,
    /// The peer sent wrong octets: disconnect it, and take it back no more.
    Ban {
        /// The peer.
        peer: PeerKey,
        /// The piece that gave it away.
        piece: u32,
    },
    /// Disconnect a peer.
    Disconnect {
        /// The peer.
        peer: PeerKey,
        /// Why.
        reason: Reason,
    },
    /// A peer that unchokes us has sent nothing for long.
    Snubbed {
        /// The peer.
        peer: PeerKey,
    },
    /// The seed has done enough.
    SeedingGoalReached,
}
