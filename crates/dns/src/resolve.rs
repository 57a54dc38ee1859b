//! Looking names up: what other trades need of a resolver.

use crate::{BoxFuture, Name, Record};
use domain::base::iana::{Rcode, Rtype};

/// A recursive look-up, as the mail service, TLS and tools need it.
pub trait Resolve: Send + Sync + 'static {
    /// Looks `name` up. The names' own answers (NXDOMAIN, no data) are a
    /// [`Resolution`]; an error means that nothing is known now.
    fn resolve<'a>(&'a self, name: &'a Name, rtype: Rtype)
    -> BoxFuture<'a, Result<Resolution, ResolveError>>;
}

/// What a look-up found.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// NOERROR or NXDOMAIN.
    pub rcode: Rcode,
    /// The answer section: the CNAME chain, then the records of the type asked
    /// for, in the order received. Empty for NXDOMAIN and no data.
    pub records: Vec<Record>,
}

/// Why a look-up failed: try again later.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// No name server answered in time.
    #[error("no name server of {zone} answered for {name}")]
    Unreachable {
        /// The name asked for.
        name: String,
        /// The zone whose servers were asked last.
        zone: String,
    },
    /// The servers answered with an error.
    #[error("the name servers of {zone} answered {rcode} for {name}")]
    Failed {
        /// The name asked for.
        name: String,
        /// The zone whose servers were asked last.
        zone: String,
        /// Their answer.
        rcode: Rcode,
    },
    /// A bound on the work for one question was reached.
    #[error("gave up on {name}: {limit} reached")]
    LimitReached {
        /// The name asked for.
        name: String,
        /// The bound's name.
        limit: &'static str,
    },
    /// The resolver is shutting down.
    #[error("the resolver is stopping")]
    Stopping,
}
