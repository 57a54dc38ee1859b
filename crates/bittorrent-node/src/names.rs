//! Where hosts are that torrents name, and whose certificates are believed.

use crate::dht::LookUp;
use dns::Resolve;
use domain::base::iana::Rtype;
use rustls::ClientConfig;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Finds the addresses of trackers and web servers. Cheap to clone.
#[derive(Clone, Default)]
pub struct Names {
    resolver: Option<Arc<dyn Resolve>>,
    tls: Option<Arc<ClientConfig>>,
}

impl Names {
    /// Looks names up with `resolver`; without one, as the machine does. `tls` says
    /// whose certificates are believed over https.
    pub fn new(resolver: Option<Arc<dyn Resolve>>, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { resolver, tls }
    }

    /// Finds `HOST:PORT`, for the distributed hash table.
    pub fn look_up(&self) -> LookUp {
        let names = self.clone();
        Arc::new(move |target: String| {
            let names = names.clone();
            Box::pin(async move {
                let wrong =
                    || io::Error::new(io::ErrorKind::InvalidInput, format!("{target}: write HOST:PORT"));
                let (host, port) = target.rsplit_once(':').ok_or_else(wrong)?;
                names.addresses(host, port.parse().map_err(|_| wrong())?).await
            })
        })
    }

    /// For https; `None` where no authority is known.
    pub(crate) fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.tls.clone()
    }

    /// The addresses of a host, IPv4 first.
    ///
    /// # Errors
    /// When it has none, or it cannot be looked up.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let Some(resolver) = &self.resolver else {
            let mut addresses = net::system_addresses(&format!("{host}:{port}")).await?;
            addresses.sort_by_key(SocketAddr::is_ipv6);
            return Ok(addresses);
        };
        let name =
            dns::master::name(host).ok_or_else(|| io::Error::other(format!("{host} is no host name")))?;
        let mut addresses = Vec::new();
        let mut failure = None;
        for rtype in [Rtype::A, Rtype::AAAA] {
            match resolver.resolve(&name, rtype).await {
                Ok(resolution) => addresses.extend(resolution.records.iter().filter_map(|record| {
                    let address: IpAddr = match record.data() {
                        dns::RecordData::A(a) => a.addr().into(),
                        dns::RecordData::Aaaa(aaaa) => aaaa.addr().into(),
                        _ => return None,
                    };
                    Some(SocketAddr::new(address, port))
                })),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if addresses.is_empty() => Err(io::Error::other(error.to_string())),
            _ => Ok(addresses),
        }
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").field("https", &self.tls.is_some()).finish_non_exhaustive()
    }
}
