//! Mail as a person's programs see it: what lies in a mailbox, read by Python's
//! imaplib over TLS with the CA checked.

use crate::utopia::{Utopia, run_with_input, told};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

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
