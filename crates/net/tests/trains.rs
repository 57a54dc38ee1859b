//! Trains of datagrams over real sockets: cut and joined, whole and in order,
//! from the right address, and through layers.

use net::{Arrivals, Conditions, Impairment, Network, TRAIN_OCTETS_MAX, Train, Trains};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

async fn receive(trains: &Trains, count: usize) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut arrivals = Arrivals::default();
    let mut got = Vec::new();
    while got.len() < count {
        tokio::time::timeout(PATIENCE, trains.receive(&mut arrivals)).await.unwrap().unwrap();
        for arrival in arrivals.drain() {
            assert!(!arrival.truncated);
            got.extend(arrival.datagrams().map(|octets| (octets.to_vec(), arrival.peer)));
        }
    }
    got
}

fn octets(count: usize) -> Vec<u8> {
    (0..count).map(|place| (place * 7 % 251) as u8).collect()
}

async fn cut_and_joined(network: Network, address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let (ours, theirs) =
        (network.trains(address, 1 << 20).unwrap(), network.trains(address, 1 << 20).unwrap());
    let all = octets(40 * 1_000 + 300);
    let headers = octets(41 * 20);
    let parts: Vec<_> = all
        .chunks(1_000)
        .zip(headers.chunks(20))
        .flat_map(|(payload, header)| [IoSlice::new(header), IoSlice::new(payload)])
        .collect();
    let to = theirs.local_addr();
    let train = Train { to, from: None, parts: &parts, datagram_octets: 1_020, fragmentable: false };
    let single = [IoSlice::new(b"alone")];
    let alone = Train { to, from: None, parts: &single, datagram_octets: 5, fragmentable: true };
    ours.send(&[train, alone, train]).await.unwrap();
    let got = receive(&theirs, 83).await;
    let expected: Vec<Vec<u8>> = all
        .chunks(1_000)
        .zip(headers.chunks(20))
        .map(|(payload, header)| [header, payload].concat())
        .collect();
    assert!(got.iter().all(|(_, peer)| *peer == ours.local_addr()));
    let got: Vec<_> = got.into_iter().map(|(octets, _)| octets).collect();
    assert_eq!(got[..41], expected[..]);
    assert_eq!(got[41], b"alone");
    assert_eq!(got[42..], expected[..]);
}

#[tokio::test]
async fn trains_are_cut_and_joined_over_both_families() {
    cut_and_joined(Network::new(), "127.0.0.1:0").await;
    cut_and_joined(Network::new(), "[::1]:0").await;
}

#[tokio::test]
async fn trains_pass_layers_datagram_by_datagram() {
    let conditions = Conditions { delay: Duration::from_millis(5), ..Conditions::default() };
    cut_and_joined(Network::new().with(Impairment::new(1, conditions)), "127.0.0.1:0").await;
}

#[tokio::test]
async fn the_largest_datagram_passes_and_more_datagrams_than_a_train_holds() {
    let address = "127.0.0.1:0".parse().unwrap();
    let (ours, theirs) =
        (Network::new().trains(address, 4 << 20).unwrap(), Network::new().trains(address, 4 << 20).unwrap());
    assert_eq!(ours.link_datagram_octets(theirs.local_addr()).unwrap(), TRAIN_OCTETS_MAX);
    let all = octets(TRAIN_OCTETS_MAX);
    ours.send_to(&all, theirs.local_addr()).await.unwrap();
    assert!(receive(&theirs, 1).await[0].0 == all);
    // 100 datagrams, where the system cuts 64 at once.
    let parts: Vec<_> = all.chunks(100).take(100).map(IoSlice::new).collect();
    let to = theirs.local_addr();
    ours.send(&[Train { to, from: None, parts: &parts, datagram_octets: 100, fragmentable: false }])
        .await
        .unwrap();
    let got: Vec<u8> = receive(&theirs, 100).await.into_iter().flat_map(|(octets, _)| octets).collect();
    assert_eq!(got, all[..10_000]);
    // One octet more is too large for UDP: lost, and the next one passes.
    ours.send_to(&octets(TRAIN_OCTETS_MAX + 1), to).await.unwrap();
    ours.send_to(b"after", to).await.unwrap();
    assert_eq!(receive(&theirs, 1).await[0].0, b"after");
}

#[tokio::test]
async fn a_train_leaves_from_the_address_that_was_asked() {
    let theirs = Network::new().trains("0.0.0.0:0".parse().unwrap(), 1 << 20).unwrap();
    let ours = Network::new().trains("127.0.0.1:0".parse().unwrap(), 1 << 20).unwrap();
    let asked = SocketAddr::new("127.0.0.3".parse().unwrap(), theirs.local_addr().port());
    ours.send_to(b"question", asked).await.unwrap();
    let mut arrivals = Arrivals::default();
    theirs.receive(&mut arrivals).await.unwrap();
    let arrival = arrivals.drain().next().unwrap();
    assert_eq!(arrival.local, Some(asked.ip()));
    let answer = octets(200);
    let parts: Vec<_> = answer.chunks(50).map(IoSlice::new).collect();
    let train = Train {
        to: arrival.peer,
        from: arrival.local,
        parts: &parts,
        datagram_octets: 50,
        fragmentable: false,
    };
    theirs.send(&[train]).await.unwrap();
    assert!(receive(&ours, 4).await.iter().all(|(_, peer)| *peer == asked));
}
