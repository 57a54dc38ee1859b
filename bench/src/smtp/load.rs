//! The load: clients that each keep one connection and send one message after
//! another, with our own client's rules.

use super::{DOMAIN, USERS};
use mail::address::{Address, Path};
use mail::smtp::{Client, ClientStep, Message, StartTls};
use net::Network;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Octets of a message, about.
const MESSAGE_OCTETS: usize = 4096;

/// How long to wait for a connection, and for any one reply.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is sent where.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) clients: usize,
    pub(super) messages: usize,
    /// The first message's number; no two messages are equal.
    pub(super) first: usize,
}

impl Load {
    /// Sends everything, on one thread. Returns the seconds of processor time
    /// it took.
    pub(super) fn run(self) -> io::Result<f64> {
        let work = move || -> io::Result<f64> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(self.send())?;
            cpu_seconds_of_this_thread()
        };
        thread::spawn(work).join().map_err(|_| io::Error::other("the load panicked"))?
    }

    async fn send(self) -> io::Result<()> {
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..self.clients {
            clients.spawn(self.session(client));
        }
        while let Some(ended) = clients.join_next().await {
            ended.map_err(io::Error::other)??;
        }
        Ok(())
    }

    /// One client: every message whose turn is its own.
    async fn session(self, client: usize) -> io::Result<()> {
        let mut stream = Network::new().connect(self.address, PATIENCE).await?;
        let mut session = Client::new("client.test", StartTls::Never, false);
        let mut numbers = (client..self.messages).step_by(self.clients);
        let mut buffer = [0; 4096];
        loop {
            match session.poll().map_err(io::Error::other)? {
                ClientStep::Ready => match numbers.next() {
                    Some(number) => session.send(message(self.first + number)?),
                    None => session.quit(),
                },
                ClientStep::Input => {
                    stream.write_all(&session.take_output()).await?;
                    let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await??;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    session.receive(buffer.get(..read).unwrap_or_default());
                }
                ClientStep::Sent(outcome) => {
                    if let Some(refused) = outcome.recipients.iter().find(|reply| reply.code() / 100 != 2) {
                        return Err(io::Error::other(format!("{} said {refused}", self.address)));
                    }
                }
                ClientStep::Closed => return Ok(()),
                step => return Err(io::Error::other(format!("{step:?} was not expected"))),
            }
        }
    }
}

/// The address of the user whose turn it is.
pub(super) fn user(number: usize) -> String {
    format!("user{}@{DOMAIN}", number % USERS)
}

fn message(number: usize) -> io::Result<Message> {
    let address = |text: &str| text.parse::<Address>().map_err(io::Error::other);
    let to = user(number);
    let mut text = format!(
        "From: Alice <alice@crepes.test>\r\nTo: <{to}>\r\nSubject: Message {number}\r\n\
         Date: Mon, 2 Mar 2026 09:00:00 +0000\r\nMessage-ID: <{number}@crepes.test>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    );
    while text.len() < MESSAGE_OCTETS {
        text.push_str("Do you like ketchup? How about pickles? All is well in the test.\r\n");
    }
    Ok(Message {
        from: Path::Address(address("alice@crepes.test")?),
        recipients: vec![address(&to)?],
        octets: text.into(),
        smtputf8: false,
    })
}

fn cpu_seconds_of_this_thread() -> io::Result<f64> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = schedstat.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.map(|nanoseconds| nanoseconds / 1e9).ok_or_else(|| io::Error::other("no /proc/…/schedstat"))
}
