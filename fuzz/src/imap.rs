//! IMAP: lines and literals, commands, and the answers to them.

use bytes::Bytes;
use mail::imap::command::{APPEND_MESSAGES_MAX, Command, FLAGS_MAX, TAG_OCTETS_MAX, Tagged, parse};
use mail::imap::fetch::needs;
use mail::imap::fetch_response::{Message, answer as fetch_answer};
use mail::imap::framer::{Framed, Framer, Limits};
use mail::imap::list::Listed;
use mail::imap::mailbox_name::{NAME_OCTETS_MAX, to_utf7};
use mail::imap::response::{MailboxStatus, Response};
use mail::imap::search_match::{Candidate, Verdict, answer as search_answer, matches};
use mail::imap::sequence::write_set;
use mail::imap::session::{Selected, Session};
use mail::imap::view::{Changed, View};
use mail::message::Summary;
use std::sync::LazyLock;

const LIMITS: Limits = Limits { line_octets_max: 3_000, literal_octets_max: 600, append_octets_max: 2_000 };
/// The sizes of the pieces in which octets arrive.
const CHUNKS: [usize; 4] = [1, 7, 61, usize::MAX];

/// The message that is fetched and searched.
const MESSAGE: &[u8] = b"From: =?utf-8?q?J=C3=BCrgen?= <jm@x.test>\r\nTo: group: a@b.test, \"c d\" <e@f.test>;\r\n\
Subject: Hello\r\n World\r\nDate: Wed, 17 Jul 1996 23:30:00 -0700\r\nMessage-ID: <1@x.test>\r\nMIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
Content-Transfer-Encoding: base64\r\n\r\nU2Now7ZuZXIgVGFn\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
Subject: inner\r\nFrom: i@n.test\r\n\r\ninner text\r\n--b--\r\n";

struct Stored {
    octets: Bytes,
    summary: Summary,
}

static STORED: LazyLock<Stored> =
    LazyLock::new(|| Stored { octets: Bytes::from_static(MESSAGE), summary: Summary::parse(MESSAGE) });

/// A client's octets.
pub fn imap_command(input: &[u8]) {
    let outcomes = CHUNKS.map(|chunk| frame(input, chunk));
    for outcome in &outcomes {
        assert_eq!(outcome, &outcomes[0], "the pieces in which octets arrive change nothing");
    }
    let mut session = Session::<u32, u32>::new(true, false);
    session.authenticated(1);
    session.select(Selected {
        id: 1,
        name: "INBOX".into(),
        read_only: false,
        view: View::new(vec![2, 3, 5, 900], 7),
    });
    let [framed, ..] = outcomes;
    for one in framed {
        match one {
            Framed::Command(octets) => command(&mut session, &octets),
            Framed::TooLarge { line } => drop(parse(&line)),
            Framed::Continue | Framed::Large(_) | Framed::TooLong => {}
        }
    }
    command(&mut session, input);
}

fn frame(input: &[u8], chunk: usize) -> Vec<Framed> {
    let mut framer = Framer::new(LIMITS);
    let mut all = Vec::new();
    for octets in input.chunks(chunk) {
        framer.push(octets);
        while let Some(framed) = framer.next() {
            if let Framed::Command(command) = &framed {
                let max = LIMITS.append_octets_max.max(LIMITS.literal_octets_max) + LIMITS.line_octets_max;
                assert!(command.len() <= max + 2, "a command of {} octets", command.len());
            }
            let last = framed == Framed::TooLong;
            all.push(framed);
            if last {
                return all;
            }
        }
    }
    all
}

fn command(session: &mut Session<u32, u32>, octets: &[u8]) {
    let parsed = match parse(octets) {
        Ok(tagged) => tagged,
        Err(refused) => {
            assert!(refused.fault.at <= octets.len());
            let tag = refused.tag.as_deref().unwrap_or("*");
            assert!(tag.len() <= TAG_OCTETS_MAX);
            let mut response = Response::default();
            response.tagged(tag, "BAD", None, &refused.fault.to_string());
            assert_response(&response.into_vec());
            return;
        }
    };
    let Tagged { tag, command } = parsed;
    assert!(tag.len() <= TAG_OCTETS_MAX && tag.bytes().all(|octet| octet.is_ascii_graphic()), "{tag:?}");
    let mut response = Response::default();
    if let Err(denied) = session.check(&command) {
        response.tagged(&tag, denied.status, denied.code, denied.text);
        assert_response(&response.into_vec());
        if matches!(command, Command::StartTls | Command::Login { .. } | Command::Authenticate { .. }) {
            return;
        }
    }
    let _ = session.telling(Some(&command));
    obey(session, &tag, command, octets);
}

fn obey(session: &mut Session<u32, u32>, tag: &str, command: Command, octets: &[u8]) {
    let Stored { octets: message, summary } = &*STORED;
    let selected = session.selected().expect("a mailbox is selected");
    let mut response = Response::default();
    match &command {
        Command::Fetch { which, items, .. } => {
            let Some(uids) = selected.view.resolve(which) else { return };
            assert_ascending(&uids, selected.view.uids());
            let needs = needs(items);
            let flags = ["\\Seen".to_owned(), "$Forwarded".to_owned()];
            let told = Message {
                number: 1,
                uid: 2,
                flags: &flags,
                internal_date: 837_596_665,
                size: message.len() as u64,
                mod_seq: u64::MAX >> 1,
                email_id: "M2",
                thread_id: "T2",
                summary: Some(summary).filter(|_| needs.summary),
                octets: Some(message).filter(|_| needs.octets),
            };
            let pieces = fetch_answer(&told, items).concat();
            assert!(pieces.len() <= 100 + 2 * octets.len() + items.len() * (4 * message.len() + 200));
            assert_response(&pieces);
        }
        Command::Search(search) => {
            let candidate = Candidate {
                number: 1,
                uid: 2,
                largest: (4, 900),
                flags: &["\\Seen"],
                internal_date: 837_596_665,
                size: message.len() as u64,
                mod_seq: 7,
                email_id: "M2",
                thread_id: "T2",
                summary: Some(summary),
                octets: Some(message),
            };
            let verdict = matches(&search.key, &candidate);
            assert!(matches!(verdict, Verdict::Known(_)), "with everything at hand all is known");
            let bare = Candidate { summary: None, octets: None, ..candidate };
            if let known @ Verdict::Known(_) = matches(&search.key, &bare) {
                assert_eq!(known, verdict, "knowing more changes nothing");
            }
            for found in [&[][..], &[1, 2, 3, 7, 9, 10, u32::MAX]] {
                assert_response(search_answer(search, tag, found, 9).as_bytes());
            }
        }
        Command::Store { which, flags, .. } => {
            assert!(flags.len() <= FLAGS_MAX);
            let Some(uids) = selected.view.resolve(which) else { return };
            assert_ascending(&uids, selected.view.uids());
            let changed = Changed { uid: 2, mod_seq: 9, flags: flags.clone() };
            mail::imap::view::flags(&mut response, 1, &changed, true);
        }
        Command::Copy { which, mailbox, .. } => {
            if let Some(uids) = selected.view.resolve(which) {
                assert_ascending(&uids, selected.view.uids());
            }
            assert_mailbox(mailbox);
        }
        Command::Append { mailbox, messages } => {
            assert_mailbox(mailbox);
            assert!((1..=APPEND_MESSAGES_MAX).contains(&messages.len()));
            for message in messages {
                assert!(message.octets.len() <= octets.len() && message.flags.len() <= FLAGS_MAX);
                response.text("* 1 FETCH (FLAGS ");
                response.flags(&message.flags);
                response.text(" INTERNALDATE ");
                response.date_time(message.internal_date.unwrap_or(0));
                response.text(")\r\n");
            }
        }
        Command::List(list) => {
            let listed =
                |name: &str| Listed { name: name.into(), exists: true, subscribed: true, special_use: None };
            let mailboxes = [listed("INBOX"), listed("a/b/c"), listed("Entwürfe"), listed("x \"y\\")];
            for name in list.answer(&mailboxes, &mut response) {
                response.mailbox_status(&name, &list.return_status, &MailboxStatus::default());
            }
        }
        Command::Status { mailbox, items } => {
            assert_mailbox(mailbox);
            response.mailbox_status(mailbox, items, &MailboxStatus::default());
        }
        Command::Select { mailbox, .. }
        | Command::Delete(mailbox)
        | Command::Subscribe(mailbox)
        | Command::Unsubscribe(mailbox) => assert_mailbox(mailbox),
        Command::Create { mailbox, special_use } => {
            assert_mailbox(mailbox);
            assert!(special_use.as_ref().is_none_or(|special_use| special_use.starts_with('\\')));
        }
        Command::Rename { from, to } => {
            assert_mailbox(from);
            assert_mailbox(to);
        }
        Command::Expunge(set) => {
            let uids = selected.view.uids().to_vec();
            let gone = set.as_ref().map_or(uids.clone(), |set| {
                set.of_uids(&uids).into_iter().map(|index| uids[index]).collect()
            });
            let mut view = View::new(uids.clone(), 7);
            view.expunged(&gone, gone.len() % 2 == 0, &mut response);
            assert_eq!(view.uids().len(), uids.len() - gone.len());
            if !gone.is_empty() {
                let set = format!("{tag} UID EXPUNGE {}", write_set(&gone));
                let Ok(Tagged { command: Command::Expunge(Some(again)), .. }) = parse(set.as_bytes()) else {
                    panic!("{set}")
                };
                let again: Vec<u32> = again.of_uids(&uids).into_iter().map(|index| uids[index]).collect();
                assert_eq!(again, gone);
            }
        }
        Command::Enable(names) => {
            let enabled = Session::<u32, u32>::new(true, false).enable(names);
            assert!(enabled.len() <= names.len());
        }
        _ => {}
    }
    assert!(!command.name().is_empty());
    response.tagged(tag, "OK", None, command.name());
    assert_response(&response.into_vec());
}

fn assert_ascending(some: &[u32], of: &[u32]) {
    assert!(some.is_sorted_by(|a, b| a < b), "{some:?}");
    assert!(some.iter().all(|uid| of.contains(uid)));
}

/// A name that was read is one line and reads the same when it is told.
fn assert_mailbox(name: &str) {
    assert!(!name.contains(char::is_control), "{name:?}");
    let mut told = Response::default();
    told.text("a DELETE ");
    told.mailbox(name);
    let told = told.into_vec();
    if to_utf7(name).len() > NAME_OCTETS_MAX {
        return;
    }
    match parse(&told) {
        Ok(Tagged { command: Command::Delete(again), .. }) => assert_eq!(again, name),
        other => panic!("{name:?} is told as {:?}: {other:?}", String::from_utf8_lossy(&told)),
    }
}

/// Responses are lines with strings that end, parentheses that match and
/// literals of the length they announce (RFC 9051 section 9, `response`).
pub(crate) fn assert_response(response: &[u8]) {
    let shown = || String::from_utf8_lossy(response).into_owned();
    let mut at = 0;
    let mut depth = 0_usize;
    let (mut line_start, mut free_text) = (0, false);
    while let Some(&octet) = response.get(at) {
        at += 1;
        if at == line_start + 1 {
            free_text = is_status(&response[line_start..]);
        }
        match octet {
            b'\r' => {
                assert_eq!(response.get(at), Some(&b'\n'), "a bare CR: {}", shown());
                assert!(depth == 0 || free_text, "a line ends within parentheses: {}", shown());
                at += 1;
                line_start = at;
                depth = 0;
            }
            b'\n' | 0 => panic!("a bare LF or NUL: {}", shown()),
            _ if free_text => assert!((b' '..=b'~').contains(&octet), "{}", shown()),
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1).unwrap_or_else(|| panic!("a lone parenthesis: {}", shown())),
            b'"' => loop {
                match response.get(at) {
                    Some(b'"') => break at += 1,
                    Some(b'\\') => at += 2,
                    Some(b' '..=b'~') => at += 1,
                    other => panic!("{other:?} in a string: {}", shown()),
                }
            },
            b'{' => {
                let end = at
                    + response[at..].iter().position(|octet| *octet == b'}').expect("the literal's length");
                let length: usize =
                    std::str::from_utf8(&response[at..end]).expect("digits").parse().expect("a number");
                assert_eq!(response.get(end + 1..end + 3), Some(&b"\r\n"[..]), "{}", shown());
                at = end + 3 + length;
                assert!(at < response.len(), "a literal beyond the end: {}", shown());
            }
            _ => assert!(
                octet.is_ascii() && !octet.is_ascii_control(),
                "{octet} outside of strings: {}",
                shown()
            ),
        }
    }
    assert_eq!(line_start, response.len(), "no line end: {}", shown());
}

/// Whether a line is a status response, whose text is free.
fn is_status(line: &[u8]) -> bool {
    let word = line.splitn(3, |octet| *octet == b' ').nth(1);
    word.is_some_and(|word| [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"].contains(&word))
}
