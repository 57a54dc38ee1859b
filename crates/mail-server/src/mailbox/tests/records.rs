//! Records come back as they were written, and garbage gives no panic.

use crate::mailbox::record::{
    AccountState, Email, MailboxRecord, ThreadEntry, decode_id, decode_uids, encode_uids,
};
use crate::mailbox::{EmailId, Flags, Message, SpecialUse, ThreadId};
use proptest::prelude::*;
use storage::ContentId;

fn message() -> impl Strategy<Value = Message> {
    let numbers = (any::<u32>(), any::<u64>(), any::<i64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let flags = prop::collection::vec("(\\\\Seen|\\\\Deleted|[a-zA-Z$]{1,9})", 0..6);
    (numbers, flags, any::<[u8; 32]>()).prop_map(|(numbers, flags, content)| Message {
        uid: numbers.0,
        modseq: numbers.1,
        flags: Flags::from_names(flags.iter().map(String::as_str)),
        internal_date: numbers.2,
        size: numbers.3,
        content: ContentId(content),
        email: EmailId(numbers.4),
        thread: ThreadId(numbers.5),
    })
}

/// Whatever the octets are, nothing panics or takes memory without bound.
fn decode_all(octets: &[u8]) {
    let _ = Message::decode(1, octets);
    let _ = MailboxRecord::decode(octets);
    let _ = AccountState::decode(octets);
    let _ = Email::decode(octets);
    let _ = ThreadEntry::decode(octets);
    let _ = decode_uids(octets);
    let _ = decode_id(octets);
}

proptest! {
    #[test]
    fn messages_come_back(message in message(), cut in any::<prop::sample::Index>()) {
        let octets = message.encode();
        prop_assert_eq!(Message::decode(message.uid, &octets), Some(message));
        let shorter = &octets[..cut.index(octets.len())];
        prop_assert_eq!(Message::decode(1, shorter), None);
        decode_all(shorter);
    }

    #[test]
    fn mailboxes_come_back(name in ".{0,50}", numbers in any::<[u32; 4]>(), longs in any::<[u64; 3]>()) {
        let record = MailboxRecord {
            name,
            uid_validity: numbers[0],
            uid_next: numbers[1],
            highest_modseq: longs[0],
            forgotten_modseq: longs[1],
            expunges: numbers[2],
            special_use: SpecialUse::ALL.get(numbers[3] as usize % 6).copied(),
            messages: numbers[3],
            unseen: numbers[2],
            deleted: numbers[1],
            octets: longs[2],
        };
        prop_assert_eq!(MailboxRecord::decode(&record.encode()), Some(record));
    }

    #[test]
    fn emails_and_threads_come_back(longs in any::<[u64; 3]>(), keys in prop::collection::vec(any::<[u8; 16]>(), 0..5)) {
        let email = Email {
            copies: longs[0] as u32,
            content: ContentId([7; 32]),
            size: longs[1],
            thread: ThreadId(longs[2]),
            thread_keys: keys,
        };
        prop_assert_eq!(Email::decode(&email.encode()), Some(email));
        let entry = ThreadEntry { thread: ThreadId(longs[0]), emails: longs[1] };
        prop_assert_eq!(ThreadEntry::decode(&entry.encode()), Some(entry));
    }

    #[test]
    fn uids_come_back(uids in prop::collection::vec((any::<u32>(), 0..9u32), 0..9)) {
        let uids = uids.into_iter().map(|(from, more)| from..=from.saturating_add(more)).collect();
        let uids = crate::mailbox::uids::canonical(&uids);
        prop_assert_eq!(decode_uids(&encode_uids(&uids)), Some(uids));
    }

    #[test]
    fn garbage_is_no_record(mut octets in prop::collection::vec(any::<u8>(), 0..100)) {
        decode_all(&octets);
        if let Some(version) = octets.first_mut() {
            *version = 1;
        }
        decode_all(&octets);
        // A count that lies.
        decode_all(&[&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &octets[..]].concat());
    }
}
