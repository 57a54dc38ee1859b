//! Bencoding, which everything of BitTorrent but the peer wire is written in.

use bittorrent::bencode::{Item, KeyOrder, Limits, Value, decode, decode_first};

const STRICT: Limits = Limits { key_order: KeyOrder::Sorted, ..Limits::MESSAGE };

/// One value, alone or in front of something else.
pub fn bencode(input: &[u8]) {
    let any = decode(input, &Limits::MESSAGE);
    let strict = decode(input, &STRICT);
    if let Ok(value) = &strict {
        assert_eq!(
            owned(value, 0).encode(),
            input,
            "the canonical form is the only one that is read strictly"
        );
        assert_eq!(any.as_ref(), Ok(value));
    }
    if let Ok(value) = &any {
        let written = owned(value, 0).encode();
        assert!(decode(&written, &STRICT).is_ok());
        // Keys are sorted, nothing else changes.
        assert_eq!(written.len(), input.len());
        assert_eq!(decode_first(input, &Limits::MESSAGE), Ok((value.clone(), input.len())));
    }
    if let Ok((value, used)) = decode_first(input, &Limits::MESSAGE) {
        let (first, _) = input.split_at(used);
        assert_eq!(decode(first, &Limits::MESSAGE), Ok(value));
    }
}

fn owned(value: &Value<'_>, depth: usize) -> Item {
    assert!(depth <= Limits::MESSAGE.depth_max);
    match value {
        Value::Integer(integer) => Item::Integer(*integer),
        Value::Bytes(bytes) => Item::from(*bytes),
        Value::List(items) => Item::List(items.iter().map(|item| owned(item, depth + 1)).collect()),
        Value::Dictionary(dictionary) => {
            let octets = dictionary.octets();
            assert!(octets.starts_with(b"d") && octets.ends_with(b"e"));
            for (key, value) in dictionary.entries() {
                assert_eq!(dictionary.get(key), Some(value));
            }
            let entry = |(key, value): &(&[u8], Value<'_>)| (key.to_vec(), owned(value, depth + 1));
            Item::Dictionary(dictionary.entries().iter().map(entry).collect())
        }
    }
}
