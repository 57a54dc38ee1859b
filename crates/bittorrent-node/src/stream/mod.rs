//! The files of a torrent over HTTP while they come: a player reads, jumps, and
//! what it needs next is asked of peers first.

mod page;
mod reader;
mod reply;

use crate::Handle;
use arc_swap::ArcSwapOption;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use net::{ListenBounds, ListenError, ListenOptions, Listener, Network, Shutdown};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Connections at once, and from one address: a player opens a few.
const CONNECTIONS_MAX: usize = 64;
const CONNECTIONS_PER_ADDRESS_MAX: usize = 32;
/// How long a client may take to send a request's head, and how long it may say
/// nothing between two.
const HEADER_PATIENCE: Duration = Duration::from_secs(30);

/// Serves the files of one torrent over HTTP (RFC 9110), ranges too, until
/// `shutdown` is requested.
#[derive(Debug)]
pub struct Streaming {
    address: SocketAddr,
    shown: Arc<ArcSwapOption<Handle>>,
}

impl Streaming {
    /// Listens at `address`; with port 0 the system chooses one. Until a torrent is
    /// [shown](Self::show), there is nothing.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(network: &Network, address: SocketAddr, shutdown: Shutdown) -> Result<Self, ListenError> {
        let failed = |source| ListenError { service: "stream", address, source };
        let bounds = ListenBounds::new(CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX);
        let listener = network.listen(&ListenOptions { address, bounds }).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shown = Arc::new(ArcSwapOption::empty());
        tokio::spawn(accept(listener, shown.clone(), shutdown));
        Ok(Self { address, shown })
    }

    /// Serves the files of this torrent from now on.
    pub fn show(&self, torrent: Handle) {
        self.shown.store(Some(Arc::new(torrent)));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to give a player or a browser: the only file, or a page with all.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

async fn accept(listener: Listener, shown: Arc<ArcSwapOption<Handle>>, shutdown: Shutdown) {
    let until = shutdown.clone();
    let each = move |stream: net::Stream| {
        let (shown, shutdown) = (shown.clone(), shutdown.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let shown = shown.clone();
                async move { Ok::<_, Infallible>(reply::reply(shown.load_full(), &request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // Whatever a client does wrong ends its own connection only.
                _ = pin!(connection) => {}
                () = shutdown.requested() => {}
            }
        });
    };
    listener.each(until, each).await;
}
