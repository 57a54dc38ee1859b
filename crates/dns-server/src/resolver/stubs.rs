//! Listening for stub resolvers over UDP and TCP.

use super::config::Prefix;
use super::engine::{Asked, Sink};
use crate::framing::{read_message, write_message};
use arc_swap::ArcSwapOption;
use dns::resolver::stub::{self, StubQuery, Unanswerable};
use domain::base::iana::OptRcode;
use event::{Detail, DnsEvent, Reporter};
use net::{Datagrams, Listener, Received, Shutdown, Stream};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Replies that wait for a client on one TCP connection; a client that does not
/// read loses further ones.
const REPLIES_PER_CONNECTION_MAX: usize = 64;
/// How long a client may take to accept a reply.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// Datagrams taken after the listener has closed: more than the system keeps.
const LAST_DATAGRAMS_MAX: usize = 16_384;

/// What a reload may change.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) allowed: Vec<Prefix>,
    pub(super) idle: Duration,
}

/// What a listener needs.
#[derive(Debug, Clone)]
pub(super) struct Stubs {
    pub(super) serving: Arc<ArcSwapOption<Serving>>,
    pub(super) questions: mpsc::Sender<Asked>,
    pub(super) reporter: Reporter,
    /// The end of connections.
    pub(super) shutdown: Shutdown,
    /// The end of this listener.
    pub(super) closing: Shutdown,
}

/// Where a query came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    pub(super) local: SocketAddr,
}

impl Stubs {
    /// Answers datagrams until the listener closes, and then those that wait, where
    /// nobody has taken the socket over.
    pub(super) async fn serve_datagrams(self, socket: Arc<Datagrams>) {
        let mut buffer = vec![0; 4_096];
        loop {
            let received = tokio::select! {
                // First, so that nothing is taken from who has taken over.
                biased;
                () = self.closing.requested() => break,
                received = socket.receive(&mut buffer) => received,
            };
            match received {
                Ok(received) => self.take_datagram(&socket, received, &buffer).await,
                // An earlier reply was not wanted (ICMP); the socket lives on.
                Err(error) => tracing::debug!(%error, "receiving a query"),
            }
        }
        for _ in 0..LAST_DATAGRAMS_MAX {
            let Some(received) = socket.receive_waiting(&mut buffer) else { return };
            self.take_datagram(&socket, received, &buffer).await;
        }
    }

    async fn take_datagram(&self, socket: &Arc<Datagrams>, received: Received, buffer: &[u8]) {
        let ends = Ends { client: received.peer, local: received.local };
        let octets = buffer.get(..received.octets).unwrap_or_default();
        if let Some(reply) = self.take(octets, ends, Sink::Datagrams(socket.clone())) {
            // From the address that was asked, on a host that has several.
            let _ = socket.send_from(&reply, ends.local, ends.client).await;
        }
    }

    /// Accepts connections until the listener closes.
    pub(super) async fn serve_streams(self, listener: Listener) {
        let closing = self.closing.clone();
        let serve = |stream| {
            let stubs = self.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = stubs.shutdown.requested() => {}
                    _ = stubs.serve_stream(stream) => {}
                }
            });
        };
        listener.each(closing, serve).await;
    }

    /// How long a connection may be idle.
    fn idle(&self) -> Duration {
        self.serving.load().as_ref().map_or(Duration::ZERO, |serving| serving.idle)
    }

    /// Queries on one connection may overtake each other (RFC 7766 section 7).
    async fn serve_stream(&self, stream: Stream) -> io::Result<()> {
        let ends = Ends { client: stream.peer_addr(), local: stream.local_addr() };
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (sender, mut replies) = mpsc::channel::<Vec<u8>>(REPLIES_PER_CONNECTION_MAX);
        let read = async move {
            loop {
                let octets = tokio::time::timeout(self.idle(), read_message(&mut reader)).await??;
                if let Some(reply) = self.take(&octets, ends, Sink::Stream(sender.clone())) {
                    let _ = sender.try_send(reply);
                }
            }
        };
        let write = async {
            while let Some(reply) = replies.recv().await {
                tokio::time::timeout(WRITE_PATIENCE, write_message(&mut writer, &reply)).await??;
            }
            io::Result::Ok(())
        };
        tokio::pin!(write);
        // A client that sends no more still gets the replies it waits for.
        tokio::select! {
            ended = &mut write => ended,
            _ended = async { let ended: io::Result<()> = read.await; ended } => write.await,
        }
    }

    /// Takes a query: hands it on, or gives the reply that can be given at once.
    fn take(&self, octets: &[u8], ends: Ends, sink: Sink) -> Option<Vec<u8>> {
        let query = match stub::read(octets) {
            Ok(query) => query,
            Err(Unanswerable::Ignore) => return None,
            Err(Unanswerable::Reply(reply)) => return Some(reply),
        };
        self.tell(&query, ends);
        let serving = self.serving.load();
        let allowed = serving.as_ref().map(|serving| &serving.allowed[..]).unwrap_or_default();
        if !allowed.iter().any(|prefix| prefix.contains(ends.client.ip())) {
            self.reporter.tell(DnsEvent::Refused {
                peer: ends.client,
                reason: format!("{} is in no network of resolver.allow", ends.client.ip()),
            });
            return Some(query.error(OptRcode::REFUSED));
        }
        if let Some(reply) = query.answer_at_once() {
            return Some(reply);
        }
        match self.questions.try_send(Asked::Stub { query, ends, sink }) {
            Ok(()) => None,
            Err(
                mpsc::error::TrySendError::Full(Asked::Stub { query, .. })
                | mpsc::error::TrySendError::Closed(Asked::Stub { query, .. }),
            ) => Some(query.error(OptRcode::SERVFAIL)),
            Err(_) => None,
        }
    }

    fn tell(&self, query: &StubQuery, ends: Ends) {
        self.reporter.tell_with(Detail::Message, || DnsEvent::Query {
            from: ends.client,
            to: ends.local,
            id: query.id,
            question: query.question.to_string(),
            recursive: query.recursion_desired,
        });
    }
}

#[cfg(test)]
mod tests {
    //! Questions that nobody takes.
    use super::*;
    use crate::resolver::QUESTIONS_WAITING_MAX;
    use domain::base::MessageBuilder;
    use domain::base::iana::{Class, Rtype};

    #[test]
    fn questions_beyond_what_may_wait_get_servfail() {
        let (questions, mut waiting) = mpsc::channel(QUESTIONS_WAITING_MAX);
        let config = crate::resolver::Config::default();
        let serving = Serving { allowed: config.allowed().unwrap(), idle: Duration::from_secs(1) };
        let stubs = Stubs {
            serving: Arc::new(ArcSwapOption::from_pointee(serving)),
            questions,
            reporter: Reporter::silent(),
            shutdown: Shutdown::new(),
            closing: Shutdown::new(),
        };
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_rd(true);
        let mut builder = builder.question();
        builder.push((dns::master::name("a.example").unwrap(), Rtype::A, Class::IN)).unwrap();
        let query = builder.finish();
        let ends = Ends { client: "127.0.0.1:1".parse().unwrap(), local: "127.0.0.1:2".parse().unwrap() };
        let (replies, _kept) = mpsc::channel(1);
        let ask = || stubs.take(&query, ends, Sink::Stream(replies.clone()));
        for _ in 0..QUESTIONS_WAITING_MAX {
            assert_eq!(ask(), None);
        }
        let refused = ask().expect("a reply at once");
        assert_eq!(refused[3] & 0xF, 2, "SERVFAIL");
        // There is room again once one is taken.
        waiting.try_recv().unwrap();
        assert_eq!(ask(), None);
    }
}
