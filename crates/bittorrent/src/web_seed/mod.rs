//! Web seeds: web servers that have the files of a torrent (BEP 19), or a script
//! that gives out its pieces (BEP 17). Which requests bring which blocks, and
//! what an answer is good for; whoever carries them is the service.
//!
//! To the rules of a torrent a web seed is a peer that has all and asks for
//! nothing ([`crate::torrent::PeerFacts::web_seed`]). The blocks it is asked for
//! at a time become a [`plan`]: their octets one after the other, from as few
//! requests as can be.

mod answer;
mod plan;

pub use answer::{Answer, Verdict};
pub use plan::{Request, Step, plan};

use std::fmt;

/// Web seeds of one torrent that are asked at once; others step in for those that
/// are of no use.
pub const WEB_SEEDS_ACTIVE_MAX: usize = 8;

/// One web seed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebSeed {
    /// Has the files (BEP 19): the address of the file, or of the folder they are
    /// in.
    Files(String),
    /// A script that is asked for octets of pieces (BEP 17).
    Script(String),
}

impl WebSeed {
    /// Its address.
    pub fn address(&self) -> &str {
        match self {
            WebSeed::Files(address) | WebSeed::Script(address) => address,
        }
    }
}

impl fmt::Display for WebSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.address())
    }
}
