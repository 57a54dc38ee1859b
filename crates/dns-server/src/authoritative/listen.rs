//! Where the server listens: one TCP listener and a group of UDP sockets for
//! each address.

use super::config::Config;
use super::{Shared, tcp, udp};
use net::batch::{BatchOptions, DatagramBatch, LateReplies};
use net::{Doors, ListenError, Listener, Listeners, Network, Opened, Plan, Shutdown};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The sockets of one address, one a thread, each with its way for late replies.
type Sockets = Vec<(DatagramBatch, Arc<LateReplies>)>;

/// What is open.
#[derive(Debug)]
pub(super) struct Listening {
    tcp: Listeners<()>,
    /// Told apart by their number of threads.
    udp: Mutex<Doors<usize>>,
    network: Network,
    shutdown: Shutdown,
}

/// What shall be open.
#[derive(Debug)]
pub(super) struct Change {
    tcp: Plan<(), Listener>,
    udp: Plan<usize, Sockets>,
    connections_max: usize,
    connections_per_address_max: usize,
}

impl Listening {
    pub(super) fn nowhere(network: Network, shutdown: Shutdown) -> Self {
        let tcp = Listeners::none(network.clone(), shutdown.clone(), |()| "dns");
        Self { tcp, udp: Mutex::new(Doors::none()), network, shutdown }
    }

    /// Opens, or takes over, what the configuration needs and is not open yet.
    pub(super) fn plan(&self, config: &Config) -> Result<Change, ListenError> {
        let threads = match config.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let tcp = self.tcp.plan(config.listen.iter().map(|address| ((), *address)))?;
        // Where the system chose a port for TCP, UDP takes the same.
        let wanted = tcp.addresses().into_iter().map(|((), address)| (threads, address));
        let udp = self.lock().plan(wanted, &self.shutdown, |threads, address| {
            let failed = |source| ListenError { service: "dns", address, source };
            let options = BatchOptions {
                sockets: threads,
                datagrams_max: udp::DATAGRAMS_MAX,
                ..BatchOptions::at(address)
            };
            let batches = self.network.taking_over().datagram_batches(&options).map_err(failed)?;
            let with_late = |batch: DatagramBatch| {
                let late = Arc::new(batch.late_replies()?);
                Ok((batch, late))
            };
            let sockets = batches.into_iter().map(with_late).collect::<std::io::Result<_>>();
            Ok::<_, ListenError>((sockets.map_err(failed)?, address))
        })?;
        let Config { connections_max, connections_per_address_max, .. } = *config;
        Ok(Change { tcp, udp, connections_max, connections_per_address_max })
    }

    /// Serves on what was opened, and no more on what is not wanted.
    pub(super) fn carry_out(&self, change: Change, shared: &Arc<Shared>) {
        let (doors, opened) = change.udp.carry_out();
        *self.lock() = doors;
        for Opened { socket: sockets, closing, .. } in opened {
            for (batch, late) in sockets {
                let (shared, hold, closing) = (shared.clone(), self.shutdown.hold(), closing.clone());
                let started = thread::Builder::new().name("dns-udp".to_owned()).spawn(move || {
                    udp::serve(&shared, &closing, batch, &late);
                    drop(hold);
                });
                if let Err(error) = started {
                    tracing::error!(%error, "a thread for DNS over UDP cannot be started; the others serve");
                }
            }
        }
        let (all, per_address) = (change.connections_max, change.connections_per_address_max);
        for Opened { socket, closing, .. } in self.tcp.carry_out(change.tcp, all, per_address) {
            self.shutdown.spawn(tcp::accept(shared.clone(), closing, socket));
        }
    }

    /// Where it listens, over UDP and TCP alike.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.doors().into_iter().map(|((), address)| address).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Doors<usize>> {
        self.udp.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
