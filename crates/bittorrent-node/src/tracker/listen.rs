//! Where the tracker listens: a group of UDP sockets or a TCP listener for each
//! address.

use super::config::Config;
use super::udp::Served;
use super::{Shared, http, udp};
use bittorrent::tracker::swarm::{Slot4, Slot6};
use net::batch::DatagramBatch;
use net::{Doors, ListenError, Listener, Listeners, Network, Opened, Plan, Shutdown};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What is open.
#[derive(Debug)]
pub(super) struct Listening {
    http: Listeners<()>,
    /// Told apart by their number of threads.
    udp: Mutex<Doors<usize>>,
    network: Network,
    shutdown: Shutdown,
}

/// What shall be open.
#[derive(Debug)]
pub(super) struct Change {
    http: Plan<(), Listener>,
    udp: Plan<usize, Vec<DatagramBatch>>,
    connections_max: usize,
    connections_per_address_max: usize,
}

impl Listening {
    pub(super) fn nowhere(network: Network, shutdown: Shutdown) -> Self {
        let http = Listeners::none(network.clone(), shutdown.clone(), |()| "tracker");
        Self { http, udp: Mutex::new(Doors::none()), network, shutdown }
    }

    /// Opens, or takes over, what the configuration needs and is not open yet.
    pub(super) fn plan(&self, config: &Config) -> Result<Change, ListenError> {
        let threads = config.threads();
        let http = self.http.plan(config.http_listen.iter().map(|address| ((), *address)))?;
        let wanted = config.udp_listen.iter().map(|address| (threads, *address));
        let udp = self.lock().plan(wanted, &self.shutdown, |threads, address| {
            let failed = |source| ListenError { service: "tracker", address, source };
            let options = udp::options(address, threads);
            let batches = self.network.taking_over().datagram_batches(&options).map_err(failed)?;
            let local = batches.first().map_or(address, DatagramBatch::local_addr);
            Ok::<_, ListenError>((batches, local))
        })?;
        let Config { connections_max, connections_per_address_max, .. } = *config;
        Ok(Change { http, udp, connections_max, connections_per_address_max })
    }

    /// Serves on what was opened, and no more on what is not wanted.
    pub(super) fn carry_out(&self, change: Change, shared: &Arc<Shared>) {
        let (doors, opened) = change.udp.carry_out();
        *self.lock() = doors;
        for Opened { socket: batches, closing, local, .. } in opened {
            self.network.tell_listening("tracker", local);
            for batch in batches {
                if local.is_ipv4() {
                    self.answer::<Slot4>(shared, batch, &closing);
                } else {
                    self.answer::<Slot6>(shared, batch, &closing);
                }
            }
        }
        let (all, per_address) = (change.connections_max, change.connections_per_address_max);
        for Opened { socket, closing, .. } in self.http.carry_out(change.http, all, per_address) {
            self.shutdown.spawn(http::accept(shared.clone(), closing, socket));
        }
    }

    /// A thread that answers on a socket until it is closed.
    fn answer<S: Served>(&self, shared: &Arc<Shared>, batch: DatagramBatch, closing: &Shutdown) {
        let (shared, hold, closing) = (shared.clone(), self.shutdown.hold(), closing.clone());
        let started = thread::Builder::new().name("tracker-udp".to_owned()).spawn(move || {
            udp::serve::<S>(&shared, &closing, batch);
            drop(hold);
        });
        if let Err(error) = started {
            tracing::error!(%error, "a thread for the tracker over UDP cannot be started; the others serve");
        }
    }

    /// Where it listens over UDP, in the order of the configuration.
    pub(super) fn udp(&self) -> Vec<SocketAddr> {
        self.lock().addresses().into_iter().map(|(_, address)| address).collect()
    }

    /// Where it listens over HTTP, in the order of the configuration.
    pub(super) fn http(&self) -> Vec<SocketAddr> {
        self.http.doors().into_iter().map(|((), address)| address).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Doors<usize>> {
        self.udp.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    /// Where it will listen over UDP.
    pub(super) fn udp(&self) -> Vec<SocketAddr> {
        self.udp.addresses().into_iter().map(|(_, address)| address).collect()
    }

    /// Where it will listen over HTTP.
    pub(super) fn http(&self) -> Vec<SocketAddr> {
        self.http.addresses().into_iter().map(|((), address)| address).collect()
    }
}
