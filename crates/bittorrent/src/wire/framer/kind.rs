//! Which lengths a message may have, told by its id before the rest arrives.

use super::{FrameError, Limits};
use crate::wire::message::{MessageError, id};

/// Octets of the fields of the messages about hashes, with the id.
const HASH_FIELDS: usize = 1 + 32 + 4 * 4;
/// Octets of the fields of a `piece`, with the id.
const PIECE_FIELDS: usize = 1 + 4 + 4;

/// How a message is handled.
pub(super) enum Kind {
    /// It is gathered and given whole.
    Small,
    /// Its header is given.
    Piece,
    /// It is passed over.
    Unknown,
}

impl Kind {
    /// Judges a message by its id and its length, id included.
    pub(super) fn of(id: u8, length: usize, limits: &Limits) -> Result<Self, FrameError> {
        let (least, most, kind) = match id {
            id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED => (1, 1, Kind::Small),
            id::HAVE_ALL | id::HAVE_NONE => (1, 1, Kind::Small),
            id::HAVE | id::SUGGEST | id::ALLOWED_FAST => (5, 5, Kind::Small),
            id::REQUEST | id::CANCEL | id::REJECT => (13, 13, Kind::Small),
            id::PORT => (3, 3, Kind::Small),
            id::BITFIELD => (1, limits.bitfield_octets_max.saturating_add(1), Kind::Small),
            // A block has at least one octet.
            id::PIECE => {
                (PIECE_FIELDS + 1, limits.block_octets_max.saturating_add(PIECE_FIELDS), Kind::Piece)
            }
            id::EXTENDED => (2, limits.message_octets_max, Kind::Small),
            id::HASH_REQUEST | id::HASH_REJECT => (HASH_FIELDS, HASH_FIELDS, Kind::Small),
            id::HASHES => (HASH_FIELDS, limits.message_octets_max, Kind::Small),
            _ => (1, limits.message_octets_max, Kind::Unknown),
        };
        if length < least || (length > most && least == most) {
            return Err(MessageError::Length { id, octets: length }.into());
        }
        if length > most {
            return Err(FrameError::TooLong { id, octets: length, octets_max: most });
        }
        Ok(kind)
    }
}
