//! The messages, as views of their octets and written again.

use thiserror::Error;

/// Octets of a block, the unit that is requested; the last of a torrent or file
/// may be shorter (BEP 3, "request").
pub const BLOCK_OCTETS: u32 = 16 * 1024;
/// Octets of a request at most: 128 KiB, which old clients ask for; BEP 3 lets
/// larger ones be refused.
pub const REQUEST_OCTETS_MAX: u32 = 128 * 1024;

/// Octets before the block in a `piece` message, its length included.
pub const PIECE_HEADER_OCTETS: usize = 13;

/// Hashes of a `hash request` (BEP 52: "SHOULD NOT be greater than 512").
pub const HASHES_MAX: u32 = 512;

pub(super) mod id {
    //! The ids of messages (BEP 4, "reserved message ids").
    pub(crate) const CHOKE: u8 = 0;
    pub(crate) const UNCHOKE: u8 = 1;
    pub(crate) const INTERESTED: u8 = 2;
    pub(crate) const NOT_INTERESTED: u8 = 3;
    pub(crate) const HAVE: u8 = 4;
    pub(crate) const BITFIELD: u8 = 5;
    pub(crate) const REQUEST: u8 = 6;
    pub(crate) const PIECE: u8 = 7;
    pub(crate) const CANCEL: u8 = 8;
    pub(crate) const PORT: u8 = 9;
    pub(crate) const SUGGEST: u8 = 13;
    pub(crate) const HAVE_ALL: u8 = 14;
    pub(crate) const HAVE_NONE: u8 = 15;
    pub(crate) const REJECT: u8 = 16;
    pub(crate) const ALLOWED_FAST: u8 = 17;
    pub(crate) const EXTENDED: u8 = 20;
    pub(crate) const HASH_REQUEST: u8 = 21;
    pub(crate) const HASHES: u8 = 22;
    pub(crate) const HASH_REJECT: u8 = 23;
}

/// A part of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block {
    /// The piece's index.
    pub piece: u32,
    /// Octets of the piece before it.
    pub begin: u32,
    /// Its octets.
    pub length: u32,
}

/// Some hashes of a file's Merkle tree (BEP 52, "hash request").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashRange {
    /// The root of the file's tree.
    pub pieces_root: [u8; 32],
    /// The layer, counted from the leaves.
    pub base_layer: u32,
    /// The first hash in that layer, a multiple of `length`.
    pub index: u32,
    /// How many: a power of two, 2 to [`HASHES_MAX`].
    pub length: u32,
    /// How many layers above, of which a hash each is sent to prove the rest.
    pub proof_layers: u32,
}

impl HashRange {
    /// Whether it keeps to the limits of BEP 52, and no more layers are asked
    /// for than the largest tree has.
    pub fn is_valid(&self) -> bool {
        (2..=HASHES_MAX).contains(&self.length)
            && self.length.is_power_of_two()
            && self.index.is_multiple_of(self.length)
            && self.base_layer < 64
            && self.proof_layers < 64
    }
}

/// A message of the peer wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Nothing: the connection is to stay.
    KeepAlive,
    /// Requests will not be answered.
    Choke,
    /// Requests will be answered.
    Unchoke,
    /// The sender wants a piece that the receiver has.
    Interested,
    /// It wants none.
    NotInterested,
    /// The sender has this piece.
    Have(u32),
    /// The pieces that the sender has.
    Bitfield(&'a [u8]),
    /// The sender asks for a block.
    Request(Block),
    /// A block. A [`Framer`](super::Framer) does not give it, but the
    /// announcement of one.
    Piece {
        /// The piece's index.
        piece: u32,
        /// Octets of the piece before the block.
        begin: u32,
        /// The block.
        octets: &'a [u8],
    },
    /// A request is withdrawn.
    Cancel(Block),
    /// The UDP port of the sender's DHT node (BEP 5).
    Port(u16),
    /// A piece worth requesting (BEP 6).
    Suggest(u32),
    /// The sender has all pieces (BEP 6).
    HaveAll,
    /// It has none (BEP 6).
    HaveNone,
    /// A request will not be answered (BEP 6).
    Reject(Block),
    /// A piece that is sent even to a choked peer (BEP 6).
    AllowedFast(u32),
    /// A message of the extension protocol (BEP 10).
    Extended {
        /// 0 for a handshake, else what the receiver's handshake gave it.
        id: u8,
        /// Its content.
        payload: &'a [u8],
    },
    /// The sender asks for hashes (BEP 52).
    HashRequest(HashRange),
    /// Hashes: those of the range, then one for each layer of proof (BEP 52).
    Hashes {
        /// As it was requested.
        range: HashRange,
        /// 32 octets each.
        hashes: &'a [u8],
    },
    /// Hashes that were requested will not be sent (BEP 52).
    HashReject(HashRange),
}

/// Why octets are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MessageError {
    /// No message of this id has so many octets.
    #[error("a message {id} of {octets} octets")]
    Length {
        /// Of the message.
        id: u8,
        /// With its id.
        octets: usize,
    },
    /// No message that is known has this id.
    #[error("a message with the unknown id {0}")]
    Unknown(u8),
}

impl<'a> Message<'a> {
    /// Reads the octets behind a message's length.
    ///
    /// # Errors
    /// When the id is unknown or the length does not fit it.
    pub fn decode(body: &'a [u8]) -> Result<Self, MessageError> {
        let Some((id, rest)) = body.split_first() else { return Ok(Message::KeepAlive) };
        let length = || MessageError::Length { id: *id, octets: body.len() };
        let none = |message| if rest.is_empty() { Ok(message) } else { Err(length()) };
        let number = || rest.try_into().map(u32::from_be_bytes).map_err(|_| length());
        match *id {
            id::CHOKE => none(Message::Choke),
            id::UNCHOKE => none(Message::Unchoke),
            id::INTERESTED => none(Message::Interested),
            id::NOT_INTERESTED => none(Message::NotInterested),
            id::HAVE => number().map(Message::Have),
            id::BITFIELD => Ok(Message::Bitfield(rest)),
            id::REQUEST => block(rest).map(Message::Request).ok_or_else(length),
            id::PIECE => {
                let (piece, rest) = split_u32(rest).ok_or_else(length)?;
                let (begin, octets) = split_u32(rest).ok_or_else(length)?;
                Ok(Message::Piece { piece, begin, octets })
            }
            id::CANCEL => block(rest).map(Message::Cancel).ok_or_else(length),
            id::PORT => {
                rest.try_into().map(|port| Message::Port(u16::from_be_bytes(port))).map_err(|_| length())
            }
            id::SUGGEST => number().map(Message::Suggest),
            id::HAVE_ALL => none(Message::HaveAll),
            id::HAVE_NONE => none(Message::HaveNone),
            id::REJECT => block(rest).map(Message::Reject).ok_or_else(length),
            id::ALLOWED_FAST => number().map(Message::AllowedFast),
            id::EXTENDED => match rest {
                [id, payload @ ..] => Ok(Message::Extended { id: *id, payload }),
                [] => Err(length()),
            },
            id::HASH_REQUEST | id::HASH_REJECT => {
                let (range, rest) = hash_range(rest).ok_or_else(length)?;
                let request = *id == id::HASH_REQUEST;
                let message = if request { Message::HashRequest(range) } else { Message::HashReject(range) };
                if rest.is_empty() { Ok(message) } else { Err(length()) }
            }
            id::HASHES => {
                let (range, hashes) = hash_range(rest).ok_or_else(length)?;
                let whole = hashes.len().is_multiple_of(32);
                if whole { Ok(Message::Hashes { range, hashes }) } else { Err(length()) }
            }
            id => Err(MessageError::Unknown(id)),
        }
    }

    /// Appends the message with its length before it.
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        let begun = out.len();
        out.extend_from_slice(&[0; 4]);
        match self {
            Message::KeepAlive => {}
            Message::Choke => out.push(id::CHOKE),
            Message::Unchoke => out.push(id::UNCHOKE),
            Message::Interested => out.push(id::INTERESTED),
            Message::NotInterested => out.push(id::NOT_INTERESTED),
            Message::Have(piece) => numbers(id::HAVE, &[*piece], out),
            Message::Bitfield(octets) => {
                out.push(id::BITFIELD);
                out.extend_from_slice(octets);
            }
            Message::Request(block) => numbers(id::REQUEST, &block.numbers(), out),
            Message::Piece { piece, begin, octets } => {
                numbers(id::PIECE, &[*piece, *begin], out);
                out.extend_from_slice(octets);
            }
            Message::Cancel(block) => numbers(id::CANCEL, &block.numbers(), out),
            Message::Port(port) => {
                out.push(id::PORT);
                out.extend_from_slice(&port.to_be_bytes());
            }
            Message::Suggest(piece) => numbers(id::SUGGEST, &[*piece], out),
            Message::HaveAll => out.push(id::HAVE_ALL),
            Message::HaveNone => out.push(id::HAVE_NONE),
            Message::Reject(block) => numbers(id::REJECT, &block.numbers(), out),
            Message::AllowedFast(piece) => numbers(id::ALLOWED_FAST, &[*piece], out),
            Message::Extended { id, payload } => {
                out.extend_from_slice(&[id::EXTENDED, *id]);
                out.extend_from_slice(payload);
            }
            Message::HashRequest(range) => range.encode_to(id::HASH_REQUEST, out),
            Message::Hashes { range, hashes } => {
                range.encode_to(id::HASHES, out);
                out.extend_from_slice(hashes);
            }
            Message::HashReject(range) => range.encode_to(id::HASH_REJECT, out),
        }
        let length = (out.len() - begun - 4) as u32;
        for (place, octet) in out.iter_mut().skip(begun).zip(length.to_be_bytes()) {
            *place = octet;
        }
    }
}

/// What precedes a block in a `piece` message, so that the block itself can be
/// sent from where it lies.
pub fn piece_header(block: &Block) -> [u8; PIECE_HEADER_OCTETS] {
    let mut header = [0; PIECE_HEADER_OCTETS];
    let fields = [
        &block.length.saturating_add(9).to_be_bytes()[..],
        &[id::PIECE],
        &block.piece.to_be_bytes(),
        &block.begin.to_be_bytes(),
    ];
    for (place, octet) in header.iter_mut().zip(fields.into_iter().flatten()) {
        *place = *octet;
    }
    header
}

impl Block {
    fn numbers(&self) -> [u32; 3] {
        [self.piece, self.begin, self.length]
    }
}

impl HashRange {
    fn encode_to(&self, id: u8, out: &mut Vec<u8>) {
        out.push(id);
        out.extend_from_slice(&self.pieces_root);
        for number in [self.base_layer, self.index, self.length, self.proof_layers] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

fn numbers(id: u8, numbers: &[u32], out: &mut Vec<u8>) {
    out.push(id);
    for number in numbers {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn split_u32(octets: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = octets.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

fn block(octets: &[u8]) -> Option<Block> {
    let (piece, rest) = split_u32(octets)?;
    let (begin, rest) = split_u32(rest)?;
    let (length, rest) = split_u32(rest)?;
    rest.is_empty().then_some(Block { piece, begin, length })
}

fn hash_range(octets: &[u8]) -> Option<(HashRange, &[u8])> {
    let (pieces_root, rest) = octets.split_first_chunk()?;
    let (base_layer, rest) = split_u32(rest)?;
    let (index, rest) = split_u32(rest)?;
    let (length, rest) = split_u32(rest)?;
    let (proof_layers, rest) = split_u32(rest)?;
    Some((HashRange { pieces_root: *pieces_root, base_layer, index, length, proof_layers }, rest))
}
