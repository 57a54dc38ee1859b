//! Nodes that do not mean well.

use crate::network::Network;
use bittorrent::dht::Id;
use bittorrent::dht::krpc::{Body, Message, Method, Response};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// How somebody is hostile.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hostile {
    /// Names nodes that are not there, nearer to the target than any.
    Liar(Id),
    /// Has another id each time, always nearest to the target.
    Shifter,
    /// Replies with anything but a message.
    Garbler,
    /// Replies to one query with many responses, of which one would do.
    Echo(Id),
    /// Claims many peers and items that are none.
    Forger(Id),
}

impl Hostile {
    /// What it sends back.
    pub(crate) fn reply(self, octets: &[u8], rng: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
        let Ok(Message { transaction, body: Body::Query(query), .. }) = Message::read(octets) else {
            return Vec::new();
        };
        let target = match &query.method {
            Method::FindNode { target, .. } | Method::Get { target, .. } => *target,
            Method::GetPeers(get) => get.info_hash,
            _ => query.id,
        };
        let response = |id: Id| Response { id: Some(id), token: Some(vec![1]), ..Response::default() };
        let encode = |response: Response| {
            Message::new(transaction.clone(), Body::Response(Box::new(response))).encode()
        };
        match self {
            Hostile::Liar(id) => {
                let nodes = (0..16).map(|_| Network::made_up(&target, rng)).collect();
                vec![encode(Response { nodes: Some(nodes), ..response(id) })]
            }
            Hostile::Shifter => vec![encode(response(target.random_sharing(50, true, rng)))],
            Hostile::Garbler => {
                let mut garbage = vec![b'd'; 1 + rng.next_u32() as usize % 1_400];
                rng.fill_bytes(&mut garbage);
                vec![garbage]
            }
            Hostile::Echo(id) => vec![encode(response(id)); 50],
            Hostile::Forger(id) => vec![encode(Response {
                values: (0..50).map(|_| Network::made_up(&target, rng).address).collect(),
                value: Some(b"6:forged".to_vec()),
                key: Some([7; 32]),
                signature: Some([7; 64]),
                sequence: Some(i64::MAX),
                ..response(id)
            })],
        }
    }
}
