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
    #[error("{server} refused the update: {rcode}, {}", meaning(*.rcode, *.signed))]
    Refused {
        /// The server.
        server: SocketAddr,
        /// Its code.
        rcode: Rcode,
        /// Whether it signed its refusal: it knows the key.
        signed: bool,
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
        rcode => Err(SendError::Refused { server, rcode, signed }),
    }
}

/// What a refusal means and what to do about it (RFC 2136 section 2.2, RFC 8945
/// section 5.2).
fn meaning(rcode: Rcode, signed: bool) -> &'static str {
    match (rcode, signed) {
        (Rcode::NOTAUTH, false) => {
            "it does not know the key, or by another secret; give the key's name and secret as the server's \
             configuration has them, and compare the clocks"
        }
        (Rcode::NOTAUTH, true) => {
            "it is not the zone's primary; name a zone that it is configured for, or the zone's own server"
        }
        (Rcode::REFUSED, _) => "the key may not change this zone; name it in the zone's allow_update",
        (Rcode::NOTZONE, _) => "a name is not within the zone; name the zone it is in",
        (Rcode::SERVFAIL, _) => "it failed itself; its log says why",
        (Rcode::NOTIMP, _) => "it takes no updates",
        _ => "see RFC 2136 section 2.2",
    }
}
