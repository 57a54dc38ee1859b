//! What listens where on this host.

use std::net::SocketAddr;
use web::Service;

/// Gathers what listens where.
#[derive(Default)]
pub(crate) struct Services(pub(crate) Vec<Service>);

impl Services {
    pub(crate) fn add(&mut self, name: &str, transports: &[&str], addresses: &[SocketAddr]) {
        for address in addresses {
            for transport in transports {
                self.0.push(Service {
                    name: name.to_owned(),
                    transport: (*transport).to_owned(),
                    address: *address,
                    host: None,
                });
            }
        }
    }
}
