//! Messages: header fields, MIME structure, and what is made of them.

use crate::imap::assert_response;
use bytes::Bytes;
use mail::dsn::{Action, Notification, RecipientReport};
use mail::imap::fetch::{Body, BodyName, Item};
use mail::imap::fetch_response;
use mail::message::{
    Content, NESTING_MAX, OCTETS_MAX, PARTS_MAX, Part, Portion, Summary, fields, select_fields,
};
use mail::smtp::{EnhancedCode, Reply};

/// Sections of one message that are fetched.
const SECTIONS_MAX: usize = 40;

/// A message of any octets.
pub fn message_header(input: &[u8]) {
    let summary = Summary::parse(input);
    assert_spans(&summary.root, input, 0);
    let encoded = summary.encode();
    assert_eq!(Summary::decode(&encoded).as_ref(), Some(&summary), "what is stored is what was read");
    assert!(encoded.len() <= 2 * OCTETS_MAX + 200 * PARTS_MAX);
    let mut known = summary.references.clone();
    known.sort();
    known.dedup();
    assert_eq!(known.len(), summary.references.len(), "each message identifier once");
    header(summary.root.header.of(input));
    fetch(input, &summary);
    notification(input);
}

fn assert_spans(part: &Part, message: &[u8], depth: usize) -> usize {
    assert!(depth <= NESTING_MAX + 2, "nested {depth} deep");
    for span in [part.header, part.body] {
        assert!(
            span.start <= span.end && span.end as usize <= message.len(),
            "{span:?} of {}",
            message.len()
        );
    }
    assert!(part.header.end <= part.body.start, "{:?} {:?}", part.header, part.body);
    assert!(!part.media_type.is_empty());
    let inner: &[Part] = match &part.content {
        Content::Leaf => &[],
        Content::Multipart(parts) => parts,
        Content::Message(embedded) => std::slice::from_ref(&embedded.root),
    };
    let mut count = 1;
    let mut at = part.body.start;
    for child in inner {
        assert!(child.header.start >= at && child.body.end <= part.body.end, "a part lies within its parent");
        at = child.body.end;
        count += assert_spans(child, message, depth + 1);
    }
    assert!(count <= PARTS_MAX + NESTING_MAX, "{count} parts");
    count
}

fn header(header: &[u8]) {
    let mut octets = 0;
    for field in fields(header) {
        octets += field.octets.len();
        assert_eq!(
            field.octets.len(),
            field.octets.iter().position(|o| *o == b':').expect("a colon") + 1 + field.value.len()
        );
        let unfolded = field.unfolded();
        assert!(!unfolded.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
        assert!(unfolded.len() <= field.value.len());
    }
    assert!(octets <= header.len());
    let all = select_fields(header, &[], true);
    assert_eq!(select_fields(&all, &[], true), all, "what was selected is selected again");
    assert_eq!(fields(&all).count(), fields(header).count());
    assert_eq!(select_fields(header, &[], false), b"\r\n");
    let names = [b"subject".to_vec(), b"FROM".to_vec()];
    let chosen = fields(&select_fields(header, &names, false)).count()
        + fields(&select_fields(header, &names, true)).count();
    assert_eq!(chosen, fields(header).count(), "a field is chosen or not");
}

/// Everything that can be fetched of the message is a well-formed answer.
fn fetch(input: &[u8], summary: &Summary) {
    let octets = Bytes::copy_from_slice(input);
    let mut items = vec![
        Item::Envelope,
        Item::Structure { extended: false },
        Item::Structure { extended: true },
        section(&[], Portion::Whole, None),
        section(&[], Portion::Header, Some((1, 30))),
        section(&[], Portion::Text, Some((u64::MAX, u64::MAX))),
    ];
    let mut paths = Vec::new();
    collect_paths(&summary.root, &mut Vec::new(), &mut paths);
    for path in &paths {
        for portion in [Portion::Whole, Portion::Mime, Portion::Header, Portion::Text] {
            if let Some(span) = summary.section(path, portion) {
                assert!(span.end as usize <= input.len());
            }
        }
        items.push(section(path, Portion::Mime, None));
    }
    let message = fetch_response::Message {
        number: 1,
        uid: 1,
        flags: &[],
        internal_date: 0,
        size: input.len() as u64,
        mod_seq: 1,
        email_id: "M1",
        thread_id: "T1",
        summary: Some(summary),
        octets: Some(&octets),
    };
    let answer = fetch_response::answer(&message, &items).concat();
    assert_response(&answer);
    assert!(answer.len() <= items.len() * (input.len() + 100) + 8 * OCTETS_MAX);
}

fn section(path: &[u32], portion: Portion, partial: Option<(u64, u64)>) -> Item {
    Item::Body(Body {
        name: BodyName::Section,
        path: path.to_vec(),
        portion,
        fields: None,
        partial,
        sets_seen: false,
    })
}

fn collect_paths(part: &Part, path: &mut Vec<u32>, paths: &mut Vec<Vec<u32>>) {
    let parts: &[Part] = match &part.content {
        Content::Multipart(parts) => parts,
        Content::Message(embedded) => match &embedded.root.content {
            Content::Multipart(parts) => parts,
            _ => std::slice::from_ref(&embedded.root),
        },
        Content::Leaf => &[],
    };
    for (index, child) in parts.iter().enumerate() {
        if paths.len() >= SECTIONS_MAX {
            return;
        }
        path.push(index as u32 + 1);
        paths.push(path.clone());
        collect_paths(child, path, paths);
        path.pop();
    }
}

/// A notification about the message is a report of three parts.
fn notification(input: &[u8]) {
    const UNIQUE: &str = "7f3k29x0q4z1";
    if input.windows(UNIQUE.len()).any(|window| window == UNIQUE.as_bytes()) {
        return;
    }
    let to = "sender@a.test".parse().expect("an address");
    let said = String::from_utf8_lossy(input).into_owned();
    let reports = [RecipientReport {
        recipient: "gone@b.test".parse().expect("an address"),
        remote_mta: Some("mx.b.test".into()),
        reply: Reply::new(550, EnhancedCode(5, 1, 1), said),
    }];
    let message = Notification {
        reporting_mta: "mx.a.test",
        to: &to,
        action: Action::Failed,
        recipients: &reports,
        original: input,
        arrival: "Thu, 01 Jan 1970 00:00:00 +0000",
        retry_until: None,
        date: "Thu, 01 Jan 1970 00:00:01 +0000",
        unique: UNIQUE,
    }
    .message();
    let summary = Summary::parse(&message);
    assert_eq!(summary.root.media_subtype, b"report");
    let Content::Multipart(parts) = &summary.root.content else { panic!("no multipart") };
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[2].header.end, parts[2].body.start);
    assert!(message.len() <= input.len().min(mail::dsn::HEADER_OCTETS_MAX) + 8_192);
}
