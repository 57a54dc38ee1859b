//! Vectors and properties of message summaries.

use super::*;
use proptest::prelude::*;

fn text(value: Option<&Vec<u8>>) -> &str {
    value.map_or("NIL", |value| std::str::from_utf8(value).unwrap())
}

fn crlf(message: &str) -> Vec<u8> {
    message.replace('\n', "\r\n").into_bytes()
}

const NESTED: &str = "From: A <a@x.test>\nSubject: outer\nMIME-Version: 1.0\n\
Content-Type: multipart/mixed; boundary=\"b1\"\n\npreamble\n\
--b1\n\nplain one\n\
--b1\nContent-Type: message/rfc822\n\nSubject: inner\nTo: b@y.test\nContent-Type: multipart/alternative; boundary=b2\n\n\
--b2\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nalpha\nbeta\n\n\
--b2\nContent-Type: text/html\nContent-Language: en, de\nContent-Disposition: attachment; filename=\"a;b.html\"\n\n<p>\n--b2--\n\
--b1\nContent-Type: image/png\nContent-ID: <i@x>\nContent-Transfer-Encoding: base64\n\nAAAA\n--b1--\nepilogue\n";

#[test]
fn the_sections_of_a_nested_message_lie_where_rfc_9051_says() {
    let message = crlf(NESTED);
    let summary = Summary::parse(&message);
    let section = |path: &[u32], portion| {
        summary.section(path, portion).map(|span| String::from_utf8_lossy(span.of(&message)).into_owned())
    };
    assert_eq!(section(&[], Portion::Whole).unwrap().as_bytes(), message);
    assert_eq!(section(&[1], Portion::Whole).unwrap(), "plain one");
    assert_eq!(section(&[1], Portion::Mime).unwrap(), "\r\n");
    assert_eq!(section(&[1], Portion::Text), None);
    assert!(section(&[2], Portion::Whole).unwrap().starts_with("Subject: inner\r\n"));
    assert!(section(&[2], Portion::Whole).unwrap().ends_with("--b2--"));
    assert!(section(&[2], Portion::Header).unwrap().ends_with("boundary=b2\r\n\r\n"));
    assert!(section(&[2], Portion::Text).unwrap().starts_with("--b2\r\n"));
    assert_eq!(section(&[2, 1], Portion::Whole).unwrap(), "alpha\r\nbeta\r\n");
    assert_eq!(section(&[2, 2], Portion::Whole).unwrap(), "<p>");
    assert!(section(&[2, 2], Portion::Mime).unwrap().starts_with("Content-Type: text/html"));
    assert_eq!(section(&[3], Portion::Whole).unwrap(), "AAAA");
    assert_eq!(section(&[4], Portion::Whole), None);
    assert_eq!(section(&[0], Portion::Whole), None);
    assert_eq!(section(&[1, 1], Portion::Whole).as_deref(), Some("plain one"));
    let Content::Message(inner) = &summary.part(&[2]).unwrap().content else { panic!("not a message") };
    assert_eq!(text(inner.envelope.subject.as_ref()), "inner");
    let html = summary.part(&[2, 2]).unwrap();
    assert_eq!(html.language, [b"en".to_vec(), b"de".to_vec()]);
    let disposition = html.disposition.as_ref().unwrap();
    assert_eq!(
        (disposition.kind.as_slice(), disposition.parameters[0].value.as_slice()),
        (&b"attachment"[..], &b"a;b.html"[..])
    );
    assert_eq!(summary.part(&[2, 1]).unwrap().lines, 2);
    assert_eq!(summary.part(&[3]).unwrap().lines, 1);
    assert_eq!(Summary::decode(&summary.encode()), Some(summary));
}

#[test]
fn a_message_of_one_part_has_part_one() {
    let message = b"Subject: x\r\n\r\nbody\r\n";
    let summary = Summary::parse(message);
    assert_eq!(summary.section(&[1], Portion::Whole).unwrap().of(message), b"body\r\n");
    assert_eq!(summary.section(&[], Portion::Text).unwrap().of(message), b"body\r\n");
    assert_eq!(summary.section(&[], Portion::Header).unwrap().of(message), b"Subject: x\r\n\r\n");
    assert_eq!(summary.section(&[2], Portion::Whole), None);
    assert_eq!((summary.root.media_type.as_slice(), summary.root.lines), (&b"text"[..], 1));
}

#[test]
fn the_envelope_keeps_what_stands_in_the_header() {
    let message = crlf(
        "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\nSubject: =?utf-8?q?Gr=C3=BC?=\n =?utf-8?q?=C3=9Fe?=\n\
From: Terry Gray <gray@cac.washington.edu>\nTo: \"Doe, John\" <jd@x.test>, plain@y.test (Plain Name), <@r.test:routed@z.test>\n\
Cc: Friends: a@b.test, \"q r\"@c.test;, undisclosed\nMessage-Id: <B27397@x>\nIn-Reply-To: <p@x>\nReferences: <r1@x>\n <r2@x> <p@x>\n\n",
    );
    let summary = Summary::parse(&message);
    let envelope = &summary.envelope;
    assert_eq!(text(envelope.date.as_ref()), "Wed, 17 Jul 1996 02:23:25 -0700 (PDT)");
    assert_eq!(text(envelope.subject.as_ref()), "=?utf-8?q?Gr=C3=BC?= =?utf-8?q?=C3=9Fe?=");
    assert_eq!(summary.sent, Some(Sent { unix_seconds: 837595405, zone_minutes: -420 }));
    assert_eq!(envelope.sender, envelope.from);
    assert_eq!(envelope.reply_to, envelope.from);
    let show = |address: &Address| {
        format!(
            "{}|{}|{}|{}",
            text(address.name.as_ref()),
            text(address.route.as_ref()),
            text(address.mailbox.as_ref()),
            text(address.host.as_ref())
        )
    };
    assert_eq!(
        envelope.to.iter().map(show).collect::<Vec<_>>(),
        ["Doe, John|NIL|jd|x.test", "Plain Name|NIL|plain|y.test", "NIL|@r.test|routed|z.test"]
    );
    assert_eq!(
        envelope.cc.iter().map(show).collect::<Vec<_>>(),
        [
            "NIL|NIL|Friends|NIL",
            "NIL|NIL|a|b.test",
            "NIL|NIL|q r|c.test",
            "NIL|NIL|NIL|NIL",
            "NIL|NIL|undisclosed|"
        ]
    );
    assert_eq!(summary.references, [b"<r1@x>".to_vec(), b"<r2@x>".to_vec(), b"<p@x>".to_vec()]);
    assert_eq!(Summary::decode(&summary.encode()), Some(summary));
}

#[test]
fn header_fields_are_selected_as_they_stand() {
    let header = b"Subject: a\r\n b\r\nFROM: x@y\r\nX-Other: 1\r\n\r\n";
    let names = [b"from".to_vec(), b"SUBJECT".to_vec()];
    assert_eq!(select_fields(header, &names, false), b"Subject: a\r\n b\r\nFROM: x@y\r\n\r\n");
    assert_eq!(select_fields(header, &names, true), b"X-Other: 1\r\n\r\n");
}

#[test]
fn an_outer_delimiter_ends_an_inner_multipart() {
    let message = crlf(
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--o\n\ny\n--o--\n",
    );
    let summary = Summary::parse(&message);
    assert_eq!(summary.section(&[1, 1], Portion::Whole).unwrap().of(&message), b"x");
    assert_eq!(summary.section(&[2], Portion::Whole).unwrap().of(&message), b"y");
}

#[test]
fn a_multipart_without_parts_is_text() {
    for message in
        ["Content-Type: multipart/mixed\n\nx\n", "Content-Type: multipart/mixed; boundary=q\n\nx\n"]
    {
        let summary = Summary::parse(&crlf(message));
        assert_eq!(
            (summary.root.media_type.as_slice(), &summary.root.content),
            (&b"text"[..], &Content::Leaf)
        );
    }
}

fn depth(part: &Part) -> usize {
    1 + match &part.content {
        Content::Leaf => 0,
        Content::Multipart(parts) => parts.iter().map(depth).max().unwrap_or(0),
        Content::Message(embedded) => depth(&embedded.root),
    }
}

fn count(part: &Part) -> usize {
    1 + match &part.content {
        Content::Leaf => 0,
        Content::Multipart(parts) => parts.iter().map(count).sum(),
        Content::Message(embedded) => count(&embedded.root),
    }
}

#[test]
fn nesting_beyond_the_bound_becomes_a_leaf() {
    let multiparts = (0..200).fold(String::new(), |all, level| {
        all + &format!(
            "Content-Type: multipart/mixed; boundary=b{level}

--b{level}
"
        )
    });
    let messages = "Content-Type: message/rfc822\n\n".repeat(200);
    for message in [multiparts, messages] {
        let summary = Summary::parse(&crlf(&message));
        assert_eq!(depth(&summary.root), NESTING_MAX + 1);
        assert_eq!(Summary::decode(&summary.encode()), Some(summary));
    }
}

#[test]
fn parts_beyond_the_bound_are_not_kept() {
    let message =
        format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(3 * PARTS_MAX));
    let summary = Summary::parse(&crlf(&message));
    assert_eq!(count(&summary.root), PARTS_MAX);
    assert_eq!(Summary::decode(&summary.encode()), Some(summary));
}

#[test]
fn strings_beyond_the_bound_are_left_out() {
    let part = format!("--b\nContent-Description: {}\n\nx\n", "d".repeat(60_000));
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\nTo: {}\n\n{}",
        "a@b,".repeat(10_000),
        part.repeat(100)
    );
    let summary = Summary::parse(&crlf(&message));
    assert!(summary.envelope.to.len() <= address::ADDRESSES_MAX);
    assert!(summary.encode().len() < OCTETS_MAX + 100_000);
    assert_eq!(count(&summary.root), 101);
}

#[test]
fn another_version_is_not_read() {
    let mut octets = Summary::parse(b"Subject: x\r\n\r\n").encode();
    octets[0] += 1;
    assert_eq!(Summary::decode(&octets), None);
    assert_eq!(Summary::decode(b""), None);
}

/// Pieces from which hostile and well-formed messages alike arise.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"Content-Type: multipart/mixed; boundary=b\r\n".to_vec()),
        Just(b"Content-Type: multipart/digest; boundary=\"c\"\r\n".to_vec()),
        Just(b"Content-Type: message/rfc822\r\n".to_vec()),
        Just(b"--b\r\n".to_vec()),
        Just(b"--c\n".to_vec()),
        Just(b"--b--\r\n".to_vec()),
        Just(b"To: a <b@c>, g: d@e;, \"x\\".to_vec()),
        Just(b"Date: Mon, 1 Jan 2024 00:00:00 +0100\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn check_spans(part: &Part, message: &[u8]) {
    assert!(part.header.start <= part.header.end && part.header.end <= part.body.start);
    assert!(part.body.start <= part.body.end && part.body.end as usize <= message.len());
    let inside: Vec<&Part> = match &part.content {
        Content::Leaf => vec![],
        Content::Multipart(parts) => parts.iter().collect(),
        Content::Message(embedded) => vec![&embedded.root],
    };
    for child in inside {
        assert!(child.header.start >= part.body.start && child.body.end <= part.body.end);
        check_spans(child, message);
    }
}

proptest! {
    #[test]
    fn any_octets_give_a_summary_that_is_stored_and_read_again(message in pieces()) {
        let summary = Summary::parse(&message);
        check_spans(&summary.root, &message);
        prop_assert_eq!(Summary::decode(&summary.encode()), Some(summary));
    }

    #[test]
    fn decoding_never_panics(mut octets in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
        if let Some(first) = octets.first_mut() {
            *first = 1;
        }
        Summary::decode(&octets);
        let mut real = Summary::parse(&crlf(NESTED)).encode();
        real.truncate(cut);
        real.extend(octets);
        Summary::decode(&real);
    }
}

#[test]
fn each_message_identifier_is_kept_once() {
    let summary = Summary::parse(b"References: <a@x> <b@x> <a@x>\r\nIn-Reply-To: <b@x> <c@x>\r\n\r\n");
    assert_eq!(summary.references, [b"<a@x>".to_vec(), b"<b@x>".to_vec(), b"<c@x>".to_vec()]);
}

#[test]
fn of_a_long_field_only_so_much_is_kept() {
    use super::header::{PARAMETERS_MAX, VALUE_OCTETS_MAX};
    let parameters: String =
        (0..PARAMETERS_MAX + 10).fold(String::new(), |all, n| all + &format!("; p{n}=v"));
    let references: String = (0..REFERENCES_MAX + 50).fold(String::new(), |all, n| all + &format!(" <r{n}>"));
    let subject = "x".repeat(VALUE_OCTETS_MAX + 10);
    let message = format!(
        "Subject:{subject}\r\nContent-Type: text/plain{parameters}\r\nReferences:{references}\r\n\r\nx\r\n"
    );
    let summary = Summary::parse(message.as_bytes());
    assert_eq!(summary.envelope.subject.as_ref().map(Vec::len), Some(VALUE_OCTETS_MAX));
    assert_eq!(summary.root.parameters.len(), PARAMETERS_MAX);
    assert_eq!(
        summary.root.parameters[PARAMETERS_MAX - 1].name,
        format!("p{}", PARAMETERS_MAX - 1).as_bytes()
    );
    assert_eq!(summary.references.len(), REFERENCES_MAX);
    // The beginning of the conversation, and what came last.
    let last = format!("<r{}>", REFERENCES_MAX + 49);
    assert_eq!(
        (&*summary.references[0], summary.references.last().unwrap().as_slice()),
        (&b"<r0>"[..], last.as_bytes())
    );
    assert_eq!(summary.references[1], b"<r51>");
}

#[test]
fn a_stored_summary_that_is_too_large_is_not_read() {
    let mut summary = Summary::parse(b"Subject: x\r\n\r\n");
    let around = summary.encode().len();
    // The length of the subject takes three octets more than before.
    for (octets, read) in
        [(codec::ENCODED_OCTETS_MAX - around - 2, true), (codec::ENCODED_OCTETS_MAX - around - 1, false)]
    {
        summary.envelope.subject = Some(vec![b'x'; octets]);
        let encoded = summary.encode();
        assert_eq!(encoded.len() <= codec::ENCODED_OCTETS_MAX, read, "{}", encoded.len());
        assert_eq!(Summary::decode(&encoded).is_some(), read);
    }
}
