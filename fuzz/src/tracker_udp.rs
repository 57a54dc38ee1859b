//! Datagrams of the UDP tracker protocol, from both sides.

use bittorrent::tracker::announcer::{ConnectionCache, Exchange, Progress};
use bittorrent::tracker::udp::{
    ANNOUNCE_REPLY_OCTETS, Announce, CONNECT_REPLY_OCTETS, ConnectionIds, Options, Reply, Request,
    SCRAPE_INFO_HASHES_MAX, write_announce_head, write_connect, write_error, write_scrape, write_url_data,
};
use bittorrent::tracker::{Event, Family};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::net::SocketAddr;
use std::time::Instant;

/// Octets of an error's text that are read.
const ERROR_OCTETS_MAX: usize = 256;

/// A datagram that a tracker or a client got.
pub fn tracker_udp(input: &[u8]) {
    request(input);
    reply(input);
    exchange(input);
}

fn request(input: &[u8]) {
    let request = match Request::read(input) {
        Ok(request) => request,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return assert_eq!(error.transaction_id.is_some(), input.len() >= 16, "a client can be answered");
        }
    };
    let written = request.write();
    assert!(written.len() <= input.len());
    assert_eq!(Request::read(&written), Ok(request), "what is written reads the same");
    match request {
        Request::Connect { .. } => {}
        Request::Scrape(scrape) => {
            assert!((1..=SCRAPE_INFO_HASHES_MAX).contains(&scrape.info_hashes().count()));
        }
        Request::Announce(announce) => {
            let url = announce.options.url_data().collect::<Vec<_>>().concat();
            assert!(url.len() <= announce.options.0.len());
            let mut options = Vec::new();
            write_url_data(&url, &mut options);
            assert_eq!(Options(&options).url_data().collect::<Vec<_>>().concat(), url);
            given(announce.connection_id);
        }
    }
}

/// An id that was not given is not accepted.
fn given(id: u64) {
    let (epoch, client) = (Instant::now(), [192, 0, 2, 1].into());
    let ids = ConnectionIds::new([7; 16], epoch);
    assert_eq!(ids.accepts(epoch, client, id), id == ids.give(epoch, client));
}

fn reply(input: &[u8]) {
    let Ok((transaction_id, reply)) = Reply::read(input) else { return };
    for family in [Family::V4, Family::V6] {
        let peers: Vec<_> = reply.peers(family).collect();
        assert!(peers.len() * family.peer_octets() <= input.len());
        assert!(peers.iter().all(|peer| Family::of(*peer) == family && peer.port() != 0));
    }
    let mut out = vec![0; input.len().max(ANNOUNCE_REPLY_OCTETS)];
    let length = match &reply {
        Reply::Connect { connection_id } => {
            assert_eq!(write_connect(transaction_id, *connection_id, &mut out), CONNECT_REPLY_OCTETS);
            CONNECT_REPLY_OCTETS
        }
        Reply::Announce { interval_seconds, leechers, seeds, peers } => {
            let length = write_announce_head(transaction_id, *interval_seconds, *leechers, *seeds, &mut out);
            out[length..length + peers.len()].copy_from_slice(peers);
            length + peers.len()
        }
        Reply::Scrape(scrape) => write_scrape(transaction_id, scrape.counts(), &mut out),
        Reply::Error { message } => {
            assert!(message.len() <= ERROR_OCTETS_MAX);
            match std::str::from_utf8(message) {
                Ok(message) => write_error(transaction_id, message, &mut out),
                Err(_) => return,
            }
        }
    };
    assert_eq!(out[..length], input[..length], "what was read is written the same");
}

/// A client that waits takes a datagram that fits its question, and none other.
fn exchange(input: &[u8]) {
    let now = Instant::now();
    let tracker: SocketAddr = ([192, 0, 2, 7], 6_969).into();
    let announce = Announce {
        connection_id: 0,
        transaction_id: 0,
        info_hash: [1; 20],
        peer_id: [2; 20],
        downloaded: 0,
        left: 0,
        uploaded: 0,
        event: Event::Started,
        ip: 0,
        key: 0,
        num_want: -1,
        port: 6_881,
        options: Options(&[]),
    };
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for scrapes in [false, true] {
        let mut cache = ConnectionCache::default();
        let mut exchange = if scrapes {
            Exchange::scrape(now, tracker, &[[1; 20]], 2, &cache, &mut random)
        } else {
            Exchange::announce(now, tracker, announce, b"/announce?x", 2, &cache, &mut random)
        };
        // Once to the connect, once to the question; the transaction is guessed.
        for _ in 0..2 {
            let sent = exchange.poll_transmit().expect("a request");
            assert!(Request::read(&sent).is_ok());
            let mut datagram = input.to_vec();
            let stranger: SocketAddr = ([192, 0, 2, 8], 6_969).into();
            if let Some(place) = datagram.get_mut(4..8) {
                place.copy_from_slice(&exchange.transaction_id().to_be_bytes());
            }
            let foreign = exchange.handle_datagram(now, stranger, &datagram, &mut cache, &mut random);
            assert_eq!(foreign, Progress::Continues, "others are not heard");
            match exchange.handle_datagram(now, tracker, &datagram, &mut cache, &mut random) {
                Progress::Continues => {}
                Progress::TimedOut => panic!("no time has passed"),
                Progress::Answered(_) => return assert_eq!(exchange.poll_timeout(), None),
            }
            // It goes on by itself, as far as the connection.
            let mut connected = [0; CONNECT_REPLY_OCTETS];
            write_connect(exchange.transaction_id(), 9, &mut connected);
            exchange.handle_datagram(now, tracker, &connected, &mut cache, &mut random);
        }
    }
}
