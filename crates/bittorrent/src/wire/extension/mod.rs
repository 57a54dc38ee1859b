//! The extension protocol (BEP 10): messages with a name, whose ids each side
//! chooses for itself and tells the other in a handshake.
//!
//! [`ExtensionMessage`] reads what the peer sends under our ids, and writes under
//! the peer's, which [`PeerIds`] keeps.

mod handshake;
mod holepunch;
mod metadata;
mod pex;
mod pex_receiver;
mod pex_sender;
#[cfg(test)]
mod tests;

use super::message::Message;
use crate::bencode::DecodeError;
use thiserror::Error;

pub use handshake::{ExtendedHandshake, NamedIds, VERSION_OCTETS_MAX};
pub use holepunch::{Holepunch, HolepunchFailure, Relay, Target, relay};
pub use metadata::{METADATA_OCTETS_MAX, METADATA_PIECE_OCTETS, MetadataMessage, metadata_pieces};
pub use pex::{PEX_CONTACTS_MAX, PexFlags, PexMessage, PexPeer};
pub use pex_receiver::{PexReceiver, PexViolation};
pub use pex_sender::{PEX_INTERVAL_SECONDS, PEX_SENT_MAX, PexSender};

/// An extension that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extension {
    /// `ut_metadata`, the info dictionary from peers (BEP 9).
    Metadata,
    /// `ut_pex`, peers from peers (BEP 11).
    Pex,
    /// `ut_holepunch`, a connection through two NATs (BEP 55).
    Holepunch,
    /// `lt_donthave`, the opposite of `have` (BEP 54).
    DontHave,
    /// `upload_only`: whether the peer still wants anything, told whenever it
    /// changes (BEP 21 has it in the handshake alone).
    UploadOnly,
}

impl Extension {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Metadata, Self::Pex, Self::Holepunch, Self::DontHave, Self::UploadOnly];

    /// The name in a handshake.
    pub fn name(self) -> &'static str {
        match self {
            Extension::Metadata => "ut_metadata",
            Extension::Pex => "ut_pex",
            Extension::Holepunch => "ut_holepunch",
            Extension::DontHave => "lt_donthave",
            Extension::UploadOnly => "upload_only",
        }
    }

    /// The id under which peers are to send it to us: 1 to 5.
    pub fn own_id(self) -> u8 {
        self.place() as u8 + 1
    }

    /// The extension under one of our ids.
    pub fn from_own_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.own_id() == id)
    }

    fn place(self) -> usize {
        match self {
            Extension::Metadata => 0,
            Extension::Pex => 1,
            Extension::Holepunch => 2,
            Extension::DontHave => 3,
            Extension::UploadOnly => 4,
        }
    }
}

/// The ids under which a peer wants to be sent extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerIds([u8; Extension::ALL.len()]);

impl PeerIds {
    /// Follows a handshake of the peer: what it does not name stays (BEP 10:
    /// "the m dictionary is additive").
    pub fn update(&mut self, handshake: &ExtendedHandshake) {
        for (id, named) in self.0.iter_mut().zip(handshake.ids.in_order()) {
            *id = named.unwrap_or(*id);
        }
    }

    /// The id of an extension, if the peer speaks it.
    pub fn get(&self, extension: Extension) -> Option<u8> {
        self.0.get(extension.place()).copied().filter(|id| *id != 0)
    }
}

/// A message of the extension protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtensionMessage<'a> {
    /// What the sender speaks; it may come again.
    Handshake(Box<ExtendedHandshake>),
    /// BEP 9.
    Metadata(MetadataMessage<'a>),
    /// BEP 11.
    Pex(PexMessage),
    /// BEP 55.
    Holepunch(Holepunch),
    /// The sender no longer has this piece (BEP 54).
    DontHave(u32),
    /// Whether the sender wants nothing more.
    UploadOnly(bool),
    /// A message under an id that is not ours: ignored.
    Unknown(u8),
}

/// Why a message of an extension cannot be read. All of these are the peer's
/// fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExtensionError {
    /// It is not bencoded.
    #[error("an extension's message is not bencoded: {0}")]
    Bencode(#[from] DecodeError),
    /// A field is absent or not what it must be.
    #[error("the field {0} of an extension's message is absent or wrong")]
    Field(&'static str),
    /// It has another length than such a message has.
    #[error("a message of {} with {octets} octets", .extension.name())]
    Length {
        /// Of the message.
        extension: Extension,
        /// Without the ids.
        octets: usize,
    },
    /// It tells of more contacts than is tolerated.
    #[error("a message of ut_pex with {0} contacts")]
    TooManyContacts(usize),
}

impl<'a> ExtensionMessage<'a> {
    /// Reads the payload of [`Message::Extended`], sent to us under `id`.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn decode(id: u8, payload: &'a [u8]) -> Result<Self, ExtensionError> {
        if id == 0 {
            return ExtendedHandshake::decode(payload).map(Box::new).map(Self::Handshake);
        }
        let Some(extension) = Extension::from_own_id(id) else { return Ok(Self::Unknown(id)) };
        let length = ExtensionError::Length { extension, octets: payload.len() };
        match extension {
            Extension::Metadata => MetadataMessage::decode(payload).map(Self::Metadata),
            Extension::Pex => PexMessage::decode(payload).map(Self::Pex),
            Extension::Holepunch => Holepunch::decode(payload).map(Self::Holepunch).ok_or(length),
            Extension::DontHave => {
                payload.try_into().map(|piece| Self::DontHave(u32::from_be_bytes(piece))).map_err(|_| length)
            }
            Extension::UploadOnly => match payload {
                [only] => Ok(Self::UploadOnly(*only != 0)),
                _ => Err(length),
            },
        }
    }

    /// Appends it as a message of the peer wire protocol; false if the peer does
    /// not speak the extension, so that nothing is to be sent.
    pub fn encode_to(&self, peer: &PeerIds, out: &mut Vec<u8>) -> bool {
        let id = match self {
            Self::Handshake(_) => Some(0),
            Self::Metadata(_) => peer.get(Extension::Metadata),
            Self::Pex(_) => peer.get(Extension::Pex),
            Self::Holepunch(_) => peer.get(Extension::Holepunch),
            Self::DontHave(_) => peer.get(Extension::DontHave),
            Self::UploadOnly(_) => peer.get(Extension::UploadOnly),
            Self::Unknown(_) => None,
        };
        let Some(id) = id else { return false };
        let payload = match self {
            Self::Handshake(handshake) => handshake.encode(),
            Self::Metadata(message) => message.encode(),
            Self::Pex(message) => message.encode(),
            Self::Holepunch(message) => message.encode(),
            Self::DontHave(piece) => piece.to_be_bytes().to_vec(),
            Self::UploadOnly(only) => vec![u8::from(*only)],
            Self::Unknown(_) => Vec::new(),
        };
        Message::Extended { id, payload: &payload }.encode_to(out);
        true
    }
}
