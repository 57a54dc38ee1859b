//! Sends a dynamic update to a primary server, signed: what a registrar, the
//! command line and the lab need.

use crate::framing::exchange;
use dns::tsig::{Checker, Key};
use dns::{Change, Name, update_request};
use domain::base::iana::Rcode;
use net::Network;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long connecting and the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an update was not made.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The changes do not fit into one message.
    #[error("these changes do not fit into one message; send fewer at once")]
    TooLarge,
    /// The server cannot be reached.
    #[error("{server} cannot be reached: {source}")]
    Network {
        /// The server.
        server: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// What came back does not bear the key's signature.
    #[error("{server} answered without the right signature; is the key the same on both sides?")]
    Signature {
        /// The server.
        server: SocketAddr,
    },
    /// The server refused.
    #[error("{server} refused the update: {rcode}")]
    Refused {
        /// The server.
        server: SocketAddr,
        /// Its code.
        rcode: Rcode,
    },
}

/// Asks `server` to make all `changes` to `zone`, or none. `Ok` once the server
/// has confirmed it.
///
/// # Errors
/// See [`SendError`].
pub async fn send(
    network: &Network,
    server: SocketAddr,
    zone: &Name,
    changes: &[Change],
    key: Arc<Key>,
) -> Result<(), SendError> {
    let id = rand::random();
    let request = update_request::request(zone, changes, id).ok_or(SendError::TooLarge)?;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (request, mut checker) = Checker::sign(request, key, now()).ok_or(SendError::TooLarge)?;
    let failed = |source| SendError::Network { server, source };
    let mut reply = exchange(network, server, &request, PATIENCE).await.map_err(failed)?;
    // A server that does not know the key cannot sign its refusal.
    let rcode = reply.get(3).map_or(Rcode::SERVFAIL, |octet| Rcode::masked_from_int(*octet));
    let signed = checker.check(&mut reply, now()).and_then(|()| checker.done()).is_ok();
    match rcode {
        Rcode::NOERROR if signed => Ok(()),
        Rcode::NOERROR => Err(SendError::Signature { server }),
        rcode => Err(SendError::Refused { server, rcode }),
    }
}
