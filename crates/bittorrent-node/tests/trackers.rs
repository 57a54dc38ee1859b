//! What trackers are told, and when.

mod rig;

use bittorrent::metainfo::Version;
use rig::{PATIENCE, Side, torrent};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// An answer of a tracker without peers.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\nConnection: close\r\n\r\n\
    d8:intervali1800e5:peers0:e";

/// Tells the first line of each request, and answers once it may.
async fn serve(listener: TcpListener, told: mpsc::UnboundedSender<String>, may: Arc<Semaphore>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, told.clone(), may.clone()));
    }
}

async fn answer(
    stream: TcpStream,
    told: mpsc::UnboundedSender<String>,
    may: Arc<Semaphore>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let _ = told.send(first);
    let Ok(permit) = may.acquire().await else { return Ok(()) };
    permit.forget();
    lines.into_inner().into_inner().write_all(ANSWER).await
}

/// Who leaves while a tracker has not answered yet tells it as soon as it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_tracker_that_is_being_asked_hears_that_we_leave() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/announce", listener.local_addr().expect("its address"));
    let (told, mut requests) = mpsc::unbounded_channel();
    let may = Arc::new(Semaphore::new(0));
    tokio::spawn(serve(listener, told, may.clone()));
    let mut request = async || tokio::time::timeout(PATIENCE, requests.recv()).await.ok().flatten();

    let side = Side::start().await;
    let mut metainfo = torrent(&[100_000], Version::V1);
    metainfo.trackers = vec![vec![url]];
    side.add(&metainfo, side.options()).await;
    let first = request().await.expect("an announce");
    assert!(first.contains("event=started"), "{first}");
    let stopping = tokio::spawn(side.engine.stop());
    // Where it is slower than that it is told of the answer first: no harm done.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    // Both are answered.
    may.add_permits(2);
    let last = request().await.expect("a farewell");
    assert!(last.contains("event=stopped"), "{last}");
    stopping.await.expect("it stops");
}
