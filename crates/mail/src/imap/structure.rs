//! ENVELOPE, BODY and BODYSTRUCTURE (RFC 9051 section 7.5.2).

use super::response::Response;
use crate::message::{Address, Content, Disposition, Envelope, Parameter, Part};

pub(super) fn envelope(out: &mut Response, envelope: &Envelope) {
    out.text("(");
    out.nstring(envelope.date.as_deref());
    out.text(" ");
    out.nstring(envelope.subject.as_deref());
    for list in
        [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc]
    {
        out.text(" ");
        addresses(out, list);
    }
    out.text(" ");
    out.nstring(envelope.in_reply_to.as_deref());
    out.text(" ");
    out.nstring(envelope.message_id.as_deref());
    out.text(")");
}

fn addresses(out: &mut Response, list: &[Address]) {
    if list.is_empty() {
        return out.text("NIL");
    }
    out.text("(");
    for address in list {
        out.text("(");
        out.nstring(address.name.as_deref());
        for value in [&address.route, &address.mailbox, &address.host] {
            out.text(" ");
            out.nstring(value.as_deref());
        }
        out.text(")");
    }
    out.text(")");
}

pub(super) fn structure(out: &mut Response, part: &Part, extended: bool) {
    out.text("(");
    if let Content::Multipart(parts) = &part.content {
        for child in parts {
            structure(out, child, extended);
        }
        out.text(" ");
        out.string(&part.media_subtype);
        if extended {
            out.text(" ");
            parameters(out, &part.parameters);
            tail(out, part);
        }
    } else {
        single(out, part, extended);
        if extended {
            out.text(" ");
            out.nstring(part.md5.as_deref());
            tail(out, part);
        }
    }
    out.text(")");
}

fn single(out: &mut Response, part: &Part, extended: bool) {
    out.string(&part.media_type);
    out.text(" ");
    out.string(&part.media_subtype);
    out.text(" ");
    parameters(out, &part.parameters);
    for value in [&part.id, &part.description] {
        out.text(" ");
        out.nstring(value.as_deref());
    }
    out.text(" ");
    out.string(part.encoding.as_deref().unwrap_or(b"7bit"));
    out.text(&format!(" {}", part.body.len()));
    if let Content::Message(embedded) = &part.content {
        out.text(" ");
        envelope(out, &embedded.envelope);
        out.text(" ");
        structure(out, &embedded.root, extended);
        out.text(&format!(" {}", part.lines));
    } else if part.media_type == b"text" {
        out.text(&format!(" {}", part.lines));
    }
}

/// Disposition, language, location.
fn tail(out: &mut Response, part: &Part) {
    match &part.disposition {
        None => out.text(" NIL"),
        Some(Disposition { kind, parameters: list }) => {
            out.text(" (");
            out.string(kind);
            out.text(" ");
            parameters(out, list);
            out.text(")");
        }
    }
    match part.language.as_slice() {
        [] => out.text(" NIL"),
        languages => {
            out.text(" (");
            for (index, language) in languages.iter().enumerate() {
                if index > 0 {
                    out.text(" ");
                }
                out.string(language);
            }
            out.text(")");
        }
    }
    out.text(" ");
    out.nstring(part.location.as_deref());
}

fn parameters(out: &mut Response, list: &[Parameter]) {
    if list.is_empty() {
        return out.text("NIL");
    }
    out.text("(");
    for (index, parameter) in list.iter().enumerate() {
        if index > 0 {
            out.text(" ");
        }
        out.string(&parameter.name);
        out.text(" ");
        out.string(&parameter.value);
    }
    out.text(")");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Summary;

    fn written(message: &str, extended: bool) -> (String, String) {
        let summary = Summary::parse(message.replace('\n', "\r\n").as_bytes());
        let (mut first, mut second) = (Response::default(), Response::default());
        envelope(&mut first, &summary.envelope);
        structure(&mut second, &summary.root, extended);
        (String::from_utf8(first.into_vec()).unwrap(), String::from_utf8(second.into_vec()).unwrap())
    }

    #[test]
    fn the_example_of_rfc_9051_section_8_is_written() {
        let (envelope, structure) = written(
            "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\nFrom: Terry Gray <gray@cac.washington.edu>\n\
Subject: IMAP4rev2 WG mtg summary and minutes\nTo: imap@cac.washington.edu\n\
Cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\nMessage-Id: <B27397-0100000@cac.washington.edu>\n\
MIME-Version: 1.0\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII\n\nhi\n",
            false,
        );
        let terry = r#"(("Terry Gray" NIL "gray" "cac.washington.edu"))"#;
        assert_eq!(
            envelope,
            format!(
                r#"("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev2 WG mtg summary and minutes" {terry} {terry} {terry} ((NIL NIL "imap" "cac.washington.edu")) ((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL "<B27397-0100000@cac.washington.edu>")"#
            )
        );
        assert_eq!(structure, r#"("text" "plain" ("charset" "US-ASCII") NIL NIL "7bit" 4 1)"#);
    }

    #[test]
    fn extension_data_follows() {
        let message = "Content-Type: multipart/mixed; boundary=b\nContent-Language: en\n\n--b\n\nx\n--b\n\
Content-Type: message/rfc822\nContent-Disposition: inline\n\nSubject: s\n\ny\n--b--\n";
        let (_, structure) = written(message, true);
        assert_eq!(
            structure,
            concat!(
                r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 1 NIL NIL NIL NIL)"#,
                r#"("message" "rfc822" NIL NIL NIL "7bit" 15 (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL) "#,
                r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 1 NIL NIL NIL NIL) 3 NIL ("inline" NIL) NIL NIL) "#,
                r#""mixed" ("boundary" "b") NIL ("en") NIL)"#
            )
        );
        let (_, plain) = written(message, false);
        assert!(plain.ends_with(r#" 3) "mixed")"#), "{plain}");
    }
}
