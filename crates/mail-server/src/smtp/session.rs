//! One connection: octets between the socket and the rules, and the answers to
//! what the rules ask.

use super::login::{Login, User};
use super::{Face, Service};
use crate::mailbox::AccountId;
use event::{Detail, MailEvent};
use mail::address::{Address, Path};
use mail::smtp::{Answer, EnhancedCode, Exchange, Reply, Role, Session, Settings, Step};
use net::Stream;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Octets read at once.
const READ_OCTETS_MAX: usize = 16 * 1024;

/// How long to wait for a client to take what it is sent.
const WRITE_PATIENCE: Duration = Duration::from_mins(1);

/// A recipient of the transaction under way.
#[derive(Debug, Clone)]
pub(super) enum Recipient {
    Local(AccountId),
    Remote(Address),
}

/// Serves one connection to its end.
pub(super) async fn serve(service: Arc<Service>, face: Face, stream: Stream) {
    let peer = stream.peer_addr();
    if let Err(error) = Connection::run(&service, face, stream).await {
        tracing::debug!(%peer, %error, "an SMTP connection broke");
    }
}

pub(super) struct Connection<'a> {
    pub(super) service: &'a Service,
    pub(super) face: Face,
    pub(super) stream: Stream,
    session: Session,
    buffer: Box<[u8]>,
    login: Login,
    pub(super) user: Option<User>,
    pub(super) recipients: Vec<Recipient>,
    receiving: Receiving<'a>,
    /// When it must be over.
    ends: Instant,
}

/// This connection's share of what is being received.
struct Receiving<'a> {
    all: &'a AtomicUsize,
    octets: usize,
}

impl Receiving<'_> {
    /// Takes note of octets; returns how many all connections hold now.
    fn add(&mut self, octets: usize) -> usize {
        self.octets += octets;
        self.all.fetch_add(octets, Ordering::Relaxed) + octets
    }

    fn clear(&mut self) {
        self.all.fetch_sub(std::mem::take(&mut self.octets), Ordering::Relaxed);
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<'a> Connection<'a> {
    fn new(service: &'a Service, face: Face, stream: Stream, session: Session, ends: Instant) -> Self {
        Self {
            service,
            face,
            stream,
            session,
            buffer: vec![0; READ_OCTETS_MAX].into(),
            login: Login::None,
            user: None,
            recipients: Vec::new(),
            receiving: Receiving { all: &service.receiving, octets: 0 },
            ends,
        }
    }

    async fn run(service: &'a Service, face: Face, stream: Stream) -> io::Result<()> {
        let ends = Instant::now() + Duration::from_secs(service.config.session_seconds_max);
        let handshake = Duration::from_secs(service.config.handshake_seconds_max);
        let stream = match face {
            Face::Submissions => within(handshake, stream.accept_tls(service.tls.clone())).await?,
            Face::Exchange | Face::Submission => stream,
        };
        let session = Session::new(Settings {
            hostname: service.hostname.clone(),
            role: if face == Face::Exchange { Role::Exchange } else { Role::Submission },
            tls: face == Face::Submissions,
            starttls: face != Face::Submissions,
            limits: service.config.limits(),
            tell: service.reporter.wants(Detail::Message),
        });
        let mut connection = Self::new(service, face, stream, session, ends);
        loop {
            let step = connection.session.poll();
            connection.tell();
            match step {
                Step::Input => connection.read().await?,
                Step::Close => {
                    connection.flush().await?;
                    let _ = within(WRITE_PATIENCE, connection.stream.shutdown()).await;
                    return Ok(());
                }
                Step::StartTls => {
                    connection.flush().await?;
                    // Moved out and in again; the session is over if it fails.
                    let Self { stream, mut session, .. } = connection;
                    let stream = within(handshake, stream.accept_tls(service.tls.clone())).await?;
                    session.tls_started();
                    connection = Self::new(service, face, stream, session, ends);
                }
                step => connection.answer(step).await?,
            }
        }
    }

    async fn answer(&mut self, step: Step) -> io::Result<()> {
        let answer = match step {
            Step::Sender { from, .. } => {
                self.recipients.clear();
                self.sender(&from).await
            }
            Step::Recipient { to } => self.recipient(&to).await,
            Step::Message { envelope, message } => {
                self.flush().await?;
                self.message(envelope, message).await
            }
            Step::Authenticate { mechanism, initial } => {
                let (answer, user) =
                    self.login.begin(self.service, self.stream.peer_addr(), mechanism, initial).await;
                self.user = user;
                answer
            }
            Step::Response(response) => {
                let (answer, user) =
                    self.login.respond(self.service, self.stream.peer_addr(), &response).await;
                self.user = user;
                answer
            }
            Step::AuthenticationCancelled => {
                self.login = Login::None;
                return Ok(());
            }
            Step::Input | Step::Close | Step::StartTls => return Ok(()),
        };
        if let Answer::Refuse(reply) = &answer {
            let event = MailEvent::Refused { peer: self.stream.peer_addr(), reason: reply.to_string() };
            self.service.reporter.tell(event);
        }
        self.session.answer(answer);
        Ok(())
    }

    async fn sender(&self, from: &Path) -> Answer {
        let (Path::Address(address), Some(user)) = (from, &self.user) else {
            return Answer::Accept(String::new());
        };
        if !self.service.config.own_address_only || self.is_own(user, address).await {
            return Answer::Accept(String::new());
        }
        let text = format!("you are logged in as {} and may send with that address only", user.address);
        Answer::Refuse(Reply::new(553, EnhancedCode(5, 7, 1), text))
    }

    /// Whether an address is the user's own; sub-addresses are.
    pub(super) async fn is_own(&self, user: &User, address: &Address) -> bool {
        matches!(self.service.directory.find(address).await, Ok(Some(account)) if account == user.account)
    }

    async fn recipient(&mut self, to: &Path) -> Answer {
        let directory = &self.service.directory;
        let found = match to {
            Path::Postmaster => directory.postmaster().await,
            Path::Address(address) if directory.is_local(address.domain()) => directory.find(address).await,
            Path::Address(address) if self.user.is_some() => {
                self.recipients.push(Recipient::Remote(address.clone()));
                return Answer::Accept(String::new());
            }
            _ => {
                return Answer::Refuse(Reply::new(
                    550,
                    EnhancedCode(5, 7, 1),
                    "relaying denied: no such domain here",
                ));
            }
        };
        match found {
            Ok(Some(account)) => match self.service.mailboxes.usage(account).await {
                Ok(usage) if usage.octets >= usage.octets_max || usage.messages >= usage.messages_max => {
                    Answer::Refuse(Reply::new(452, EnhancedCode(4, 2, 2), "the mailbox is full"))
                }
                Ok(_) => {
                    self.recipients.push(Recipient::Local(account));
                    Answer::Accept(String::new())
                }
                Err(error) => unavailable(&error),
            },
            Ok(None) => {
                Answer::Refuse(Reply::new(550, EnhancedCode(5, 1, 1), format!("no mailbox {to} here")))
            }
            Err(error) => unavailable(&error),
        }
    }

    /// Sends what waits, then reads.
    async fn read(&mut self) -> io::Result<()> {
        self.flush().await?;
        if !self.session.is_receiving_message() {
            self.receiving.clear();
        }
        let left = self.ends.saturating_duration_since(Instant::now());
        let command = Duration::from_secs(self.service.config.command_seconds_max);
        let (patience, text) = if left < command {
            (left, "the session has taken too long, closing")
        } else {
            (command, "waited too long, closing")
        };
        tokio::select! {
            // First, since a client that always has something to say is never waited for.
            biased;
            () = tokio::time::sleep(patience) => {
                self.session.close(&Reply::new(421, EnhancedCode(4, 4, 2), text));
            }
            read = self.stream.read(&mut self.buffer) => match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.take(read),
                Err(error) => return Err(error),
            },
            () = self.service.shutdown.requested() => {
                self.session.close(&Reply::new(421, EnhancedCode(4, 3, 2), "the server is stopping; try again soon"));
            }
        }
        Ok(())
    }

    /// Hands what was read to the rules, within the bound of all connections.
    fn take(&mut self, read: usize) {
        if self.session.is_receiving_message()
            && self.receiving.add(read) > self.service.config.receiving_octets_max
        {
            let text = "too much mail is coming in at once; try again soon";
            self.session.close(&Reply::new(421, EnhancedCode(4, 3, 1), text));
            return;
        }
        self.session.receive(self.buffer.get(..read).unwrap_or_default());
    }

    async fn flush(&mut self) -> io::Result<()> {
        let output = self.session.take_output();
        within(WRITE_PATIENCE, async {
            self.stream.write_all(&output).await?;
            self.stream.flush().await
        })
        .await
    }

    fn tell(&mut self) {
        let (client, server) = (self.stream.peer_addr(), self.stream.local_addr());
        for exchange in self.session.take_exchanges() {
            self.service.reporter.tell(match exchange {
                Exchange::Command(line) => MailEvent::Command { from: client, to: server, line },
                Exchange::Reply(line) => MailEvent::Reply { from: server, to: client, line },
                Exchange::Data { octets, lines } => {
                    MailEvent::Data { from: client, to: server, octets, lines }
                }
            });
        }
    }
}

/// Our own fault: the client is to try again.
pub(super) fn unavailable(error: &dyn std::error::Error) -> Answer {
    tracing::error!(error = %error, "mail cannot be taken");
    Answer::Refuse(Reply::new(451, EnhancedCode(4, 3, 0), "a failure here; try again later"))
}

async fn within<T>(patience: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
