//! The file of addresses that are not spoken with.

use bittorrent::ip_filter::{IpFilter, ListSummary};
use std::path::{Path, PathBuf};

/// The largest list, in octets. The usual ones have 20 MB.
pub const LIST_OCTETS_MAX: u64 = 256 * 1024 * 1024;

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It cannot be read.
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    /// There is none.
    #[error("{}: there is no such file", .0.display())]
    Missing(PathBuf),
    /// It is too long.
    #[error("{}: {source}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The bound.
        source: bittorrent::ip_filter::TooManyRanges,
    },
    /// Nothing in it is an address.
    #[error(
        "{}: no line names addresses; the forms are 1.2.3.0-1.2.3.255, 1.2.3.0/24, \
         eMule's ipfilter.dat and PeerGuardian's .p2p, not compressed",
        .0.display()
    )]
    NoList(PathBuf),
}

/// Reads a list of addresses that are not spoken with: eMule's, PeerGuardian's or
/// CIDR lines. Blocks.
///
/// # Errors
/// When it cannot be read, is too long, or is no list.
pub fn read_ip_filter(path: &Path) -> Result<(IpFilter, ListSummary), FilterError> {
    let octets = storage::files::read(path, LIST_OCTETS_MAX)?;
    let octets = octets.ok_or_else(|| FilterError::Missing(path.to_owned()))?;
    let (filter, summary) =
        IpFilter::read(&octets).map_err(|source| FilterError::TooLong { path: path.to_owned(), source })?;
    if summary.entries == 0 && summary.unreadable > 0 {
        return Err(FilterError::NoList(path.to_owned()));
    }
    Ok((filter, summary))
}
