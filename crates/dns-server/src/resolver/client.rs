//! One question to one server, as a stub resolver asks it.

use crate::framing::exchange;
use bytes::Bytes;
use dns::resolver::{Fit, Question, Reply, Transport, UDP_PAYLOAD_OCTETS, fit, read};
use domain::base::MessageBuilder;
use domain::base::iana::Class;
use net::Network;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a reply to one datagram is waited for.
const DATAGRAM_PATIENCE: Duration = Duration::from_secs(2);
/// How often a datagram is sent.
const DATAGRAMS_MAX: usize = 3;
/// How long an exchange over TCP may take.
const STREAM_PATIENCE: Duration = Duration::from_secs(5);

/// How to ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct AskOptions {
    /// Over TCP at once; otherwise over UDP, and TCP only if the reply was cut short.
    pub tcp: bool,
    /// With DNSSEC records (DO, RFC 3225).
    pub dnssec: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Exchanged {
    /// The reply.
    pub reply: Reply,
    /// Over which transport it came.
    pub transport: Transport,
    /// Octets of the reply.
    pub octets: usize,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing came.
    #[error("{server} did not answer; is a name server running there? (--server ADDRESS:PORT asks another)")]
    Silent {
        /// The server.
        server: SocketAddr,
    },
    /// The network said no.
    #[error("{server} cannot be reached: {source}")]
    Network {
        /// The server.
        server: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The reply is no DNS message, or answers something else.
    #[error("the reply of {server} cannot be read: it is malformed or answers another question")]
    Malformed {
        /// The server.
        server: SocketAddr,
    },
}

/// Asks `server`.
pub async fn ask(
    network: &Network,
    server: SocketAddr,
    question: &Question,
    options: AskOptions,
) -> Result<Exchanged, AskError> {
    let id = rand::random();
    let query = query(id, question, options).ok_or(AskError::Malformed { server })?;
    let begun = Instant::now();
    let wrong = |source: io::Error| match source.kind() {
        io::ErrorKind::TimedOut => AskError::Silent { server },
        _ => AskError::Network { server, source },
    };
    let mut transport = if options.tcp { Transport::Tcp } else { Transport::Udp };
    let mut octets = Bytes::new();
    if transport == Transport::Udp {
        octets = by_datagram(network, server, question, id, &query).await.map_err(wrong)?;
        if fit(&octets, id, &question.name, question.rtype, false) == Fit::Truncated {
            transport = Transport::Tcp;
        }
    }
    if transport == Transport::Tcp {
        octets = exchange(network, server, &query, STREAM_PATIENCE).await.map_err(wrong)?.into();
        if fit(&octets, id, &question.name, question.rtype, false) == Fit::Mismatch {
            return Err(AskError::Malformed { server });
        }
    }
    let elapsed = begun.elapsed();
    let reply = read(&octets).ok_or(AskError::Malformed { server })?;
    Ok(Exchanged { reply, transport, octets: octets.len(), elapsed })
}

fn query(id: u16, question: &Question, options: AskOptions) -> Option<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((&question.name, question.rtype, Class::IN)).ok()?;
    let mut builder = builder.additional();
    builder
        .opt(|opt| {
            opt.set_udp_payload_size(UDP_PAYLOAD_OCTETS);
            opt.set_dnssec_ok(options.dnssec);
            Ok(())
        })
        .ok()?;
    Some(builder.finish())
}

/// Sends the query up to [`DATAGRAMS_MAX`] times and takes the first reply that fits.
async fn by_datagram(
    network: &Network,
    server: SocketAddr,
    question: &Question,
    id: u16,
    query: &[u8],
) -> io::Result<Bytes> {
    let socket = super::upstream::open(network, server).await?;
    let mut buffer = vec![0; 65_535];
    for _ in 0..DATAGRAMS_MAX {
        socket.send_to(query, server).await?;
        let until = tokio::time::Instant::now() + DATAGRAM_PATIENCE;
        while let Ok(received) = tokio::time::timeout_at(until, socket.receive_from(&mut buffer)).await {
            let (length, from) = received?;
            let octets = buffer.get(..length).unwrap_or_default();
            if from == server && fit(octets, id, &question.name, question.rtype, false) != Fit::Mismatch {
                return Ok(Bytes::copy_from_slice(octets));
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    //! How often a silent server is asked.
    use super::*;
    use domain::base::iana::Rtype;

    #[tokio::test]
    async fn a_silent_server_is_asked_only_so_often() {
        let network = Network::new();
        let silent = network.datagrams("127.0.0.1:0".parse().unwrap()).unwrap();
        let question = Question { name: dns::master::name("a.test").unwrap(), rtype: Rtype::A };
        let asked = ask(&network, silent.local_addr().unwrap(), &question, AskOptions::default());
        let mut buffer = [0; 512];
        let counting = async {
            let mut datagrams = 0;
            while silent.receive_from(&mut buffer).await.is_ok() {
                datagrams += 1;
                assert!(datagrams <= DATAGRAMS_MAX);
            }
        };
        tokio::select! {
            biased;
            () = counting => panic!("the socket failed"),
            asked = asked => assert!(asked.is_err()),
        }
    }
}
