//! The authoritative server and the resolver: bytes between sockets, storage and the rules of dns.

pub mod authoritative;
mod framing;
mod publish;
pub mod resolver;
pub mod update_client;
