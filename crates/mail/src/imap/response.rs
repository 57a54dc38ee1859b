//! Writing what goes to the client (RFC 9051 sections 4 and 7): strings, flags,
//! dates, status lines.

use super::list::StatusItem;
use super::mailbox_name;
use super::scanner::civil_date;
use std::fmt::Write;

/// The flags every mailbox has (RFC 9051 section 2.3.2).
pub const SYSTEM_FLAGS: [&str; 5] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];

/// Names of months in dates.
pub(super) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Longer strings go as literals.
const QUOTED_OCTETS_MAX: usize = 1_000;

/// Octets on their way to the client.
#[derive(Debug, Default)]
pub struct Response(Vec<u8>);

/// What STATUS and SELECT tell of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailboxStatus {
    /// How many messages.
    pub messages: u32,
    /// The UID the next message gets at least.
    pub uid_next: u32,
    /// The UIDVALIDITY.
    pub uid_validity: u32,
    /// How many without `\Seen`.
    pub unseen: u32,
    /// How many with `\Deleted`.
    pub deleted: u32,
    /// Octets of all messages.
    pub octets: u64,
    /// The highest mod-sequence.
    pub highest_mod_seq: u64,
    /// The MAILBOXID.
    pub mailbox_id: String,
}

impl Response {
    /// Adds text as it is.
    pub fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Adds octets as they are.
    pub fn octets(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    /// What was written.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// How much was written.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A string, quoted where that may be, else a literal.
    pub fn string(&mut self, value: &[u8]) {
        let quotable = |octet: &u8| matches!(octet, b' '..=b'~');
        if value.len() <= QUOTED_OCTETS_MAX && value.iter().all(quotable) {
            self.0.push(b'"');
            for octet in value {
                if matches!(octet, b'"' | b'\\') {
                    self.0.push(b'\\');
                }
                self.0.push(*octet);
            }
            self.0.push(b'"');
        } else {
            self.text(&format!("{{{}}}\r\n", value.len()));
            // A literal must not hold NUL (RFC 9051 section 4.3).
            self.0.extend(value.iter().map(|octet| if *octet == 0 { b'?' } else { *octet }));
        }
    }

    /// A string, or NIL.
    pub fn nstring(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.string(value),
            None => self.text("NIL"),
        }
    }

    /// A mailbox name in modified UTF-7 (RFC 3501 section 5.1.3).
    pub fn mailbox(&mut self, name: &str) {
        let name = mailbox_name::to_utf7(name);
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"/-_.&,+".contains(&octet);
        if !name.is_empty() && name.bytes().all(plain) && !name.eq_ignore_ascii_case("NIL") {
            self.text(&name);
        } else {
            self.string(name.as_bytes());
        }
    }

    /// Flags in parentheses.
    pub fn flags<S: AsRef<str>>(&mut self, flags: &[S]) {
        self.text("(");
        for (index, flag) in flags.iter().enumerate() {
            if index > 0 {
                self.text(" ");
            }
            self.text(flag.as_ref());
        }
        self.text(")");
    }

    /// `INTERNALDATE`'s value, in UTC.
    pub fn date_time(&mut self, unix_seconds: i64) {
        let (year, month, day) = civil_date(unix_seconds.div_euclid(86_400));
        let clock = unix_seconds.rem_euclid(86_400);
        let month = MONTHS[(month - 1) % 12];
        let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
        self.text(&format!("\"{day:2}-{month}-{year:04} {hour:02}:{minute:02}:{second:02} +0000\""));
    }

    /// A tagged status line: `a1 OK [CODE] text`.
    pub fn tagged(&mut self, tag: &str, status: &str, code: Option<&str>, text: &str) {
        self.text(tag);
        self.status(status, code, text);
    }

    /// An untagged status line: `* OK [CODE] text`.
    pub fn untagged(&mut self, status: &str, code: Option<&str>, text: &str) {
        self.text("*");
        self.status(status, code, text);
    }

    fn status(&mut self, status: &str, code: Option<&str>, text: &str) {
        self.text(&format!(" {status} "));
        if let Some(code) = code {
            self.text(&format!("[{code}] "));
        }
        // A status line is one line, whatever the text was made from.
        let text: String = text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
        self.text(&text);
        self.text("\r\n");
    }

    /// `* STATUS mailbox (…)`.
    pub fn mailbox_status(&mut self, name: &str, items: &[StatusItem], status: &MailboxStatus) {
        self.text("* STATUS ");
        self.mailbox(name);
        let mut told = String::new();
        for item in items {
            if !told.is_empty() {
                told.push(' ');
            }
            let _ = match item {
                StatusItem::Messages => write!(told, "MESSAGES {}", status.messages),
                StatusItem::Recent => write!(told, "RECENT 0"),
                StatusItem::UidNext => write!(told, "UIDNEXT {}", status.uid_next),
                StatusItem::UidValidity => write!(told, "UIDVALIDITY {}", status.uid_validity),
                StatusItem::Unseen => write!(told, "UNSEEN {}", status.unseen),
                StatusItem::Deleted => write!(told, "DELETED {}", status.deleted),
                StatusItem::Size => write!(told, "SIZE {}", status.octets),
                StatusItem::HighestModSeq => write!(told, "HIGHESTMODSEQ {}", status.highest_mod_seq),
                StatusItem::MailboxId => write!(told, "MAILBOXID ({})", status.mailbox_id),
            };
        }
        self.text(&format!(" ({told})\r\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Response)) -> String {
        let mut response = Response::default();
        write(&mut response);
        String::from_utf8(response.into_vec()).unwrap()
    }

    #[test]
    fn strings_are_quoted_or_literals() {
        assert_eq!(written(|r| r.string(br#"a "b\"#)), r#""a \"b\\""#);
        assert_eq!(written(|r| r.string("ü".as_bytes())), "{2}\r\nü");
        assert_eq!(written(|r| r.string(b"a\r\nb")), "{4}\r\na\r\nb");
        let longest = "x".repeat(QUOTED_OCTETS_MAX);
        assert_eq!(written(|r| r.string(longest.as_bytes())), format!("\"{longest}\""));
        let longer = format!("{longest}x");
        let literal = format!("{{{}}}\r\n{longer}", QUOTED_OCTETS_MAX + 1);
        assert_eq!(written(|r| r.string(longer.as_bytes())), literal);
        assert_eq!(written(|r| r.nstring(None)), "NIL");
        assert_eq!(written(|r| r.mailbox("Entwürfe")), "Entw&APw-rfe");
        assert_eq!(written(|r| r.mailbox("a b")), "\"a b\"");
        assert_eq!(written(|r| r.mailbox("nil")), "\"nil\"");
    }

    #[test]
    fn dates_are_in_utc() {
        assert_eq!(written(|r| r.date_time(837_596_665)), "\"17-Jul-1996 09:44:25 +0000\"");
        assert_eq!(written(|r| r.date_time(0)), "\" 1-Jan-1970 00:00:00 +0000\"");
    }

    #[test]
    fn a_status_line_stays_one_line() {
        assert_eq!(written(|r| r.tagged("a", "NO", Some("ALERT"), "x\r\n* OK")), "a NO [ALERT] x??* OK\r\n");
    }

    #[test]
    fn status_tells_what_is_asked_for() {
        let status = MailboxStatus {
            messages: 2,
            uid_next: 4,
            uid_validity: 7,
            unseen: 1,
            deleted: 0,
            octets: 44,
            highest_mod_seq: 9,
            mailbox_id: "m5".to_owned(),
        };
        let items = [
            StatusItem::Messages,
            StatusItem::UidNext,
            StatusItem::UidValidity,
            StatusItem::Unseen,
            StatusItem::Deleted,
            StatusItem::Size,
            StatusItem::HighestModSeq,
            StatusItem::MailboxId,
        ];
        assert_eq!(
            written(|r| r.mailbox_status("INBOX", &items, &status)),
            "* STATUS INBOX (MESSAGES 2 UIDNEXT 4 UIDVALIDITY 7 UNSEEN 1 DELETED 0 SIZE 44 HIGHESTMODSEQ 9 MAILBOXID (m5))\r\n"
        );
        assert_eq!(
            written(|r| r.mailbox_status("x", &[StatusItem::Size], &status)),
            "* STATUS x (SIZE 44)\r\n"
        );
    }
}
