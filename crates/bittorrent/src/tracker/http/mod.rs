//! The HTTP tracker protocol (BEP 3, 7, 21, 23, 24, 31, 48), from both sides.
//!
//! A request is the query of a URL, a reply is bencoded. [`Head`] reads as much
//! of HTTP/1.1 as a tracker needs.

mod announce;
mod head;
mod query;
mod read;
mod scrape;
mod write;

pub use announce::{Announce, QueryError};
pub use head::{HEAD_OCTETS_MAX, Head, HeadError};
pub use query::Pairs;
pub use read::{AnnounceReply, PEERS_READ_MAX, Peer, REPLY_OCTETS_MAX, ReplyError, ScrapeReply};
pub use scrape::{Scrape, scrape_url};
pub use write::{Announced, write_announced, write_failure, write_scraped};
