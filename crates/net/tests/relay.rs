//! Datagrams through a SOCKS5 proxy: who is believed, and what happens when the
//! association breaks off.

use net::{Datagrams, Network, Place, RelayedDatagram};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const PATIENCE: Duration = Duration::from_secs(10);

/// Takes one association, for datagrams that come to `relay`.
async fn associate(listener: &TcpListener, relay: SocketAddr) -> TcpStream {
    let (mut control, _) = listener.accept().await.unwrap();
    let mut hello = [0; 3];
    control.read_exact(&mut hello).await.unwrap();
    assert_eq!(hello, [5, 1, 0]);
    control.write_all(&[5, 0]).await.unwrap();
    let mut request = [0; 10];
    control.read_exact(&mut request).await.unwrap();
    assert_eq!(request, [5, 3, 0, 1, 0, 0, 0, 0, 0, 0], "any address of ours");
    // At the proxy's own address, which it leaves out.
    let [high, low] = relay.port().to_be_bytes();
    control.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, high, low]).await.unwrap();
    control
}

async fn proxy() -> (TcpListener, UdpSocket, Network) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("socks5://{}", listener.local_addr().unwrap());
    (listener, relay, Network::new().through(url.parse().unwrap()))
}

async fn ours(listener: &TcpListener, relay: &UdpSocket, network: &Network) -> (TcpStream, Datagrams) {
    let at = relay.local_addr().unwrap();
    let (control, ours) = tokio::join!(associate(listener, at), network.relayed_datagrams(PATIENCE));
    (control, ours.unwrap())
}

/// What the relay got, and from whom.
async fn got(relay: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_000];
    let (octets, from) = tokio::time::timeout(PATIENCE, relay.recv_from(&mut buffer)).await.unwrap().unwrap();
    (buffer[..octets].to_vec(), from)
}

#[tokio::test]
async fn only_what_the_relay_hands_on_is_believed() {
    let (listener, relay, network) = proxy().await;
    let (_control, ours) = ours(&listener, &relay, &network).await;
    let to: SocketAddr = "[2001:db8::7]:53".parse().unwrap();
    ours.send_to(b"ask", to).await.unwrap();
    let (datagram, us) = got(&relay).await;
    assert_eq!(
        RelayedDatagram::read(&datagram),
        Some(RelayedDatagram { place: Place::Address(to), octets: b"ask" })
    );
    ours.send_to_name(b"by name", "t.test", 99).await.unwrap();
    let (datagram, _) = got(&relay).await;
    let by_name = RelayedDatagram { place: Place::Name("t.test", 99), octets: b"by name" };
    assert_eq!(RelayedDatagram::read(&datagram), Some(by_name));
    // A stranger, a fragment, nonsense, and a name in place of an address.
    let from = Place::Address("192.0.2.1:7".parse().unwrap());
    let answer = RelayedDatagram { place: from, octets: b"forged" }.to_octets().unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = SocketAddr::new([127, 0, 0, 1].into(), us.port());
    stranger.send_to(&answer, target).await.unwrap();
    let mut fragment = answer.clone();
    fragment[2] = 1;
    for wrong in [&fragment[..], b"x", &datagram] {
        relay.send_to(wrong, target).await.unwrap();
    }
    let answer = RelayedDatagram { place: from, octets: b"answer" }.to_octets().unwrap();
    relay.send_to(&answer, target).await.unwrap();
    let mut buffer = [0; 100];
    let (octets, peer) =
        tokio::time::timeout(PATIENCE, ours.receive_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((&buffer[..octets], Place::Address(peer)), (&b"answer"[..], from));
}

#[tokio::test]
async fn an_association_that_breaks_off_is_asked_for_again() {
    let (listener, relay, network) = proxy().await;
    let (control, ours) = ours(&listener, &relay, &network).await;
    let to: SocketAddr = "192.0.2.1:7".parse().unwrap();
    drop(control);
    // Nobody carries datagrams for a while.
    let lost = async {
        while ours.send_to(b"lost", to).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, lost).await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let _control = associate(&listener, other.local_addr().unwrap()).await;
    let again = async {
        while ours.send_to(b"again", to).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    assert_eq!(RelayedDatagram::read(&got(&other).await.0).unwrap().octets, b"again");
}

#[tokio::test]
async fn a_proxy_that_carries_no_datagrams_says_so() {
    let (listener, _relay, network) = proxy().await;
    let refuse = async {
        let (mut control, _) = listener.accept().await.unwrap();
        let mut asked = [0; 3];
        control.read_exact(&mut asked).await.unwrap();
        control.write_all(&[5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut rest = Vec::new();
        control.read_to_end(&mut rest).await.ok();
    };
    let ask = async {
        let refused = network.relayed_datagrams(PATIENCE).await.map(drop).unwrap_err();
        assert_eq!(refused.to_string(), "the proxy: it carries no datagrams");
    };
    tokio::join!(refuse, ask);
    assert!(Network::new().relayed_datagrams(PATIENCE).await.is_err(), "there is no proxy");
}
