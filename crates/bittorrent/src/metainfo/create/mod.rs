//! Making a torrent.
//!
//! [`Creator`] is told which files there are, says in which order it wants their
//! octets, hashes them as they come and gives the [`Metainfo`]. Whoever uses it
//! reads the files.

mod hashing;
mod plan;
#[cfg(test)]
mod tests;
mod write;

pub use plan::{CreateError, CreateOptions, FileSpec, PIECES_AIM, piece_length_for};

use super::document::Metainfo;
use super::info::Info;
use super::layers::PieceLayers;
use super::limits::Limits;
use hashing::Hashing;
use plan::Plan;

/// Makes a torrent of files whose octets it is fed.
#[derive(Debug)]
pub struct Creator {
    plan: Plan,
    options: CreateOptions,
    hashing: Hashing,
    total_octets: u64,
    done_octets: u64,
}

impl Creator {
    /// Begins a torrent of these files.
    ///
    /// # Errors
    /// When a name is not safe or stands twice, there is no content, or an option
    /// is out of its range.
    pub fn new(files: Vec<FileSpec>, options: CreateOptions) -> Result<Self, CreateError> {
        let plan = Plan::new(files, &options)?;
        let hashing = Hashing::new(&plan);
        let total_octets = plan.files.iter().map(|file| file.spec.length).sum();
        Ok(Self { plan, options, hashing, total_octets, done_octets: 0 })
    }

    /// The files with content in the order in which [`Creator::update`] wants them:
    /// each is the index in the list that it was told.
    pub fn order(&self) -> impl Iterator<Item = usize> {
        self.plan.files.iter().filter(|file| file.spec.length > 0).map(|file| file.index)
    }

    /// Octets of a piece.
    pub fn piece_length(&self) -> u32 {
        self.plan.piece_length
    }

    /// Octets of all files.
    pub fn total_octets(&self) -> u64 {
        self.total_octets
    }

    /// Octets that have been hashed.
    pub fn done_octets(&self) -> u64 {
        self.done_octets
    }

    /// Takes the next octets: those of the files one after the other, cut anywhere,
    /// without padding.
    ///
    /// # Errors
    /// When there are more than the files have: one has grown meanwhile.
    pub fn update(&mut self, octets: &[u8]) -> Result<(), CreateError> {
        let left = self.total_octets - self.done_octets;
        if octets.len() as u64 > left {
            return Err(CreateError::Surplus);
        }
        self.done_octets += octets.len() as u64;
        self.hashing.update(&self.plan, octets);
        Ok(())
    }

    /// The torrent; [`Metainfo::encode`] gives the octets of its file.
    ///
    /// # Errors
    /// When octets are missing: a file has shrunk meanwhile.
    pub fn finish(self) -> Result<Metainfo, CreateError> {
        let missing_octets = self.total_octets - self.done_octets;
        if missing_octets > 0 {
            return Err(CreateError::Missing { missing_octets });
        }
        let hashes = self.hashing.finish();
        let octets = write::info(&self.plan, &self.options, &hashes);
        let limits = Limits { metainfo_octets_max: usize::MAX, values_max: usize::MAX, ..Limits::DEFAULT };
        let info = Info::parse(&octets, &limits)?;
        let mut piece_layers = PieceLayers::new();
        let layout = info.layout();
        let files = layout.files().iter().enumerate().filter(|(_, file)| file.pieces_root.is_some());
        for ((index, _), hashes) in files.zip(hashes.files) {
            if hashes.piece_layer.len() > 1 {
                piece_layers.insert(layout, index, hashes.piece_layer)?;
            }
        }
        let options = self.options;
        Ok(Metainfo {
            info,
            piece_layers,
            trackers: options.trackers.into_iter().filter(|tier| !tier.is_empty()).collect(),
            web_seeds: options.web_seeds,
            http_seeds: Vec::new(),
            nodes: options.nodes,
            comment: options.comment,
            created_by: options.created_by,
            creation_date_seconds: options.creation_date_seconds,
        })
    }
}
