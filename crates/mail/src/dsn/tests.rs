//! Notifications read back with a MIME parser.

use super::*;
use mail_parser::{MessageParser, MimeHeaders};

fn notification(recipient: &str, original: &[u8]) -> Vec<u8> {
    let to = "alice@crepes.test".parse().unwrap();
    let recipients = [RecipientReport {
        recipient: recipient.parse().unwrap(),
        remote_mta: Some("mx.utopia.test".into()),
        reply: Reply::new(550, EnhancedCode(5, 1, 1), "no such user\r\nhere"),
    }];
    Notification {
        reporting_mta: "mail.crepes.test",
        to: &to,
        action: Action::Failed,
        recipients: &recipients,
        original,
        arrival: "Sun, 22 Nov 2026 10:00:00 +0000",
        retry_until: None,
        date: "Sun, 22 Nov 2026 10:00:05 +0000",
        unique: "abc123",
    }
    .message()
}

#[test]
fn a_bounce_has_three_parts() {
    let octets = notification(
        "nobody@utopia.test",
        b"From: alice@crepes.test\r\nMessage-ID: <1@x>\r\n\r\nsecret body\r\n",
    );
    let message = MessageParser::default().parse(&octets).unwrap();
    assert_eq!(message.content_type().unwrap().c_subtype.as_deref(), Some("report"));
    assert_eq!(message.in_reply_to().as_text(), Some("1@x"));
    assert_eq!(message.parts.len(), 4);
    let text = String::from_utf8(octets.clone()).unwrap();
    for line in [
        "Reporting-MTA: dns; mail.crepes.test",
        "Final-Recipient: rfc822; nobody@utopia.test",
        "Action: failed",
        "Status: 5.1.1",
        "Remote-MTA: dns; mx.utopia.test",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user  here",
        "Content-Type: text/rfc822-headers",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} is missing in {text}");
    }
    assert!(!text.contains("secret body"));
    assert!(text.split("\r\n").all(|line| line.len() < 998 && !line.contains('\n')));
}

#[test]
fn utf8_and_large_headers() {
    let long = format!("X: {}\r\n", "y".repeat(70)).repeat(1_000);
    let octets = notification("δοκιμή@utopia.test", long.as_bytes());
    assert!(octets.len() < HEADER_OCTETS_MAX + 4_000);
    let text = String::from_utf8(octets).unwrap();
    assert!(text.contains("Final-Recipient: utf-8; δοκιμή@utopia.test"));
    assert!(text.contains("Content-Type: message/global-delivery-status"));
}
