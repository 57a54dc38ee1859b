//! `utopia mail`: send a message, look after the queue.

use crate::out::{self, Data};
use crate::status;
use ::mail::address::Address;
use clap::Subcommand;
use host::control::Request;
use mail_server::smtp::client::{Security, Submission, Target, submit};
use net::{Network, tls};
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The largest message read from standard input, in octets.
const MESSAGE_OCTETS_MAX: u64 = 64 * 1024 * 1024;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Submit a message, read from standard input: header, blank line, body
    #[command(after_help = "Example:
  printf 'Subject: Hello\\n\\nHi Bob\\n' |
    utopia mail send --from alice@utopia.test --to bob@utopia.test --password-file FILE")]
    Send(Send),
    /// List, retry and remove mail that waits to be sent
    #[command(subcommand, after_help = "Example:\n  utopia mail queue list")]
    Queue(Queue),
}

#[derive(clap::Args)]
pub(crate) struct Send {
    /// The sender, who logs in
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// A recipient; may be repeated
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<String>,
    /// The file with the sender's password on its first line
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// The submission server; without it that of the domain which runs on --data
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = out::server)]
    server: Option<SocketAddr>,
    /// The CA that must have signed the server's certificate (PEM); without it that of the data folder
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
}

#[derive(Subcommand)]
pub(crate) enum Queue {
    /// List what waits, and why
    #[command(after_help = "Example:\n  utopia mail queue list --json")]
    List {
        #[command(flatten)]
        data: Data,
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Try what waits for a domain, or everything, now
    #[command(after_help = "Example:\n  utopia mail queue retry example.org")]
    Retry {
        /// The destination domain; without it all
        domain: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Take a message out of the queue; its sender is not told
    #[command(after_help = "Example:\n  utopia mail queue remove 00C0FFEE00C0FFEE")]
    Remove {
        /// The message's id, as `list` shows it
        id: String,
        #[command(flatten)]
        data: Data,
    },
}

pub(crate) async fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Send(send) => send.run().await,
        Command::Queue(Queue::List { data, json }) => list(&data, json).await,
        Command::Queue(Queue::Retry { domain, data }) => {
            status::ask(&data, &Request::QueueRetry { domain }).await.map(drop)
        }
        Command::Queue(Queue::Remove { id, data }) => {
            status::ask(&data, &Request::QueueRemove { id }).await.map(drop)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => out::failed(&reason),
    }
}

impl Send {
    async fn run(self) -> Result<(), String> {
        let remedy = format!("write the password of {} into it, on one line", self.from);
        let password = out::file(&self.password_file, &remedy)?.lines().next().unwrap_or_default().to_owned();
        let ca_file = self.ca.clone().unwrap_or_else(|| host::ca_file(self.data.folder()));
        let ca = out::file(&ca_file, "name the certificate of the server's CA with --ca")?;
        let tls = tls::client_config_verified(&ca)
            .map_err(|error| format!("{}: {error}; name the server's CA with --ca", ca_file.display()))?;
        let address = |text: &str| {
            text.parse::<Address>().map_err(|error| format!("{text:?} is no mail address: {error}"))
        };
        let from = address(&self.from)?;
        let recipients = self.to.iter().map(|to| address(to)).collect::<Result<Vec<_>, _>>()?;
        let server = match self.server {
            Some(server) => server,
            None => submissions(&self.data).await?,
        };

        let mut text = Vec::new();
        std::io::stdin()
            .lock()
            .take(MESSAGE_OCTETS_MAX + 1)
            .read_to_end(&mut text)
            .map_err(|error| format!("standard input: {error}"))?;
        if text.len() as u64 > MESSAGE_OCTETS_MAX {
            return Err(format!("the message has more than {MESSAGE_OCTETS_MAX} octets"));
        }
        let message = message(&text, &self.from, &self.to)?;
        let target = Target {
            address: server,
            name: server.ip().to_string(),
            hostname: "localhost".to_owned(),
            security: Security::Tls(tls),
            connect_patience: Duration::from_secs(30),
            reply_patience: Duration::from_mins(5),
        };
        let submission = Submission {
            login: Some((self.from.clone(), password)),
            from: Some(from),
            recipients,
            message: message.into(),
        };
        let replies = submit(&Network::new(), target, submission).await.map_err(|error| error.to_string())?;
        let mut refused = false;
        for (to, reply) in self.to.iter().zip(&replies) {
            out::line(format_args!("{to}: {reply}"));
            refused |= !reply.is_positive();
        }
        if refused { Err("not all recipients were accepted".to_owned()) } else { Ok(()) }
    }
}

/// The message with CRLF line ends, and the fields a person would not type. The
/// body's octets stay as they are, whatever their charset.
///
/// # Errors
/// Where the header is none, with the line to blame.
fn message(text: &[u8], from: &str, to: &[String]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len() + 256);
    let mut lines = text.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut header: Vec<&[u8]> = Vec::new();
    for (number, line) in (1..).zip(lines.by_ref().take_while(|line| !line.is_empty())) {
        let continued = number > 1 && matches!(line.first(), Some(b' ' | b'\t'));
        if !continued && field_name(line).is_none() {
            return Err(no_field(number));
        }
        header.push(line);
    }
    let has = |wanted: &str| {
        header
            .iter()
            .filter_map(|line| field_name(line))
            .any(|name| name.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    if header.is_empty() {
        return Err(no_field(1));
    }
    if !has("From") {
        out.extend_from_slice(format!("From: {from}\r\n").as_bytes());
    }
    if !has("To") {
        out.extend_from_slice(format!("To: {}\r\n", to.join(", ")).as_bytes());
    }
    for line in header {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    let body: Vec<&[u8]> = lines.collect();
    // What follows the last line end is a line only if something stands there.
    let body = match body.split_last() {
        Some(([], before)) => before,
        _ => &body,
    };
    for line in body {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    Ok(out)
}

fn no_field(line: usize) -> String {
    format!(
        "standard input, line {line}: no header field; begin with e.g. `Subject: Hello`, then a blank line, \
         then the text"
    )
}

/// The name of the header field that begins on this line (RFC 5322 section 2.2).
fn field_name(line: &[u8]) -> Option<&[u8]> {
    let name = line.split(|octet| *octet == b':').next().filter(|name| name.len() < line.len())?;
    let name = name.trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

/// Where the running domain takes mail from its users.
async fn submissions(data: &Data) -> Result<SocketAddr, String> {
    let status = status::ask(data, &Request::Status).await?;
    let status: web::Status = serde_json::from_value(status).map_err(|error| error.to_string())?;
    let service = status.services.into_iter().find(|service| service.name == "submissions");
    service
        .map(|service| service.address)
        .ok_or_else(|| "no submissions service runs there; name a --server".to_owned())
}

async fn list(data: &Data, json: bool) -> Result<(), String> {
    let waiting = status::ask(data, &Request::QueueList).await?;
    if json {
        out::line(waiting);
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let empty = Vec::new();
    let waiting = waiting.as_array().unwrap_or(&empty);
    if waiting.is_empty() {
        out::line("nothing waits");
    }
    for entry in waiting {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let number = |key: &str| entry[key].as_u64().unwrap_or_default();
        let next = number("next").saturating_sub(now);
        out::line(format_args!(
            "{}  {} -> {}  {} octets, {} tries, next in {next} s  {}",
            text("id"),
            text("from"),
            text("domain"),
            number("octets"),
            number("attempts"),
            text("reason")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_the_fields_it_lacks_and_crlf() {
        let made = message(b"Subject: Hello\n\nHi Bob", "a@utopia.test", &["b@utopia.test".to_owned()])
            .expect("made");
        let made = String::from_utf8(made).expect("text");
        assert_eq!(made, "From: a@utopia.test\r\nTo: b@utopia.test\r\nSubject: Hello\r\n\r\nHi Bob\r\n");
    }

    #[test]
    fn a_message_keeps_the_fields_it_has() {
        let made = message(b"from: x@utopia.test\r\nTo: y@utopia.test\r\n\r\nHi\r\n", "a@utopia.test", &[])
            .expect("made");
        assert_eq!(
            String::from_utf8(made).expect("text"),
            "from: x@utopia.test\r\nTo: y@utopia.test\r\n\r\nHi\r\n"
        );
    }

    #[test]
    fn a_body_keeps_its_octets() {
        let made = message(b"From: x@utopia.test\nTo: y@utopia.test\n folded\n\nCr\xeape\n\n", "a@b", &[]);
        assert_eq!(
            made.expect("made"),
            b"From: x@utopia.test\r\nTo: y@utopia.test\r\n folded\r\n\r\nCr\xeape\r\n\r\n"
        );
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_line() {
        for (text, line) in [("", "line 1"), ("\nbody\n", "line 1"), ("Subject: x\nhello there\n", "line 2")]
        {
            let error = message(text.as_bytes(), "a@utopia.test", &[]).expect_err(text);
            assert!(error.contains(line), "{error}");
        }
    }
}
