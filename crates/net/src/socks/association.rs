//! Datagrams through a proxy: the place that carries them on, which stands as long
//! as a connection to the proxy is open (RFC 1928 section 7).

use super::{Place, Proxy, RelayedDatagram};
use crate::{Network, Received};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How long after it broke off it is asked for again at first, and at last.
const RENEWAL_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// How long a proxy may take to carry datagrams again.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(10);

/// What carries datagrams on for one socket. Asked for again when it breaks off;
/// what is sent meanwhile is lost, as on a wire.
#[derive(Debug)]
pub(crate) struct Association {
    relay: watch::Receiver<Option<SocketAddr>>,
    keeper: AbortHandle,
}

impl Association {
    /// Keeps up an association that `control` has just opened, with the place
    /// `relay`.
    pub(crate) fn keep(
        network: Network,
        proxy: Proxy,
        control: impl AsyncRead + Unpin + Send + 'static,
        relay: SocketAddr,
    ) -> Self {
        let (tell, heard) = watch::channel(Some(relay));
        let keeper = tokio::spawn(async move {
            let mut control: Box<dyn AsyncRead + Unpin + Send> = Box::new(control);
            loop {
                ended(&mut *control).await;
                tell.send_replace(None);
                tracing::warn!("the proxy {proxy:?} carries datagrams no more; it is asked again");
                let mut delay = RENEWAL_DELAYS.0;
                control = loop {
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(RENEWAL_DELAYS.1);
                    match network.associate(&proxy, RENEWAL_PATIENCE).await {
                        // The socket is of the family that it was made for.
                        Ok((control, again)) if again.is_ipv4() == relay.is_ipv4() => {
                            tell.send_replace(Some(again));
                            break Box::new(control);
                        }
                        Ok((_, again)) => tracing::debug!(%again, "an address of the other family"),
                        Err(error) => tracing::debug!(%error, "datagrams through the proxy"),
                    }
                };
            }
        });
        Self { relay: heard, keeper: keeper.abort_handle() }
    }

    /// Where datagrams are sent to be carried on; `None` while nothing does.
    pub(crate) fn relay(&self) -> Option<SocketAddr> {
        *self.relay.borrow()
    }

    /// A datagram as it is sent to the relay.
    ///
    /// # Errors
    /// When there is none, or the place is a name that none can be.
    pub(crate) fn wrap(&self, octets: &[u8], place: Place<'_>) -> io::Result<(Vec<u8>, SocketAddr)> {
        let relay = self.relay().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotConnected, "the proxy: it carries no datagrams at present")
        })?;
        Ok((RelayedDatagram { place, octets }.to_octets()?, relay))
    }

    /// What was received, as its sender sent it; `None` for what does not come
    /// from the relay, or not in its form.
    pub(crate) fn unwrap(&self, received: Received, buffer: &mut [u8]) -> Option<Received> {
        if Some(received.peer) != self.relay() {
            return None;
        }
        let datagram = buffer.get(..received.octets)?;
        let RelayedDatagram { place: Place::Address(peer), octets } = RelayedDatagram::read(datagram)? else {
            return None;
        };
        let octets = octets.len();
        buffer.copy_within(received.octets - octets..received.octets, 0);
        Some(Received { octets, peer, ..received })
    }
}

impl Drop for Association {
    fn drop(&mut self) {
        // The connection closes, and the proxy forgets the socket.
        self.keeper.abort();
    }
}

/// Resolves when the proxy has ended the connection.
async fn ended(control: &mut (dyn AsyncRead + Unpin + Send)) {
    let mut nothing = [0; 64];
    while let Ok(1..) = control.read(&mut nothing).await {}
}
