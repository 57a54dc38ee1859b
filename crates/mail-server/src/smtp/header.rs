//! The fields that servers add to a message, and those they take away: RFC 5321
//! section 4.4, RFC 6409 section 8, RFC 8601 section 5.

use crate::date::date;
use mail::message::fields;
use mail::smtp::{EnhancedCode, Envelope, Reply};
use std::net::IpAddr;
use std::time::SystemTime;

/// Received fields that a message may have; more mean a loop (RFC 5321 section
/// 6.3).
const HOPS_MAX: usize = 100;

/// Where the header ends: after the empty line, or at the end of the message.
pub(super) fn header_of(message: &[u8]) -> &[u8] {
    if message.starts_with(b"\r\n") {
        return &[];
    }
    let end =
        message.windows(4).position(|octets| octets == b"\r\n\r\n").map_or(message.len(), |place| place + 2);
    message.get(..end).unwrap_or(message)
}

/// Whether the message has gone round in circles.
pub(super) fn is_looping(header: &[u8]) -> bool {
    fields(header).filter(|field| field.name.eq_ignore_ascii_case(b"Received")).count() > HOPS_MAX
}

/// Whether a field is there.
pub(super) fn has(header: &[u8], name: &str) -> bool {
    count(header, name) > 0
}

/// How often a field is there.
fn count(header: &[u8], name: &str) -> usize {
    fields(header).filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes())).count()
}

/// The refusal of a message whose author cannot be told: readers show one From
/// field and checks look at another (RFC 5322 section 3.6, RFC 7489 section 6.6.1).
pub(super) fn ambiguous_author(header: &[u8]) -> Option<Reply> {
    let text = "the message has more than one From field; RFC 5322 allows one";
    (count(header, "From") > 1).then(|| Reply::new(550, EnhancedCode(5, 6, 0), text))
}

/// The message without the fields that `unwanted` picks by name and value.
pub(super) fn without(message: &[u8], unwanted: impl Fn(&[u8], &[u8]) -> bool) -> Vec<u8> {
    let header = header_of(message);
    let mut kept = Vec::with_capacity(message.len());
    for field in fields(header) {
        if !unwanted(field.name, field.value) {
            kept.extend_from_slice(field.octets);
        }
    }
    kept.extend_from_slice(message.get(header.len()..).unwrap_or_default());
    kept
}

/// Whether an Authentication-Results field claims to be from this host: then
/// somebody else wrote it (RFC 8601 section 5).
pub(super) fn is_forged_result(name: &[u8], value: &[u8], hostname: &str) -> bool {
    if !name.eq_ignore_ascii_case(b"Authentication-Results") {
        return false;
    }
    let value = String::from_utf8_lossy(value);
    let server = value.split(';').next().unwrap_or_default().split_whitespace().next().unwrap_or_default();
    server.eq_ignore_ascii_case(hostname)
}

/// The Received field (RFC 5321 section 4.4, RFC 3848).
pub(super) fn received(
    envelope: &Envelope,
    client: IpAddr,
    hostname: &str,
    id: &str,
    now: SystemTime,
) -> String {
    let literal = match client.to_canonical() {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    };
    let mut with = match (envelope.parameters.smtputf8, envelope.extended) {
        (true, _) => "UTF8SMTP".to_owned(),
        (false, true) => "ESMTP".to_owned(),
        (false, false) => "SMTP".to_owned(),
    };
    // The letters are registered for ESMTP only.
    if envelope.extended {
        with.push_str(if envelope.tls { "S" } else { "" });
        with.push_str(if envelope.user.is_some() { "A" } else { "" });
    }
    let recipient = match envelope.recipients.as_slice() {
        // With several, it would tell one of another (RFC 5321 section 7.6).
        [only] => format!("\r\n\tfor {only}"),
        _ => String::new(),
    };
    format!(
        "Received: from {} ({literal})\r\n\tby {hostname} with {with} id {id}{recipient};\r\n\t{}\r\n",
        envelope.hello,
        date(now)
    )
}

#[cfg(test)]
mod tests {
    //! Fields added, found and removed.
    use super::*;

    #[test]
    fn forged_results_are_taken_away() {
        let message = b"Authentication-Results: mx.utopia.test;\r\n\tspf=pass\r\nA: b\r\nAuthentication-Results: other.test; spf=pass\r\n\r\nAuthentication-Results: mx.utopia.test\r\n";
        let clean = without(message, |name, value| is_forged_result(name, value, "mx.utopia.test"));
        assert_eq!(
            clean,
            b"A: b\r\nAuthentication-Results: other.test; spf=pass\r\n\r\nAuthentication-Results: mx.utopia.test\r\n"
        );
    }

    #[test]
    fn headers_and_loops() {
        assert_eq!(header_of(b"A: b\r\n\r\nbody"), b"A: b\r\n");
        assert_eq!(header_of(b"\r\nbody\r\n\r\n"), b"");
        assert_eq!(header_of(b"A: b"), b"A: b");
        assert!(!is_looping("Received: x\r\n".repeat(100).as_bytes()));
        assert!(is_looping("Received: x\r\n".repeat(101).as_bytes()));
        assert!(has(b"dAtE: x\r\n", "Date") && !has(b"A: b\r\n", "Date"));
    }
}
