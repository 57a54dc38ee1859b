//! Delivery status notifications: RFC 3461 section 6, RFC 3462, RFC 3464.

#[cfg(test)]
mod tests;

use crate::address::Address;
use crate::message::fields;
use crate::smtp::{EnhancedCode, Reply};
use std::fmt::Write as _;

/// Octets of the original header that a notification returns.
pub const HEADER_OCTETS_MAX: usize = 32 * 1024;

/// What became of a recipient (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not delivered yet; still being tried.
    Delayed,
}

/// The fate of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientReport {
    /// Whom the message was for.
    pub recipient: Address,
    /// The MTA that said so, where one did.
    pub remote_mta: Option<String>,
    /// What it said, or what we say in its place.
    pub reply: Reply,
}

impl RecipientReport {
    /// The status code of RFC 3463; a reply without one gets the class alone.
    pub fn status(&self) -> EnhancedCode {
        self.reply.enhanced().unwrap_or(match self.reply.code() {
            400..500 => EnhancedCode(4, 0, 0),
            200..300 => EnhancedCode(2, 0, 0),
            _ => EnhancedCode(5, 0, 0),
        })
    }
}

/// Everything that a notification says. It is to be sent with a null
/// reverse-path, and never about a message that came with one (RFC 5321 section
/// 6.1).
#[derive(Debug, Clone)]
pub struct Notification<'a> {
    /// The name of the MTA that reports.
    pub reporting_mta: &'a str,
    /// Whom to tell: the reverse-path of the original.
    pub to: &'a Address,
    /// What happened.
    pub action: Action,
    /// To whom.
    pub recipients: &'a [RecipientReport],
    /// The original message; its header is returned.
    pub original: &'a [u8],
    /// When it arrived, as in a Date field.
    pub arrival: &'a str,
    /// For [`Action::Delayed`]: until when it is tried, as in a Date field.
    pub retry_until: Option<&'a str>,
    /// The Date of the notification.
    pub date: &'a str,
    /// A unique text of letters and digits, for Message-ID and boundary.
    pub unique: &'a str,
}

impl Notification<'_> {
    /// The notification as a message.
    pub fn message(&self) -> Vec<u8> {
        let mta = self.reporting_mta;
        let header = original_header(self.original);
        let is_utf8 = !self.to.is_ascii()
            || self.recipients.iter().any(|report| !report.recipient.is_ascii())
            || !header.is_ascii();
        // RFC 6533 section 4 names other types for UTF-8.
        let (status_type, header_type) = if is_utf8 {
            ("message/global-delivery-status", "message/global-headers")
        } else {
            ("message/delivery-status", "text/rfc822-headers")
        };
        let boundary = format!("dsn-{}", self.unique);
        let subject = match self.action {
            Action::Failed => "Undelivered mail returned to sender",
            Action::Delayed => "Delayed mail, still being tried",
        };
        let mut text = format!(
            "From: Mail Delivery System <MAILER-DAEMON@{mta}>\r\n\
             To: {}\r\n\
             Subject: {subject}\r\n\
             Date: {}\r\n\
             Message-ID: <{}@{mta}>\r\n\
             Auto-Submitted: auto-replied\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n",
            self.to, self.date, self.unique
        );
        if let Some(id) = fields(&header).find(|field| field.name.eq_ignore_ascii_case(b"Message-ID")) {
            let id = String::from_utf8_lossy(id.value).replace(['\r', '\n'], "");
            if id.len() < 900 {
                let _ = write!(text, "In-Reply-To: {}\r\n", id.trim());
            }
        }
        let _ = write!(
            text,
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        );
        self.write_words(&mut text);
        let _ = write!(text, "\r\n--{boundary}\r\nContent-Type: {status_type}\r\n");
        if is_utf8 {
            text.push_str("Content-Transfer-Encoding: 8bit\r\n");
        }
        text.push_str("\r\n");
        self.write_status(&mut text);
        let _ = write!(text, "\r\n--{boundary}\r\nContent-Type: {header_type}\r\n");
        if is_utf8 {
            text.push_str("Content-Transfer-Encoding: 8bit\r\n");
        }
        text.push_str("\r\n");
        let mut message = text.into_bytes();
        message.extend_from_slice(&header);
        message.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        message
    }

    /// The part that people read.
    fn write_words(&self, text: &mut String) {
        let _ = write!(text, "This is the mail system at {}.\r\n\r\n", self.reporting_mta);
        text.push_str(match self.action {
            Action::Failed => "Your message could not be delivered to:\r\n",
            Action::Delayed => "Your message could not be delivered yet. Nothing is left for you to do; it is tried again.\r\n",
        });
        for report in self.recipients {
            let by = report.remote_mta.as_deref().unwrap_or(self.reporting_mta);
            let _ = write!(
                text,
                "\r\n  <{}>\r\n    {by} said: {}\r\n",
                report.recipient,
                one_line(&report.reply)
            );
        }
        if let Some(until) = self.retry_until {
            let _ = write!(text, "\r\nIt is given up after {until}.\r\n");
        }
    }

    /// The part that programs read (RFC 3464 section 2).
    fn write_status(&self, text: &mut String) {
        let _ =
            write!(text, "Reporting-MTA: dns; {}\r\nArrival-Date: {}\r\n", self.reporting_mta, self.arrival);
        for report in self.recipients {
            let kind = if report.recipient.is_ascii() { "rfc822" } else { "utf-8" };
            let action = match self.action {
                Action::Failed => "failed",
                Action::Delayed => "delayed",
            };
            let _ = write!(
                text,
                "\r\nFinal-Recipient: {kind}; {}\r\nAction: {action}\r\nStatus: {}\r\n",
                report.recipient,
                report.status()
            );
            if let Some(mta) = &report.remote_mta {
                let _ = write!(text, "Remote-MTA: dns; {mta}\r\n");
                let _ = write!(text, "Diagnostic-Code: smtp; {}\r\n", one_line(&report.reply));
            }
            if let (Action::Delayed, Some(until)) = (self.action, self.retry_until) {
                let _ = write!(text, "Will-Retry-Until: {until}\r\n");
            }
        }
    }
}

/// A reply on one line, short enough for a line of a message, without what
/// could end that line.
fn one_line(reply: &Reply) -> String {
    reply.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(450).collect()
}

/// The header of a message, whole lines up to [`HEADER_OCTETS_MAX`].
fn original_header(message: &[u8]) -> Vec<u8> {
    let end =
        message.windows(4).position(|octets| octets == b"\r\n\r\n").map_or(message.len(), |place| place + 2);
    let mut header = message.get(..end.min(HEADER_OCTETS_MAX)).unwrap_or_default();
    while !header.is_empty() && !header.ends_with(b"\r\n") {
        let cut = header.len() - 1;
        header = header.get(..cut).unwrap_or_default();
    }
    header.to_vec()
}
