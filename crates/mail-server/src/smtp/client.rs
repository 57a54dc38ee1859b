//! The client's session on a connection: for the queue, which sends to other
//! hosts, and for user agents, which submit.

use mail::address::{Address, Path};
use mail::smtp::{Client, ClientError, ClientStep, Message, Outcome, Reply, StartTls};
use net::{Network, Stream};
use rustls::ClientConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Why a session failed.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There was no connection, or it broke.
    #[error("{server}: {source}")]
    Connection {
        /// The server.
        server: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The server did not answer in time.
    #[error("{server} did not answer within {seconds} s")]
    TimedOut {
        /// The server.
        server: SocketAddr,
        /// How long was waited.
        seconds: u64,
    },
    /// TLS could not be begun.
    #[error("{server}: the TLS handshake failed: {source}")]
    Tls {
        /// The server.
        server: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The server broke the rules, or refused the session.
    #[error("{server}: {source}")]
    Protocol {
        /// The server.
        server: SocketAddr,
        /// Why.
        source: ClientError,
    },
    /// The name or password is wrong.
    #[error("{server} refused the login: {reply}")]
    Login {
        /// The server.
        server: SocketAddr,
        /// What it said.
        reply: Reply,
    },
}

/// How to reach a server.
#[derive(Clone)]
pub struct Target {
    /// Its address.
    pub address: SocketAddr,
    /// Its name, which its certificate must bear where that is checked.
    pub name: String,
    /// What we call ourselves.
    pub hostname: String,
    /// When to go under TLS.
    pub security: Security,
    /// How long to wait for the connection, and for the TLS handshake.
    pub connect_patience: Duration,
    /// How long to wait for any one reply; RFC 5321's times hold where shorter.
    pub reply_patience: Duration,
}

/// When to go under TLS.
#[derive(Clone)]
pub enum Security {
    /// Never.
    Clear,
    /// STARTTLS where it is offered.
    Opportunistic(Arc<ClientConfig>),
    /// STARTTLS, or nothing.
    StartTls(Arc<ClientConfig>),
    /// From the first octet (RFC 8314).
    Tls(Arc<ClientConfig>),
}

/// An open session.
pub(crate) struct Connection {
    stream: Option<Stream>,
    client: Client,
    target: Target,
}

impl Connection {
    /// Connects, greets, goes under TLS; the session is then ready.
    pub(crate) async fn open(network: &Network, target: Target) -> Result<Self, SendError> {
        let server = target.address;
        let stream = network
            .connect(server, target.connect_patience)
            .await
            .map_err(|source| SendError::Connection { server, source })?;
        let (starttls, implicit) = match &target.security {
            Security::Clear => (StartTls::Never, None),
            Security::Opportunistic(_) => (StartTls::IfOffered, None),
            Security::StartTls(_) => (StartTls::Required, None),
            Security::Tls(config) => (StartTls::Never, Some(config.clone())),
        };
        let client = Client::new(&target.hostname, starttls, implicit.is_some());
        let mut connection = Self { stream: Some(stream), client, target };
        if let Some(config) = implicit {
            connection.start_tls(config).await?;
        }
        loop {
            match connection.next().await? {
                ClientStep::Ready => return Ok(connection),
                ClientStep::StartTls => {
                    let (Security::Opportunistic(config) | Security::StartTls(config)) =
                        connection.target.security.clone()
                    else {
                        return Err(connection.broken());
                    };
                    connection.start_tls(config).await?;
                    connection.client.tls_started();
                }
                _ => return Err(connection.broken()),
            }
        }
    }

    /// Logs in.
    pub(crate) async fn authenticate(&mut self, user: &str, password: &str) -> Result<(), SendError> {
        use base64::Engine as _;
        let server = self.target.address;
        let nonce = base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 18]>());
        self.client
            .authenticate(user, password, &nonce)
            .map_err(|source| SendError::Protocol { server, source })?;
        match self.next().await? {
            ClientStep::Authenticated => Ok(()),
            ClientStep::AuthenticationFailed(reply) => Err(SendError::Login { server, reply }),
            _ => Err(self.broken()),
        }
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, message: Message) -> Result<Outcome, SendError> {
        self.client.send(message);
        loop {
            match self.next().await? {
                ClientStep::Sent(outcome) => return Ok(outcome),
                ClientStep::Ready => {}
                _ => return Err(self.broken()),
            }
        }
    }

    /// Ends the session politely.
    pub(crate) async fn quit(mut self) {
        self.client.quit();
        let _ = tokio::time::timeout(Duration::from_secs(5), self.next()).await;
    }

    /// Whether it is under TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_tls)
    }

    /// The server.
    pub(crate) fn server(&self) -> SocketAddr {
        self.target.address
    }

    fn broken(&self) -> SendError {
        SendError::Connection {
            server: self.target.address,
            source: io::Error::new(io::ErrorKind::ConnectionAborted, "the session ended"),
        }
    }

    async fn start_tls(&mut self, config: Arc<ClientConfig>) -> Result<(), SendError> {
        let server = self.target.address;
        let Some(stream) = self.stream.take() else { return Err(self.broken()) };
        let handshake = stream.connect_tls(config, &self.target.name);
        let stream = tokio::time::timeout(self.target.connect_patience, handshake)
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
            .map_err(|source| SendError::Tls { server, source })?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Writes and reads until the session has something to say.
    async fn next(&mut self) -> Result<ClientStep, SendError> {
        let server = self.target.address;
        let mut buffer = vec![0; 4096];
        loop {
            let step = self.client.poll().map_err(|source| SendError::Protocol { server, source })?;
            let output = self.client.take_output();
            let patience = self.client.patience().min(self.target.reply_patience);
            if output.is_empty() && step != ClientStep::Input {
                return Ok(step);
            }
            let broken = self.broken();
            let Some(stream) = self.stream.as_mut() else { return Err(broken) };
            let work = async {
                // In blocks, each with its own patience, so that a long message
                // on a slow line is not given up.
                for block in output.chunks(64 * 1024) {
                    within(patience, stream.write_all(block)).await?;
                }
                within(patience, stream.flush()).await?;
                if step == ClientStep::Input {
                    within(patience, stream.read(&mut buffer)).await
                } else {
                    Ok(1)
                }
            };
            let read = work.await.map_err(|source| match source.kind() {
                io::ErrorKind::TimedOut => SendError::TimedOut { server, seconds: patience.as_secs() },
                _ => SendError::Connection { server, source },
            })?;
            if step != ClientStep::Input {
                return Ok(step);
            }
            if read == 0 {
                return Err(self.broken());
            }
            self.client.receive(buffer.get(..read).unwrap_or_default());
        }
    }
}

async fn within<T>(patience: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A message to be submitted.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The reverse-path; `None` for the null one.
    pub from: Option<Address>,
    /// The recipients, at least one.
    pub recipients: Vec<Address>,
    /// Header and body.
    pub message: bytes::Bytes,
    /// Who logs in, and their password; only under TLS.
    pub login: Option<(String, String)>,
}

/// Submits one message and returns what the server said for each recipient.
pub async fn submit(
    network: &Network,
    target: Target,
    submission: Submission,
) -> Result<Vec<Reply>, SendError> {
    let mut connection = Connection::open(network, target).await?;
    if let Some((user, password)) = &submission.login {
        connection.authenticate(user, password).await?;
    }
    let header_end = submission.message.windows(4).position(|octets| octets == b"\r\n\r\n");
    let header = submission.message.get(..header_end.unwrap_or(submission.message.len())).unwrap_or_default();
    let message = Message {
        from: submission.from.map_or(Path::Null, Path::Address),
        recipients: submission.recipients,
        smtputf8: !header.is_ascii(),
        octets: submission.message,
    };
    let outcome = connection.send(message).await?;
    if !outcome.closed {
        connection.quit().await;
    }
    Ok(outcome.recipients)
}
