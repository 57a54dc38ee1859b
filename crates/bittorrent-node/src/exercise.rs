//! What a run leaves on the disk for the next one, read from any octets: for
//! fuzzing.

use crate::content::{Moved, Renames, Resume};
use crate::session;

/// Reads any octets as a resume file, as the notes of a move and of names, and as
/// a session's torrent: they are none, or what was read and is written reads the
/// same.
///
/// # Panics
/// When that does not hold.
pub fn exercise_kept(octets: &[u8]) {
    if let Some(resume) = Resume::decode(octets) {
        assert_eq!(Resume::decode(&resume.encode()), Some(resume));
    }
    if let Some(moved) = Moved::decode(octets) {
        assert_eq!(Moved::decode(&moved.encode()), Some(moved));
    }
    if let Some(renames) = Renames::decode(octets) {
        assert_eq!(Renames::decode(&renames.encode()), Some(renames));
    }
    if let Some(record) = session::Record::decode(octets) {
        assert_eq!(session::Record::decode(&record.encode()), Some(record));
    }
}
