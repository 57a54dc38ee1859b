//! `sockets`: the lecture's service over UDP and over TCP. A line in, the same
//! in upper case back.

use crate::{Internet, LabError, Story};
use event::SocketEvent;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const CLIENT: &str = "alice.utopia.test";
const SERVER: &str = "bob.crepes.test";
const PORT: u16 = 12_000;
const PATIENCE: Duration = Duration::from_secs(5);
const DATAGRAM_OCTETS_MAX: usize = 2_048;

pub(super) async fn tell(story: &mut Story, internet: &Internet) -> Result<(), LabError> {
    let server = internet.at(SERVER, PORT);
    story
        .step(&format!(
            "UDP: the server at {SERVER} opens a socket on port {PORT} and waits. There is no connection: the client \
             puts the server's address on each datagram, the server answers to where it came from."
        ))
        .await;
    let datagrams =
        internet.network(SERVER).datagrams(server).map_err(LabError::network("the UDP server"))?;
    let serving = tokio::spawn(serve_udp(datagrams, internet.reporter(SERVER), server));
    let mut answers = Vec::new();
    for line in ["hello, network", "are you there?"] {
        answers.push(ask_udp(internet, server, line).await.map_err(LabError::network("the UDP client"))?);
    }
    serving.abort();
    story.settle().await;
    story.check("both lines came back in upper case", answers == ["HELLO, NETWORK", "ARE YOU THERE?"]);
    story.check("that took four datagrams", story.messages().len() == 4);

    story
        .step(
            "TCP: the server listens and accepts; every client gets a connection of its own, an ordered stream of \
             octets. It is the program that finds where a line ends.",
        )
        .await;
    let options = net::ListenOptions::at(server);
    let listener = internet.network(SERVER).listen(&options).map_err(LabError::network("the TCP server"))?;
    let serving = tokio::spawn(serve_tcp(listener, internet.reporter(SERVER)));
    let answers = ask_tcp(internet, server, &["one line,", "then another,", "over one connection"])
        .await
        .map_err(LabError::network("the TCP client"))?;
    serving.abort();
    story.settle().await;
    story.check(
        "the lines came back in order",
        answers == ["ONE LINE,", "THEN ANOTHER,", "OVER ONE CONNECTION"],
    );
    story.check("the connection was opened once", {
        story.messages().iter().filter(|arrow| arrow.text.contains("opens a connection")).count() == 1
    });
    Ok(())
}

async fn serve_udp(datagrams: net::Datagrams, reporter: event::Reporter, server: SocketAddr) {
    let mut buffer = [0; DATAGRAM_OCTETS_MAX];
    while let Ok((length, client)) = datagrams.receive_from(&mut buffer).await {
        let line = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        tell_message(&reporter, client, server, "udp", &line);
        let answer = line.to_uppercase();
        if datagrams.send_to(answer.as_bytes(), client).await.is_ok() {
            tell_message(&reporter, server, client, "udp", &answer);
        }
    }
}

async fn ask_udp(internet: &Internet, server: SocketAddr, line: &str) -> std::io::Result<String> {
    let datagrams = internet.network(CLIENT).datagrams_towards(server)?;
    datagrams.send_to(line.as_bytes(), server).await?;
    let mut buffer = [0; DATAGRAM_OCTETS_MAX];
    let (length, _) = tokio::time::timeout(PATIENCE, datagrams.receive_from(&mut buffer)).await??;
    Ok(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned())
}

async fn serve_tcp(listener: net::Listener, reporter: event::Reporter) {
    while let Ok(stream) = listener.accept().await {
        let (client, server) = (stream.peer_addr(), stream.local_addr());
        tell_message(&reporter, client, server, "tcp", "opens a connection");
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|octets| octets > 0) {
            tell_message(&reporter, client, server, "tcp", line.trim_end());
            let answer = line.to_uppercase();
            if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
                break;
            }
            tell_message(&reporter, server, client, "tcp", answer.trim_end());
            line.clear();
        }
        tell_message(&reporter, client, server, "tcp", "closes the connection");
    }
}

async fn ask_tcp(internet: &Internet, server: SocketAddr, lines: &[&str]) -> std::io::Result<Vec<String>> {
    let stream = internet.network(CLIENT).connect(server, PATIENCE).await?;
    let mut stream = BufReader::new(stream);
    let mut answers = Vec::new();
    for line in lines {
        stream.get_mut().write_all(format!("{line}\n").as_bytes()).await?;
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_line(&mut answer)).await??;
        answers.push(answer.trim_end().to_owned());
    }
    stream.get_mut().shutdown().await?;
    Ok(answers)
}

fn tell_message(
    reporter: &event::Reporter,
    from: SocketAddr,
    to: SocketAddr,
    transport: &'static str,
    text: &str,
) {
    reporter.tell(SocketEvent::Message { from, to, transport, text: text.to_owned() });
}
