//! What a torrent is: metainfo (BEP 3, 52), magnet links (BEP 9) and the space of
//! pieces.
//!
//! [`Metainfo::parse`] reads a `.torrent` file and [`Info::parse`] the info
//! dictionary that peers send; both give values that have been checked, so that
//! whoever uses them need not. [`Layout`] says which octets of which files a
//! piece is, [`Verifier`] whether it is right, [`Creator`] makes a new torrent,
//! [`Magnet`] is a link to one, and [`MetadataAssembly`] gathers the info
//! dictionary from peers.

mod assembly;
pub mod create;
mod document;
mod draft;
mod error;
mod field;
mod file_tree;
mod files;
mod hash;
mod hybrid;
mod info;
mod layers;
mod layout;
mod limits;
mod magnet;
pub mod merkle;
mod names;
mod path;
mod selection;
mod symlink;
#[cfg(test)]
mod tests;
mod verify;
mod web_seed;

pub use assembly::{
    AssemblyError, AssemblyProgress, METADATA_PATIENCE, METADATA_PEERS_MAX, METADATA_PIECE_OCTETS,
    MetadataAssembly, PeerId, metadata_piece,
};
pub use create::{CreateError, CreateOptions, Creator, FileSpec};
pub use document::Metainfo;
pub use error::{Fault, MetainfoError};
pub use hash::{InfoHashError, InfoHashV1, InfoHashV2, InfoHashes};
pub use info::Info;
pub use layers::PieceLayers;
pub use layout::{File, FileKind, Layout, PieceContent, Slice, Slices, Version};
pub use limits::{
    BLOCK_OCTETS, FILE_OCTETS_MAX, LetterCase, Limits, METADATA_OCTETS_MAX, PIECE_OCTETS_MAX,
    TOTAL_OCTETS_MAX, URL_OCTETS_MAX,
};
pub use magnet::{MAGNET_ADDRESSES_MAX, MAGNET_OCTETS_MAX, Magnet, MagnetError, MutableItem};
pub use path::{COMPONENT_OCTETS_MAX, EXTENSION_OCTETS_MAX, is_safe_component, safe_component};
pub use selection::{FileSelection, SELECTION_RANGES_MAX, SelectionError};
pub use verify::{PieceHasher, PieceHashes, Verdict, Verifier};
pub use web_seed::web_seed_url;
