//! What a torrent is: metainfo (BEP 3, 52), magnet links (BEP 9) and the space of
//! pieces.
//!
//! [`Metainfo::parse`] reads a `.torrent` file and [`Info::parse`] the info
//! dictionary that peers send; both give values that have been checked, so that
//! whoever uses them need not. [`Layout`] says which octets of which files a
//! piece is, [`Verifier`] whether it is right, [`Creator`] makes a new torrent,
//! [`Magnet`] is a link to one, and [`MetadataAssembly`] gathers the info
//! dictionary from peers.

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
pub mod merkle;
mod names;
mod path;
mod symlink;

pub use document::Metainfo;
pub use error::{Fault, MetainfoError};
pub use hash::{InfoHashError, InfoHashV1, InfoHashV2, InfoHashes};
pub use info::Info;
pub use layers::PieceLayers;
pub use layout::{File, FileKind, Layout, Slice, Slices, Version};
pub use limits::{
    BLOCK_OCTETS, FILE_OCTETS_MAX, Limits, LetterCase, METADATA_OCTETS_MAX, PIECE_OCTETS_MAX, TOTAL_OCTETS_MAX,
    URL_OCTETS_MAX,
};
pub use path::{COMPONENT_OCTETS_MAX, EXTENSION_OCTETS_MAX, is_safe_component, safe_component};
