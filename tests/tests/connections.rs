//! How many connections each service lets in: `connections_max` and
//! `connections_per_address_max` of the configuration.

use net::{Network, Stream};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tests::utopia::{Utopia, own_address, told};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PATIENCE: Duration = Duration::from_mins(1);

/// A query for the start of authority of `utopia.test`, behind its length.
const QUERY: &[u8] = b"\0\x1d\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06utopia\x04test\0\0\x06\0\x01";

/// Connects from `from` and says what makes the service answer.
async fn connect(from: IpAddr, to: SocketAddr, say: &[u8]) -> Stream {
    let mut stream = Network::from_source(from).connect(to, PATIENCE).await.expect("a connection");
    // One that is closed already is seen by reading.
    let _ = stream.write_all(say).await;
    let _ = stream.flush().await;
    stream
}

/// Whether the service answers, rather than closing the connection.
async fn answers(stream: &mut Stream) -> bool {
    let mut octet = [0; 1];
    let reading = tokio::time::timeout(PATIENCE, stream.read(&mut octet));
    matches!(reading.await.expect("an answer, or the end"), Ok(1))
}

#[tokio::test]
async fn each_service_lets_in_only_so_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let services = [("smtp", &b""[..]), ("imap", b""), ("dns", QUERY), ("resolver", QUERY)];
    let file = data.join("utopia.toml");
    let mut text = fs::read_to_string(&file).expect("the configuration");
    for (name, _) in services {
        let bounds = format!("[{name}]\nconnections_max = 3\nconnections_per_address_max = 2\n");
        text = text.replace(&format!("[{name}]\n"), &bounds);
        if name == "dns" || name == "resolver" {
            // Nobody is to be closed for being idle while the test waits.
            text = text.replace(&bounds, &format!("{bounds}idle_seconds_max = 600\n"));
        }
    }
    fs::write(&file, text).expect("written");
    told(utopia.ask(&["reload"]));
    for (name, say) in services {
        let at = utopia.at(name);
        let (one, other) = (own_address(), own_address());
        let mut kept = Vec::new();
        for from in [one, one] {
            kept.push(connect(from, at, say).await);
            assert!(answers(kept.last_mut().expect("one")).await, "{name}");
        }
        assert!(!answers(&mut connect(one, at, say).await).await, "{name}: a third one from one address");
        kept.push(connect(other, at, say).await);
        assert!(answers(kept.last_mut().expect("one")).await, "{name}");
        // A fourth one in all waits until another goes.
        let mut fourth = connect(other, at, say).await;
        let early = tokio::time::timeout(Duration::from_millis(300), fourth.read(&mut [0; 1])).await;
        assert!(early.is_err(), "{name}: {early:?}");
        kept.remove(0);
        assert!(answers(&mut fourth).await, "{name}");
    }
    utopia.stop();
}
