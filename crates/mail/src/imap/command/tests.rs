//! Vectors from the RFCs' examples, and hostile octets.

use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Command {
    parse(text.as_bytes()).unwrap_or_else(|refused| panic!("{text}: {}", refused.fault)).command
}

#[test]
fn the_examples_of_the_rfcs_are_read() {
    for text in [
        "a001 CAPABILITY",
        "a002 NOOP",
        "A023 LOGOUT",
        "a002 STARTTLS",
        "a001 AUTHENTICATE GSSAPI",
        "a001 LOGIN SMITH SESAME",
        "a001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man",
        "t1 ENABLE CONDSTORE X-GOOD-IDEA",
        "A142 SELECT INBOX",
        "A932 EXAMINE blurdybloop",
        "A003 CREATE owatagusiam/",
        "t1 CREATE MyDrafts (USE (\\Drafts))",
        "A683 DELETE blurdybloop",
        "A682 RENAME blurdybloop sarasoop",
        "A002 SUBSCRIBE #news.comp.mail.mime",
        "A002 UNSUBSCRIBE #news.comp.mail.mime",
        "A101 LIST \"\" \"\"",
        "A102 LIST #news.comp.mail.misc \"\"",
        "A202 LIST ~/Mail/ %",
        "A01 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" * RETURN (CHILDREN STATUS (MESSAGES))",
        "A002 LSUB \"#news.\" \"comp.mail.*\"",
        "A001 NAMESPACE",
        "A042 STATUS blurdybloop (UIDNEXT MESSAGES)",
        "A003 APPEND saved-messages (\\Seen) {5}\r\nabcde",
        "A003 APPEND INBOX \"17-Jul-1996 02:44:25 -0700\" {1+}\r\nx (\\Flagged) {2}\r\nyz",
        "FXXZ CHECK",
        "A341 CLOSE",
        "A342 UNSELECT",
        "A202 EXPUNGE",
        "A003 UID EXPUNGE 3000:3002",
        "A282 SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
        "A284 SEARCH CHARSET UTF-8 TEXT {6}\r\nXXXXXX",
        "A654 FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])",
        "s100 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345 VANISHED)",
        "A003 STORE 2:4 +FLAGS (\\Deleted)",
        "d105 STORE 7,5,9 (UNCHANGEDSINCE 320162338) +FLAGS.SILENT (\\Deleted)",
        "A003 STORE 1 FLAGS \\Seen $MDNSent",
        "A003 COPY 2:4 MEETING",
        "A004 MOVE 2:4 MEETING",
        "A999 UID FETCH 4827313:4828442 FLAGS",
        "a023 ID (\"name\" \"sodr\" \"version\" NIL)",
        "a02 SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541 (1,3 41,43)))",
        "A002 IDLE",
    ] {
        read(text);
    }
    assert_eq!(
        read("a AUTHENTICATE PLAIN AHQAdA=="),
        Command::Authenticate { mechanism: "PLAIN".into(), initial: Some(b"\0t\0t".to_vec()) }
    );
    assert_eq!(
        read("a AUTHENTICATE PLAIN ="),
        Command::Authenticate { mechanism: "PLAIN".into(), initial: Some(vec![]) }
    );
    assert_eq!(read("a create x/"), Command::Create { mailbox: "x".into(), special_use: None });
    let Command::Append { messages, .. } = read("a APPEND INBOX {1+}\r\nx (\\Flagged) {2}\r\nyz") else {
        panic!()
    };
    assert_eq!(messages[1].flags, ["\\Flagged"]);
    assert_eq!(messages[1].octets, 39..41);
}

#[test]
fn what_is_no_command_names_its_place() {
    let refused = |text: &str| parse(text.as_bytes()).unwrap_err();
    assert_eq!(refused("").tag, None);
    assert_eq!(refused("+ NOOP").tag, None);
    assert_eq!(refused("a1").tag.as_deref(), Some("a1"));
    assert_eq!(refused("a1 FOO").fault.to_string(), "expected a command at octet 3 of the command");
    assert_eq!(refused("a1 NOOP x").fault.expected, "the end of the command");
    assert_eq!(refused("a1 STORE 1 FLAGS (\\Recent)").fault.expected, "a flag that can be set");
    assert_eq!(refused("a1 UID NOOP x").tag.as_deref(), Some("a1"));
    let many = vec!["x"; FLAGS_MAX + 1].join(" ");
    assert_eq!(refused(&format!("a1 STORE 1 FLAGS ({many})")).fault.expected, "fewer flags");
    assert_eq!(refused(&format!("{} NOOP", "t".repeat(TAG_OCTETS_MAX + 1))).tag, None);
    let append = format!("a1 APPEND x{}", " {0}\r\n".repeat(APPEND_MESSAGES_MAX + 1));
    assert_eq!(refused(&append).fault.expected, "fewer messages");
}

proptest! {
    #[test]
    fn hostile_octets_never_panic(
        start in "(a (LOGIN|FETCH|UID FETCH|STORE|SEARCH|UID SEARCH|APPEND|LIST|SELECT|STATUS|ID|CREATE|AUTHENTICATE) )?",
        rest in proptest::collection::vec(prop_oneof![
            Just(b"(".to_vec()), Just(b")".to_vec()), Just(b" ".to_vec()), Just(b"{3}\r\nabc".to_vec()),
            Just(b"\"".to_vec()), Just(b"1:*".to_vec()), Just(b"BODY[".to_vec()), Just(b"NOT ".to_vec()),
            Just(b"OR ".to_vec()), Just(b"&".to_vec()), Just(b"1-Feb-1994".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6)], 0..20),
    ) {
        let _ = parse(&[start.into_bytes(), rest.concat()].concat());
    }
}
