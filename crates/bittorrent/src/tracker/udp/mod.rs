//! The UDP tracker protocol (BEP 15) with its URL data option (BEP 41), from
//! both sides.
//!
//! A client first asks for a connection id, which is sent to the address it
//! claims to have; only who can read there can announce. [`ConnectionIds`] keeps
//! no memory of them.

mod connection;
mod options;
mod reply;
mod request;
mod siphash;

pub use connection::{CONNECTION_SECONDS_MAX, ConnectionIds};
pub use options::{Options, UrlData, write_url_data};
pub use reply::{
    ANNOUNCE_REPLY_OCTETS, CONNECT_REPLY_OCTETS, Reply, ReplyError, ScrapeReply, write_announce_head,
    write_connect, write_error, write_scrape,
};
pub use request::{
    ANNOUNCE_OCTETS, Announce, CONNECT_OCTETS, Request, RequestError, SCRAPE_INFO_HASHES_MAX, Scrape,
    WhatIsWrong,
};

const ACTION_CONNECT: u32 = 0;
const ACTION_ANNOUNCE: u32 = 1;
const ACTION_SCRAPE: u32 = 2;
const ACTION_ERROR: u32 = 3;

/// So many octets at a place, where they are.
#[inline]
fn field<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..at + N)?.try_into().ok()
}

#[inline]
fn number(octets: &[u8], at: usize) -> Option<u32> {
    field(octets, at).map(u32::from_be_bytes)
}
