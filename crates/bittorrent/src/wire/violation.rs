//! What a peer does against the protocol.

use super::bitfield::BitfieldError;
use super::extension::{ExtensionError, PexViolation};
use super::framer::FrameError;
use super::handshake::{Feature, HandshakeError};
use super::message::{Block, HashRange};
use thiserror::Error;

/// A peer's fault, for which its connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// It speaks another protocol.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// Its octets are no messages.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Its message of the extension protocol is none.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// It exchanges peers beyond all measure.
    #[error(transparent)]
    Pex(#[from] PexViolation),
    /// It answers for another torrent (BEP 3: "they sever the connection").
    #[error("the peer speaks of another torrent")]
    OtherTorrent,
    /// It is not the peer that was looked for (BEP 3).
    #[error("the peer has another id than expected")]
    OtherPeer,
    /// It is ourselves.
    #[error("the peer is ourselves")]
    Ourselves,
    /// A second handshake, or a message before the first.
    #[error("handshake and messages out of order")]
    OutOfOrder,
    /// A message of an extension that not both sides have (BEP 6: "the peer MUST
    /// close the connection").
    #[error("a message that needs {0:?}, which was not agreed on")]
    NotNegotiated(Feature),
    /// A message about hashes for a torrent that has no v2 part.
    #[error("a message about hashes of a v1 torrent")]
    NoMerkleTree,
    /// A bitfield that does not fit the torrent.
    #[error(transparent)]
    Bitfield(#[from] BitfieldError),
    /// A piece that the torrent has not.
    #[error("piece {piece} of {pieces}")]
    NoSuchPiece {
        /// The index.
        piece: u32,
        /// Pieces of the torrent.
        pieces: u32,
    },
    /// A block of no octets, of more than 16 KiB or reaching beyond its piece
    /// (BEP 3: they "close connections which request an amount greater").
    #[error("octets {} to {} of piece {} are no block", .0.begin, u64::from(.0.begin) + u64::from(.0.length), .0.piece)]
    NoSuchBlock(Block),
    /// Hashes that BEP 52 does not allow to be requested.
    #[error("{} hashes from {} of layer {} cannot be requested", .0.length, .0.index, .0.base_layer)]
    NoSuchHashes(HashRange),
}
