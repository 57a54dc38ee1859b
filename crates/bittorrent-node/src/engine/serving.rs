//! All that happens on the engine's thread: torrents are begun and ended as it is
//! told.

use super::{Begun, COMMANDS_MAX, EngineError, Order, Settings, What};
use crate::context::Context;
use crate::control::Handle;
use crate::reach::{self, Doors};
use crate::swarm::{Ending, Options, Swarm, Task};
use crate::{discovery, lsd};
use net::{ListenError, Network, Shutdown};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};

/// Listens, tells where, and does what it is told until the end.
pub(super) async fn serve(
    mut settings: Settings,
    network: Network,
    mut orders: mpsc::Receiver<Order>,
    told: oneshot::Sender<Result<Begun, ListenError>>,
    shutdown: Shutdown,
) {
    if network.is_proxied() {
        // Whatever does not pass the proxy would tell who we are.
        settings.discovery.lsd = None;
    }
    let context = Rc::new(Context::new(&settings, network));
    // The hash table outlives the torrents, which ask it to their end.
    let dht_shutdown = Shutdown::new();
    let dht = &settings.discovery.dht;
    match Doors::open(&context.network, &settings.listen, settings.protocols, dht.is_some()) {
        Ok(doors) => {
            let addresses = doors.addresses();
            context.set_port(addresses.first().map_or(0, SocketAddr::port));
            let mut wires = doors.serve(&context, &shutdown);
            if context.network.is_proxied() {
                match reach::serve_by_proxy(&context, dht.is_some(), &shutdown).await {
                    Ok(carried) => wires = carried,
                    Err(error) => tracing::warn!(%error, "neither uTP nor the hash table is used"),
                }
            }
            if let Some(dht) = dht.as_ref().filter(|_| !wires.is_empty()) {
                discovery::start_dht(&context, dht, wires, &dht_shutdown);
            }
            if let Some(lsd) = settings.discovery.lsd {
                lsd::start(&context, lsd, &addresses, &shutdown);
            }
            let _ = told.send(Ok((addresses, context.dht.get().cloned())));
        }
        Err(error) => {
            let _ = told.send(Err(error));
            return;
        }
    }
    let throttling = context.clone();
    tokio::task::spawn_local(async move { throttling.throttle.keep().await });
    let mut running = tokio::task::JoinSet::new();
    loop {
        let order = tokio::select! {
            () = shutdown.requested() => break,
            order = orders.recv() => match order {
                Some(order) => order,
                None => break,
            },
        };
        // Those that were removed.
        while running.try_join_next().is_some() {}
        // Who asked may have left.
        match order {
            Order::Add(what, options, reply) => {
                let _ = reply.send(begin(&context, what, *options, &mut running));
            }
            Order::List(reply) => drop(reply.send(context.handles.borrow().values().cloned().collect())),
            Order::Filter(filter, reply) => {
                context.set_filter(filter);
                let _ = reply.send(());
            }
            Order::External(ip, port) => context.set_external(ip, port),
            Order::Limits(limits, reply) => {
                context.set_limits(Instant::now(), limits);
                let _ = reply.send(());
            }
        }
    }
    let handles = context.handles.take();
    for handle in handles.values() {
        handle.stop().await;
    }
    while running.join_next().await.is_some() {}
    discovery::end_dht(dht_shutdown).await;
    reach::close(&context).await;
    context.torrents.borrow_mut().clear();
}

fn begin(
    context: &Rc<Context>,
    what: What,
    options: Options,
    running: &mut tokio::task::JoinSet<()>,
) -> Result<Handle, EngineError> {
    let hashes = what.hashes();
    let mut torrents = context.torrents.borrow_mut();
    if let Some(hash) = hashes.wire().find(|hash| torrents.contains_key(&hash.0)) {
        return Err(EngineError::Twice(hash.to_string()));
    }
    let (trackers, web_seeds) = (what.trackers(), what.web_seeds());
    let (name, metainfo) = match what {
        What::Metainfo(metainfo) => (metainfo.info.name().to_owned(), Some(metainfo)),
        What::Magnet(magnet) => {
            let hash = hashes.wire().next().map(|hash| hash.to_string());
            (magnet.name.or(hash).unwrap_or_default(), None)
        }
    };
    if let Some(metainfo) = metainfo.as_ref().filter(|metainfo| !metainfo.info.is_private()) {
        tokio::task::spawn_local(discovery::add_nodes(context.clone(), metainfo.nodes.clone()));
    }
    let named = options.named_peers.clone();
    let swarm = Rc::new(Swarm::new(context.clone(), hashes, name, metainfo, web_seeds, options));
    tokio::task::spawn_local(discovery::add_named(swarm.clone(), named));
    for hash in hashes.wire() {
        torrents.insert(hash.0, swarm.clone());
    }
    let (commands, mut taken) = mpsc::channel(COMMANDS_MAX);
    let (tell, progress) = watch::channel(swarm.progress(Instant::now()));
    let handle = Handle::new(hashes, commands, progress);
    let key = hashes.wire().next().map_or([0; 20], |hash| hash.0);
    context.handles.borrow_mut().insert(key, handle.clone());
    let context = context.clone();
    running.spawn_local(async move {
        let mut task = Task::new(swarm.clone(), trackers, tell);
        let ending = task.run(&mut taken).await;
        let removed = match ending {
            Ending::Stop => {
                task.end().await;
                None
            }
            Ending::Remove(data, reply) => Some((task.remove(data).await, reply)),
        };
        context.torrents.borrow_mut().retain(|_, other| !Rc::ptr_eq(other, &swarm));
        context.handles.borrow_mut().remove(&key);
        if let Some((result, reply)) = removed {
            let _ = reply.send(result);
        }
    });
    Ok(handle)
}
