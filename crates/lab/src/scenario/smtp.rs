//! `smtp`: a client speaks SMTP by hand, line by line.

use crate::{Internet, LabError, PASSWORD, Reader, Story};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const CLIENT: &str = "dns.university.edu";
const SERVER: &str = "mail.crepes.test";
const BOB: &str = "bob@crepes.test";
const PATIENCE: Duration = Duration::from_secs(10);

/// What the client says, and how the server's reply to it begins.
const DIALOGUE: [(&str, &str); 11] = [
    ("HELO university.edu", "250"),
    ("MAIL FROM:<carol@university.edu>", "250"),
    ("RCPT TO:<bob@crepes.test>", "250"),
    ("RCPT TO:<nobody@elsewhere.example>", "550"),
    ("DATA", "354"),
    ("From: carol@university.edu\r\nTo: bob@crepes.test\r\nSubject: Lunch\r\n\r\nDo you like crepes?", ""),
    ("With sugar?", ""),
    ("..and a line that begins with a dot", ""),
    (".", "250"),
    ("NONSENSE", "500"),
    ("QUIT", "221"),
];

pub(super) async fn tell(story: &mut Story, internet: &Internet) -> Result<(), LabError> {
    story
        .step(&format!(
            "{CLIENT} opens a TCP connection to {SERVER} and speaks SMTP by hand. Each command gets a code and words."
        ))
        .await;
    let server = internet.at(SERVER, internet.topology().ports.smtp);
    let failed = || LabError::network(format!("SMTP with {SERVER}"));
    let stream = internet.network(CLIENT).connect(server, PATIENCE).await.map_err(failed())?;
    let mut stream = BufReader::new(stream);
    let greeting = reply(&mut stream).await.map_err(failed())?;
    let mut codes = vec![greeting.starts_with("220")];
    for (line, expected) in DIALOGUE {
        stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.map_err(failed())?;
        stream.get_mut().flush().await.map_err(failed())?;
        if !expected.is_empty() {
            codes.push(reply(&mut stream).await.map_err(failed())?.starts_with(expected));
        }
    }
    story.settle().await;
    story.check("every reply had the code that RFC 5321 gives it", codes.iter().all(|right| *right));

    story
        .step("Bob reads it: the server put the path it came by on top, and the doubled dot is single again.")
        .await;
    let imaps = internet.at(SERVER, internet.topology().ports.imaps);
    let mut reader =
        Reader::login(&internet.network("bob.crepes.test"), imaps, internet.tls()?, SERVER, BOB, PASSWORD)
            .await
            .map_err(LabError::network(format!("IMAP with {SERVER}")))?;
    let inbox = reader.inbox().await.map_err(LabError::network("reading the INBOX"))?;
    reader.logout().await.map_err(LabError::network("logging out"))?;
    story.settle().await;
    story.check("there is one message", inbox.len() == 1);
    let message = inbox.into_iter().next().unwrap_or_default();
    for line in message.lines().take(16) {
        story.say(&format!("| {line}"));
    }
    story.check("it says how it came (Received)", message.contains("\r\nReceived: from university.edu"));
    story
        .check("its return path is the sender's", message.starts_with("Return-Path: <carol@university.edu>"));
    story.check(
        "its text is what was sent",
        message.ends_with(
            "\r\n\r\nDo you like crepes?\r\nWith sugar?\r\n.and a line that begins with a dot\r\n",
        ),
    );
    Ok(())
}

/// One reply, which may have several lines.
async fn reply(stream: &mut BufReader<net::Stream>) -> std::io::Result<String> {
    let mut reply = String::new();
    loop {
        let start = reply.len();
        let read = tokio::time::timeout(PATIENCE, stream.read_line(&mut reply)).await??;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if reply.as_bytes().get(start + 3) != Some(&b'-') {
            return Ok(reply);
        }
    }
}
