//! Mail as a person's programs see it: what lies in a mailbox, read by Python's
//! imaplib over TLS with the CA checked.

use crate::utopia::{Utopia, run_with_input, told};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Prints the messages of a mailbox as a JSON array of texts. Arguments: host,
/// port, CA file, user, mailbox; the password comes on standard input.
const READER: &str = r#"
import imaplib, json, ssl, sys
host, port, ca, user, mailbox = sys.argv[1:6]
context = ssl.create_default_context(cafile=ca)
imap = imaplib.IMAP4_SSL(host, int(port), ssl_context=context)
imap.login(user, sys.stdin.readline().rstrip("\n"))
status, count = imap.select(mailbox, readonly=True)
assert status == "OK", count
texts = []
if int(count[0]):
    status, data = imap.fetch("1:*", "(UID BODY.PEEK[])")
    assert status == "OK", data
    texts = [part[1].decode() for part in data if isinstance(part, tuple)]
imap.logout()
print(json.dumps(texts))
"#;

/// All messages of a mailbox.
///
/// # Panics
/// When they cannot be read.
#[track_caller]
pub fn read(
    python: &Path,
    at: SocketAddr,
    ca_file: &Path,
    user: &str,
    password: &str,
    mailbox: &str,
) -> Vec<String> {
    let mut command = Command::new(python);
    command.args(["-c", READER, &at.ip().to_string(), &at.port().to_string()]).arg(ca_file);
    command.args([user, mailbox]);
    let output = told(run_with_input(command, &format!("{password}\n")));
    serde_json::from_str(&output).expect("a JSON array")
}

/// All messages of a user's INBOX on the running program.
///
/// # Panics
/// When they cannot be read.
#[track_caller]
pub fn inbox(python: &Path, utopia: &Utopia, user: &str, password: &str) -> Vec<String> {
    read(python, utopia.at("imaps"), &utopia.ca_file(), user, password, "INBOX")
}

/// A client that speaks SMTP line by line.
#[derive(Debug)]
pub struct Smtp(BufReader<TcpStream>);

impl Smtp {
    /// Connects and reads the greeting.
    ///
    /// # Panics
    /// When there is none.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
        let mut smtp = Self(BufReader::new(stream));
        assert!(smtp.reply().starts_with("220"));
        smtp
    }

    /// One reply; empty when the connection ended.
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            match self.0.read_line(&mut reply) {
                Ok(0) | Err(_) => return reply,
                Ok(_) if reply.as_bytes().get(start + 3) != Some(&b'-') => return reply,
                Ok(_) => {}
            }
        }
    }

    /// Says a line and gives the reply to it; empty when the connection ended.
    pub fn say(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n"));
        self.reply()
    }

    /// Sends text as it is; where the connection has ended, the next reply shows it.
    pub fn send(&mut self, text: &str) {
        let _ = self.0.get_mut().write_all(text.as_bytes());
    }

    /// Up to the text of a message to Bob.
    ///
    /// # Panics
    /// When any of it is refused.
    pub fn begin(&mut self) {
        assert!(self.say("EHLO client.test").starts_with("250"));
        assert!(self.say("MAIL FROM:<carol@elsewhere.example>").starts_with("250"));
        assert!(self.say("RCPT TO:<bob@utopia.test>").starts_with("250"));
        assert!(self.say("DATA").starts_with("354"));
    }
}
