//! `ut_metadata`: the info dictionary in pieces from peers (BEP 9).

use super::ExtensionError;
use crate::bencode::{Item, Limits, decode_first};

/// Octets of each piece of the metadata but the last.
pub const METADATA_PIECE_OCTETS: u32 = 16 * 1024;

/// Octets of the largest metadata that is taken from peers.
pub const METADATA_OCTETS_MAX: u32 = 32 * 1024 * 1024;

/// Pieces of metadata of so many octets; None if there are none or more than
/// [`METADATA_OCTETS_MAX`].
pub fn metadata_pieces(octets: u32) -> Option<u32> {
    (1..=METADATA_OCTETS_MAX).contains(&octets).then(|| octets.div_ceil(METADATA_PIECE_OCTETS))
}

/// A message of `ut_metadata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataMessage<'a> {
    /// Asks for a piece.
    Request {
        /// Its index.
        piece: u32,
    },
    /// A piece, of the length that it has in metadata of so many octets.
    Data {
        /// Its index.
        piece: u32,
        /// Octets of all metadata, at most [`METADATA_OCTETS_MAX`].
        total_octets: u32,
        /// Its content.
        octets: &'a [u8],
    },
    /// The piece will not be sent.
    Reject {
        /// Its index.
        piece: u32,
    },
    /// A kind that BEP 9 does not know: ignored.
    Unknown,
}

impl<'a> MetadataMessage<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// When it is malformed, or a piece has not the length that it must have.
    pub fn decode(payload: &'a [u8]) -> Result<Self, ExtensionError> {
        let (value, used) = decode_first(payload, &Limits::MESSAGE)?;
        let fields = value.dictionary().ok_or(ExtensionError::Field("msg_type"))?;
        let kind = fields.integer(b"msg_type").ok_or(ExtensionError::Field("msg_type"))?;
        let number = |name: &'static str| {
            let number = fields.integer(name.as_bytes()).and_then(|number| u32::try_from(number).ok());
            number.ok_or(ExtensionError::Field(name))
        };
        match kind {
            0 => Ok(Self::Request { piece: number("piece")? }),
            1 => {
                let (piece, total_octets) = (number("piece")?, number("total_size")?);
                let octets = payload.get(used..).unwrap_or_default();
                match piece_octets(piece, total_octets) {
                    None => Err(ExtensionError::Field("total_size")),
                    Some(expected) if expected as usize != octets.len() => {
                        Err(ExtensionError::Field("piece"))
                    }
                    Some(_) => Ok(Self::Data { piece, total_octets, octets }),
                }
            }
            2 => Ok(Self::Reject { piece: number("piece")? }),
            _ => Ok(Self::Unknown),
        }
    }

    /// Its octets.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, piece, total) = match self {
            Self::Request { piece } => (0, *piece, None),
            Self::Data { piece, total_octets, .. } => (1, *piece, Some(*total_octets)),
            Self::Reject { piece } => (2, *piece, None),
            // Never sent by us; what BEP 9 has to be ignored.
            Self::Unknown => (3, 0, None),
        };
        let total = total.map(|octets| ("total_size", Item::from(i64::from(octets))));
        let fields = [("msg_type", Item::from(kind)), ("piece", Item::from(i64::from(piece)))];
        let mut payload = Item::dictionary(fields.into_iter().chain(total)).encode();
        if let Self::Data { octets, .. } = self {
            payload.extend_from_slice(octets);
        }
        payload
    }
}

/// Octets of a piece; None if there is no such piece, or too much in all.
fn piece_octets(piece: u32, total_octets: u32) -> Option<u32> {
    metadata_pieces(total_octets).filter(|pieces| piece < *pieces)?;
    let rest = total_octets.checked_sub(piece.checked_mul(METADATA_PIECE_OCTETS)?)?;
    Some(rest.min(METADATA_PIECE_OCTETS))
}
