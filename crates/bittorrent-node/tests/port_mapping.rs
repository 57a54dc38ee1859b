//! Ports that a router hands on: one that answers as miniupnpd does, on loopback.

#[path = "rig/router.rs"]
mod router;

use bittorrent::encryption::Policy;
use bittorrent_node::{Discovery, Engine, Limits, Mapped, Names, PortMapping, Protocols, Settings};
use net::{MappedProtocol, Network, Shutdown};
use router::router;
use std::time::Duration;

async fn engine(data: &std::path::Path) -> Engine {
    let settings = Settings {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        data: data.to_owned(),
        memory_octets_max: 1 << 20,
        encryption: Policy::Allowed,
        protocols: Protocols::TcpFirst,
        discovery: Discovery::default(),
        limits: Limits::default(),
        names: Names::default(),
    };
    Engine::start(settings, Network::new(), Shutdown::new()).await.expect("it starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_hands_on_both_protocols_until_we_end() {
    let (search, table) = router();
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path()).await;
    let own = engine.addresses()[0];
    let mapping = PortMapping::start(&engine, search).expect("it is asked");
    let mut mapped = mapping.mapped();
    let told =
        tokio::time::timeout(Duration::from_mins(1), mapped.wait_for(|told| *told != Mapped::default()));
    let told = told.await.expect("in time").expect("it goes on").clone();
    assert_eq!(told.external, Some("192.0.2.7".parse().expect("an address")));
    let ports =
        [MappedProtocol::Tcp, MappedProtocol::Udp].map(|protocol| ((protocol, own.port()), own.port()));
    assert_eq!(told.ports, ports.into());
    let expected = ["TCP", "UDP"].map(|protocol| ((protocol.to_owned(), own.port()), own));
    assert_eq!(*table.lock().expect("not poisoned"), expected.into());
    mapping.end().await;
    assert!(table.lock().expect("not poisoned").is_empty(), "it was told to forget us");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_on_loopback_asks_no_router() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = engine(folder.path()).await;
    assert!(PortMapping::start(&engine, net::GATEWAY_SEARCH).is_none());
    engine.stop().await;
}
