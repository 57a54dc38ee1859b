//! What storage gives back, which a crash or a disk may have damaged.

use dns::journal::{Entry, decode_snapshot, encode_snapshot};
use mail::message::Summary;

/// A stored change of a zone, a piece of a stored zone, and a stored summary.
pub fn stored(input: &[u8]) {
    if let Ok(entry) = Entry::decode(input) {
        assert_eq!(entry.encode(), input);
        for record in entry.removed.iter().chain(&entry.added) {
            let _ = record.to_string();
        }
        let zone = dns::master::name("example.test").expect("a name");
        let mut draft = dns::zone::Draft::empty(zone, 1);
        if entry.apply(&mut draft).is_ok() {
            let _ = draft.finish();
        }
    }
    if let Ok(records) = decode_snapshot(input) {
        let again: Vec<Vec<u8>> = encode_snapshot(records.clone(), usize::MAX).collect();
        match again.as_slice() {
            [] => assert!(records.is_empty()),
            [piece] => assert_eq!(piece, input),
            _ => panic!("one piece became {}", again.len()),
        }
        let zone = dns::master::name("example.test").expect("a name");
        let _ = dns::zone::Zone::new(zone, 1, records);
    }
    if let Some(summary) = Summary::decode(input) {
        let encoded = summary.encode();
        assert!(encoded.len() <= input.len(), "the stored form is the shortest");
        assert_eq!(Summary::decode(&encoded).as_ref(), Some(&summary));
    }
}
