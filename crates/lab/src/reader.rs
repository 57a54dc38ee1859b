//! Bob's mail reader: as much of an IMAP client (RFC 3501) as reading an INBOX
//! takes. Sending is `mail_server`'s own client.

use net::{Network, Stream};
use rustls::ClientConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// How long each answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The largest message read, in octets.
const MESSAGE_OCTETS_MAX: usize = 1024 * 1024;
/// The longest line of a response, in octets.
const LINE_OCTETS_MAX: u64 = 64 * 1024;

/// A session with an IMAP server over TLS.
pub struct Reader {
    stream: BufReader<Stream>,
    tag: u32,
}

impl Reader {
    /// Connects with TLS from the first octet on and logs in.
    pub async fn login(
        network: &Network,
        server: SocketAddr,
        tls: Arc<ClientConfig>,
        server_name: &str,
        address: &str,
        password: &str,
    ) -> io::Result<Self> {
        let stream = network.connect(server, PATIENCE).await?;
        let stream = stream.connect_tls(tls, server_name).await?;
        let mut reader = Self { stream: BufReader::new(stream), tag: 0 };
        let greeting = reader.line().await?;
        if !greeting.starts_with("* OK") {
            return Err(io::Error::other(format!("the server's greeting: {}", greeting.trim_end())));
        }
        reader.command(&format!("LOGIN {} {}", quoted(address), quoted(password))).await?;
        Ok(reader)
    }

    /// All messages of the INBOX, in order of arrival.
    pub async fn inbox(&mut self) -> io::Result<Vec<String>> {
        let opened = self.command("SELECT INBOX").await?;
        let empty = opened.iter().any(|(line, _)| line.trim_end() == "* 0 EXISTS");
        if empty {
            return Ok(Vec::new());
        }
        let fetched = self.command("FETCH 1:* (BODY.PEEK[])").await?;
        Ok(fetched.into_iter().filter_map(|(_, literal)| literal).collect())
    }

    /// Ends the session politely.
    pub async fn logout(mut self) -> io::Result<()> {
        self.command("LOGOUT").await.map(drop)
    }

    /// Sends a command and returns its untagged responses, each with the literal
    /// it carried.
    async fn command(&mut self, command: &str) -> io::Result<Vec<(String, Option<String>)>> {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.stream.get_mut().write_all(format!("{tag} {command}\r\n").as_bytes()).await?;
        self.stream.get_mut().flush().await?;
        let mut responses = Vec::new();
        loop {
            let line = self.line().await?;
            if let Some(result) = line.strip_prefix(&tag) {
                let result = result.trim();
                return if result.starts_with("OK") {
                    Ok(responses)
                } else {
                    Err(io::Error::other(result.to_owned()))
                };
            }
            let literal = match literal_octets(&line) {
                Some(octets) => Some(self.literal(octets).await?),
                None => None,
            };
            responses.push((line, literal));
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let mut bounded = (&mut self.stream).take(LINE_OCTETS_MAX);
        let octets = tokio::time::timeout(PATIENCE, bounded.read_line(&mut line)).await??;
        if octets == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the IMAP server hung up"));
        }
        if octets as u64 == LINE_OCTETS_MAX && !line.ends_with('\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line exceeds LINE_OCTETS_MAX"));
        }
        Ok(line)
    }

    async fn literal(&mut self, octets: usize) -> io::Result<String> {
        if octets > MESSAGE_OCTETS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message exceeds MESSAGE_OCTETS_MAX"));
        }
        let mut literal = vec![0; octets];
        tokio::time::timeout(PATIENCE, self.stream.read_exact(&mut literal)).await??;
        // What follows the literal ends the response.
        self.line().await?;
        Ok(String::from_utf8_lossy(&literal).into_owned())
    }
}

/// The size of the literal that a line announces at its end (RFC 3501 section 4.3).
fn literal_octets(line: &str) -> Option<usize> {
    line.trim_end().strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

/// A quoted string (RFC 3501 section 4.3).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_announced_at_the_end_of_a_line() {
        assert_eq!(literal_octets("* 1 FETCH (BODY[] {42}\r\n"), Some(42));
        assert_eq!(literal_octets("* 1 FETCH (FLAGS ())\r\n"), None);
        assert_eq!(literal_octets("}\r\n"), None);
    }

    /// What a session says of an INBOX whose server answers FETCH like this.
    async fn inbox_of(fetched: String) -> io::Result<Vec<String>> {
        let network = Network::new();
        let options = net::ListenOptions::at("127.0.0.1:0".parse().unwrap());
        let listener = network.listen(&options).unwrap();
        let at = listener.local_addr().unwrap();
        let (accepted, connected) = tokio::join!(listener.accept(), network.connect(at, PATIENCE));
        let mut server = accepted.unwrap();
        // It may find the reader gone.
        let serving = tokio::spawn(async move {
            server.write_all(b"* 1 EXISTS\r\na1 OK\r\n").await?;
            server.write_all(fetched.as_bytes()).await?;
            server.write_all(b")\r\na2 OK\r\n").await?;
            server.flush().await?;
            server.read_to_end(&mut Vec::new()).await
        });
        let mut reader = Reader { stream: BufReader::new(connected.unwrap()), tag: 0 };
        let inbox = reader.inbox().await;
        drop(reader);
        let _ = serving.await.unwrap();
        inbox
    }

    #[tokio::test]
    async fn what_a_server_says_is_read_within_bounds() {
        let message = |octets: usize| format!("* 1 FETCH (BODY[] {{{octets}}}\r\n{}", "x".repeat(octets));
        let whole = inbox_of(message(MESSAGE_OCTETS_MAX)).await.unwrap();
        assert_eq!(whole[0].len(), MESSAGE_OCTETS_MAX);
        let error = inbox_of(message(MESSAGE_OCTETS_MAX + 1)).await.unwrap_err();
        assert!(error.to_string().contains("MESSAGE_OCTETS_MAX"), "{error}");
        let error = inbox_of("x".repeat(LINE_OCTETS_MAX as usize + 1)).await.unwrap_err();
        assert!(error.to_string().contains("LINE_OCTETS_MAX"), "{error}");
    }
}
