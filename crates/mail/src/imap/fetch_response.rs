//! Answering FETCH for one message (RFC 9051 section 7.5.2).

use super::fetch::{Body, BodyName, Item};
use super::response::Response;
use super::structure;
use crate::message::{Portion, Span, Summary, select_fields};
use bytes::Bytes;

/// Slices shorter than this are copied into the text around them.
const COPY_OCTETS_MAX: usize = 16 * 1024;

/// What the store knows of one message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its number in the mailbox, from 1.
    pub number: u32,
    /// Its UID.
    pub uid: u32,
    /// Its flags.
    pub flags: &'a [String],
    /// When it arrived, in seconds since 1970.
    pub internal_date: i64,
    /// Its octets.
    pub size: u64,
    /// Its mod-sequence.
    pub mod_seq: u64,
    /// Its EMAILID.
    pub email_id: &'a str,
    /// Its THREADID.
    pub thread_id: &'a str,
    /// Its summary, where [`super::fetch::needs`] asks for it.
    pub summary: Option<&'a Summary>,
    /// Its octets, where [`super::fetch::needs`] asks for them.
    pub octets: Option<&'a Bytes>,
}

/// Writes `* n FETCH (…)` as pieces to be sent one after another. Large parts of
/// the message are slices of its octets, not copies.
pub fn answer(message: &Message<'_>, items: &[Item]) -> Vec<Bytes> {
    let mut pieces = Pieces::default();
    pieces.text.text(&format!("* {} FETCH (", message.number));
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            pieces.text.text(" ");
        }
        pieces.item(message, item);
    }
    pieces.text.text(")\r\n");
    pieces.flush();
    pieces.done
}

#[derive(Default)]
struct Pieces {
    done: Vec<Bytes>,
    text: Response,
}

impl Pieces {
    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.done.push(std::mem::take(&mut self.text).into_vec().into());
        }
    }

    fn item(&mut self, message: &Message<'_>, item: &Item) {
        let text = &mut self.text;
        match (item, message.summary) {
            (Item::Flags, _) => {
                text.text("FLAGS ");
                text.flags(message.flags);
            }
            (Item::Uid, _) => text.text(&format!("UID {}", message.uid)),
            (Item::InternalDate, _) => {
                text.text("INTERNALDATE ");
                text.date_time(message.internal_date);
            }
            (Item::Size, _) => text.text(&format!("RFC822.SIZE {}", message.size)),
            (Item::ModSeq, _) => text.text(&format!("MODSEQ ({})", message.mod_seq)),
            (Item::EmailId, _) => text.text(&format!("EMAILID ({})", message.email_id)),
            (Item::ThreadId, _) => text.text(&format!("THREADID ({})", message.thread_id)),
            (Item::Envelope, Some(summary)) => {
                text.text("ENVELOPE ");
                structure::envelope(text, &summary.envelope);
            }
            (Item::Structure { extended }, Some(summary)) => {
                text.text(if *extended { "BODYSTRUCTURE " } else { "BODY " });
                structure::structure(text, &summary.root, *extended);
            }
            (Item::Envelope, None) => text.text("ENVELOPE NIL"),
            (Item::Structure { .. }, None) => text.text("BODY NIL"),
            (Item::Body(body), summary) => self.body(message.octets, summary, body),
        }
    }

    fn body(&mut self, octets: Option<&Bytes>, summary: Option<&Summary>, body: &Body) {
        self.name(body);
        let found = octets.and_then(|octets| section(octets, summary, body));
        let Some(section) = found else { return self.text.text(" NIL") };
        let section = match body.partial {
            None => section,
            Some((first, count)) => {
                let first = usize::try_from(first).unwrap_or(usize::MAX).min(section.len());
                let count = usize::try_from(count).unwrap_or(usize::MAX).min(section.len() - first);
                section.slice(first..first + count)
            }
        };
        if section.is_empty() {
            return self.text.text(" \"\"");
        }
        self.text.text(&format!(" {{{}}}\r\n", section.len()));
        if section.len() <= COPY_OCTETS_MAX {
            self.text.octets(&section);
        } else {
            self.flush();
            self.done.push(section);
        }
    }

    fn name(&mut self, body: &Body) {
        if let BodyName::Old(name) = body.name {
            return self.text.text(name);
        }
        self.text.text("BODY[");
        let mut names: Vec<String> = body.path.iter().map(u32::to_string).collect();
        match (body.portion, &body.fields) {
            (Portion::Whole, _) => {}
            (Portion::Header, None) => names.push("HEADER".to_owned()),
            (Portion::Header, Some((false, _))) => names.push("HEADER.FIELDS".to_owned()),
            (Portion::Header, Some((true, _))) => names.push("HEADER.FIELDS.NOT".to_owned()),
            (Portion::Text, _) => names.push("TEXT".to_owned()),
            (Portion::Mime, _) => names.push("MIME".to_owned()),
        }
        self.text.text(&names.join("."));
        if let Some((_, fields)) = &body.fields {
            self.text.text(" (");
            for (index, field) in fields.iter().enumerate() {
                if index > 0 {
                    self.text.text(" ");
                }
                let plain = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
                if !field.is_empty() && field.iter().all(plain) {
                    self.text.octets(field);
                } else {
                    self.text.string(field);
                }
            }
            self.text.text(")");
        }
        self.text.text("]");
        if let Some((first, _)) = body.partial {
            self.text.text(&format!("<{first}>"));
        }
    }
}

fn section(octets: &Bytes, summary: Option<&Summary>, body: &Body) -> Option<Bytes> {
    if body.is_whole() {
        return Some(octets.clone());
    }
    let Span { start, end } = summary?.section(&body.path, body.portion)?;
    let end = (end as usize).min(octets.len());
    let section = octets.slice((start as usize).min(end)..end);
    Some(match &body.fields {
        Some((not, names)) => select_fields(&section, names, *not).into(),
        None => section,
    })
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, parse};
    use super::*;

    fn fetch(octets: &Bytes, items: &str) -> String {
        let Command::Fetch { items, .. } = parse(format!("a FETCH 1 {items}").as_bytes()).unwrap().command
        else {
            panic!("not a FETCH")
        };
        let summary = Summary::parse(octets);
        let message = Message {
            number: 7,
            uid: 42,
            flags: &["\\Seen".to_owned(), "$Junk".to_owned()],
            internal_date: 0,
            size: octets.len() as u64,
            mod_seq: 9,
            email_id: "e1",
            thread_id: "t1",
            summary: Some(&summary),
            octets: Some(octets),
        };
        String::from_utf8(answer(&message, &items).concat()).unwrap()
    }

    #[test]
    fn every_item_is_answered() {
        let message = Bytes::from_static(b"Subject: x\r\nTo: a@b\r\n\r\nhello\r\n");
        assert_eq!(
            fetch(&message, "(UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ EMAILID THREADID)"),
            "* 7 FETCH (UID 42 FLAGS (\\Seen $Junk) INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\" RFC822.SIZE 30 MODSEQ (9) EMAILID (e1) THREADID (t1))\r\n"
        );
        assert_eq!(fetch(&message, "BODY[TEXT]"), "* 7 FETCH (BODY[TEXT] {7}\r\nhello\r\n)\r\n");
        assert_eq!(fetch(&message, "BODY.PEEK[TEXT]<1.3>"), "* 7 FETCH (BODY[TEXT]<1> {3}\r\nell)\r\n");
        assert_eq!(fetch(&message, "BODY[TEXT]<99.3>"), "* 7 FETCH (BODY[TEXT]<99> \"\")\r\n");
        assert_eq!(fetch(&message, "BODY[9]"), "* 7 FETCH (BODY[9] NIL)\r\n");
        assert_eq!(
            fetch(&message, "RFC822.HEADER"),
            "* 7 FETCH (RFC822.HEADER {23}\r\nSubject: x\r\nTo: a@b\r\n\r\n)\r\n"
        );
        assert_eq!(
            fetch(&message, "BODY[HEADER.FIELDS (to \"a b\")]"),
            "* 7 FETCH (BODY[HEADER.FIELDS (to \"a b\")] {11}\r\nTo: a@b\r\n\r\n)\r\n"
        );
        assert_eq!(fetch(&message, "BODY[1]"), "* 7 FETCH (BODY[1] {7}\r\nhello\r\n)\r\n");
    }

    #[test]
    fn a_large_section_is_not_copied() {
        let message = Bytes::from([b"Subject: x\r\n\r\n".to_vec(), vec![b'y'; 100_000]].concat());
        let Command::Fetch { items, .. } = parse(b"a FETCH 1 (UID BODY[TEXT])").unwrap().command else {
            panic!()
        };
        let summary = Summary::parse(&message);
        let message = Message {
            number: 1,
            uid: 1,
            flags: &[],
            internal_date: 0,
            size: 0,
            mod_seq: 1,
            email_id: "",
            thread_id: "",
            summary: Some(&summary),
            octets: Some(&message),
        };
        let pieces = answer(&message, &items);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[1].as_ptr(), message.octets.unwrap()[14..].as_ptr());
    }
}
