//! Replies and steps, for people and as JSON.

use dns::Record;
use dns::resolver::{Happening, Question, Response, Step, Transport};
use dns_server::resolver::Exchanged;
use domain::base::iana::{OptRcode, Rtype};
use event::ResponseKind;
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// The records, one line each, in columns.
fn records(records: &[Record], indent: &str) -> String {
    let owners: Vec<String> =
        records.iter().map(|record| record.owner().fmt_with_dot().to_string()).collect();
    let width = owners.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (record, owner) in records.iter().zip(owners) {
        let (ttl, rtype, data) = (record.ttl().as_secs(), record.rtype(), record.data());
        let _ = writeln!(text, "{indent}{owner:width$}  {ttl:>6}  {:<6}  {data}", rtype.to_string());
    }
    text
}

/// What a response code and the records mean for the question.
fn verdict(question: &Question, rcode: OptRcode, found: bool) -> String {
    let name = question.name.fmt_with_dot();
    match rcode {
        OptRcode::NXDOMAIN => format!("{name} does not exist (NXDOMAIN)"),
        OptRcode::NOERROR if found => format!("{question} (NOERROR)"),
        OptRcode::NOERROR => format!("{name} exists, but has no {} records (NOERROR)", question.rtype),
        rcode => format!("{question} failed: {rcode}"),
    }
}

fn milliseconds(elapsed: Duration) -> String {
    format!("{:.1} ms", elapsed.as_secs_f64() * 1_000.0)
}

fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    }
}

/// A server's reply.
pub(super) fn exchanged(question: &Question, server: SocketAddr, exchanged: &Exchanged) -> String {
    let reply = &exchanged.reply;
    let found = !reply.answer.is_empty();
    // The SOA record says "no such data" (RFC 2308 section 2.2), also where
    // a resolver passes it on.
    let referral = !found
        && !reply.authoritative
        && reply.authority.iter().any(|record| record.rtype() == Rtype::NS)
        && !reply.authority.iter().any(|record| record.rtype() == Rtype::SOA);
    let mut text = match reply.rcode {
        OptRcode::NOERROR if referral => format!("{question}: a referral (NOERROR)\n"),
        rcode => format!("{}\n", verdict(question, rcode, found)),
    };
    for (title, section) in
        [("answer", &reply.answer), ("authority", &reply.authority), ("additional", &reply.additional)]
    {
        if !section.is_empty() {
            let _ = write!(text, "\n{title}\n{}", records(section, "  "));
        }
    }
    let authority = if reply.authoritative { "authoritative" } else { "not authoritative" };
    let recursion = if reply.recursion_available { ", recursive" } else { "" };
    let _ = writeln!(
        text,
        "\nfrom {server} over {}: {} octets in {}, {authority}{recursion}",
        transport(exchanged.transport),
        exchanged.octets,
        milliseconds(exchanged.elapsed),
    );
    text
}

/// What resolving from the root found.
pub(super) fn response(question: &Question, response: &Response) -> String {
    let rcode = OptRcode::from_rcode(response.rcode);
    let found = !response.answer.is_empty();
    format!("\n{}\n{}", verdict(question, rcode, found), records(&response.answer, "  "))
}

/// One step, if it is worth a line: sending alone is not.
pub(super) fn step(step: &Step) -> Option<String> {
    let server = match &step.server_name {
        Some(name) if !name.is_root() => format!("{} ({})", name.fmt_with_dot(), step.server),
        _ => step.server.to_string(),
    };
    let over = if step.transport == Transport::Tcp { " over tcp" } else { "" };
    let head = format!("{} → {server}, a server of {}{over}", step.question, step.zone.fmt_with_dot());
    Some(match &step.what {
        Happening::Sent => return None,
        Happening::Received { kind, rcode, records: found, elapsed } => {
            let what = match kind {
                ResponseKind::Referral => match found.first() {
                    Some(first) => format!("referral to {}", first.owner().fmt_with_dot()),
                    None => "referral".to_owned(),
                },
                ResponseKind::Answer => "answer".to_owned(),
                ResponseKind::NameError => "the name does not exist".to_owned(),
                ResponseKind::NoData => "no records of this type".to_owned(),
                ResponseKind::Failure => format!("{rcode}"),
            };
            format!("{head}\n   {what}, {}\n{}", milliseconds(*elapsed), records(found, "     "))
        }
        Happening::Truncated { elapsed } => {
            format!("{head}\n   truncated, {}; asking again over tcp\n", milliseconds(*elapsed))
        }
        Happening::TimedOut { elapsed } => {
            format!("{head}\n   no answer within {}\n", milliseconds(*elapsed))
        }
        Happening::Unreachable => format!("{head}\n   cannot be reached\n"),
        Happening::Lame => format!("{head}\n   answers, but is no authority for that zone (lame)\n"),
        Happening::Malformed => format!("{head}\n   the reply cannot be read\n"),
        Happening::Mismatch { from } => {
            format!("{head}\n   something from {from} that is no reply to this query; ignored\n")
        }
    })
}

pub(super) fn question_json(question: &Question) -> Value {
    json!({ "name": question.name.fmt_with_dot().to_string(), "type": question.rtype.to_string() })
}

fn records_json(records: &[Record]) -> Value {
    let record = |record: &Record| {
        json!({
            "name": record.owner().fmt_with_dot().to_string(),
            "ttl": record.ttl().as_secs(),
            "type": record.rtype().to_string(),
            "data": record.data().to_string(),
        })
    };
    records.iter().map(record).collect()
}

fn milliseconds_json(elapsed: Duration) -> Value {
    json!((elapsed.as_secs_f64() * 1_000_000.0).round() / 1_000.0)
}

/// A server's reply.
pub(super) fn exchanged_json(question: &Question, server: SocketAddr, exchanged: &Exchanged) -> Value {
    let reply = &exchanged.reply;
    json!({
        "question": question_json(question),
        "status": reply.rcode.to_string(),
        "authoritative": reply.authoritative,
        "answer": records_json(&reply.answer),
        "authority": records_json(&reply.authority),
        "additional": records_json(&reply.additional),
        "server": server.to_string(),
        "transport": transport(exchanged.transport),
        "octets": exchanged.octets,
        "milliseconds": milliseconds_json(exchanged.elapsed),
    })
}

/// What resolving from the root found, with its steps.
pub(super) fn response_json(question: &Question, response: &Response, steps: Vec<Value>) -> Value {
    json!({
        "question": question_json(question),
        "status": response.rcode.to_string(),
        "answer": records_json(&response.answer),
        "authority": records_json(&response.authority),
        "steps": steps,
    })
}

/// One step, if it is worth an object: sending alone is not.
pub(super) fn step_json(step: &Step) -> Option<Value> {
    let (what, more) = match &step.what {
        Happening::Sent => return None,
        Happening::Received { kind, rcode, records, elapsed } => (
            kind.to_string(),
            json!({
                "status": rcode.to_string(),
                "records": records_json(records),
                "milliseconds": milliseconds_json(*elapsed),
            }),
        ),
        Happening::Truncated { elapsed } => {
            ("truncated".to_owned(), json!({ "milliseconds": milliseconds_json(*elapsed) }))
        }
        Happening::TimedOut { elapsed } => {
            ("timed out".to_owned(), json!({ "milliseconds": milliseconds_json(*elapsed) }))
        }
        Happening::Unreachable => ("unreachable".to_owned(), json!({})),
        Happening::Lame => ("lame".to_owned(), json!({})),
        Happening::Malformed => ("malformed".to_owned(), json!({})),
        Happening::Mismatch { from } => ("mismatch".to_owned(), json!({ "from": from.to_string() })),
    };
    let mut object = json!({
        "server": step.server.to_string(),
        "server_name": step.server_name.as_ref().filter(|name| !name.is_root()).map(|name| name.fmt_with_dot().to_string()),
        "zone": step.zone.fmt_with_dot().to_string(),
        "question": question_json(&step.question),
        "transport": transport(step.transport),
        "kind": what,
    });
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    Some(object)
}
