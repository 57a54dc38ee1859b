//! The vectors of BEP 44, and what is refused.

use super::*;
use crate::dht::hex;
use proptest::prelude::*;

const PUBLIC: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";
const SECRET: &str = "e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d\
    b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d";

fn hello() -> Value {
    Value::new(b"12:Hello World!".to_vec()).expect("a value")
}

fn secret() -> SecretKey {
    SecretKey::from_expanded(&hex::decode(SECRET).expect("64 octets"))
}

#[test]
fn test_1_of_bep_44_a_mutable_item() {
    assert_eq!(signed(b"", 1, &hello()), b"3:seqi1e1:v12:Hello World!");
    let secret = secret();
    assert_eq!(secret.public().to_string(), PUBLIC);
    let item = MutableItem::sign(&secret, b"", 1, hello()).expect("an item");
    let signature = "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff\
        1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01";
    assert_eq!(hex::encode(item.signature()), signature);
    let target = Item::Mutable(item.clone()).target();
    assert_eq!(target.to_string(), "4a533d47ec9c7d95b1ad75f576cffc641853b750");
    assert_eq!(MutableItem::verify(secret.public(), b"", 1, hello(), *item.signature()), Ok(item));
}

#[test]
fn test_2_of_bep_44_a_mutable_item_with_salt() {
    assert_eq!(signed(b"foobar", 1, &hello()), b"4:salt6:foobar3:seqi1e1:v12:Hello World!");
    let item = MutableItem::sign(&secret(), b"foobar", 1, hello()).expect("an item");
    let signature = "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d\
        df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08";
    assert_eq!(hex::encode(item.signature()), signature);
    assert_eq!(Item::Mutable(item).target().to_string(), "411eba73b6f087ca51a3795d9c8c938d365e32c1");
}

#[test]
fn test_3_of_bep_44_an_immutable_item() {
    assert_eq!(Item::Immutable(hello()).target().to_string(), "e5f96f6f38320f0f33959cb4d3d656452117aadb");
}

#[test]
fn values_are_canonical_and_bounded() {
    let string = |octets: usize| format!("{octets}:{}", "x".repeat(octets)).into_bytes();
    assert!(Value::new(string(996)).is_ok());
    assert_eq!(Value::new(string(997)), Err(ItemError::ValueTooLong { octets: 1_001 }));
    for bad in ["d1:bi1e1:ai2ee", "i01e", "", "1:xx", "d1:ai1e1:ai1ee"] {
        assert!(matches!(Value::new(bad.into()), Err(ItemError::Value(_))), "{bad}");
    }
    let deep = [vec![b'l'; 500], vec![b'e'; 500]].concat();
    assert!(matches!(Value::new(deep), Err(ItemError::Value(_))));
}

#[test]
fn each_error_has_its_code() {
    let salt = [0; SALT_OCTETS_MAX + 1];
    let error = MutableItem::sign(&secret(), &salt, 1, hello()).expect_err("refused");
    assert_eq!(ErrorReply::from(error).code, code::SALT_TOO_BIG);
    let error = MutableItem::sign(&secret(), b"", -1, hello()).expect_err("refused");
    assert_eq!(ErrorReply::from(error).code, code::PROTOCOL);
    let error = Item::from_put(vec![b'x'; 1_001], None).expect_err("refused");
    assert_eq!(ErrorReply::from(error).code, code::VALUE_TOO_BIG);
    let error = MutableItem::verify(secret().public(), b"", 1, hello(), [0; 64]).expect_err("refused");
    assert_eq!(ErrorReply::from(error).code, code::BAD_SIGNATURE);
    // A key of small order would take anybody's signature.
    let mut small = [0; 32];
    small[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let error = MutableItem::verify(PublicKey(small), b"", 1, hello(), signature).expect_err("refused");
    assert_eq!(error, ItemError::Signature);
}

proptest! {
    #[test]
    fn a_signature_fits_nothing_else(seed: [u8; 32], sequence in 0i64.., octets in prop::collection::vec(any::<u8>(), 0..80), salt in prop::collection::vec(any::<u8>(), 0..=64), bit in 0usize..512) {
        let secret = SecretKey::from_seed(&seed);
        let value = Value::encode(&octets.into()).expect("a value");
        let item = MutableItem::sign(&secret, &salt, sequence, value.clone()).expect("an item");
        let verify = |salt: &[u8], sequence, value, signature| MutableItem::verify(item.key(), salt, sequence, value, signature);
        let signature = *item.signature();
        prop_assert_eq!(verify(&salt, sequence, value.clone(), signature), Ok(item.clone()));
        prop_assert!(verify(&salt, sequence ^ 1, value.clone(), signature).is_err());
        prop_assert!(verify(&salt, sequence, Value::encode(&"no".into()).expect("a value"), signature).is_err() || value.octets() == b"2:no");
        let other = if salt.is_empty() { b"x".to_vec() } else { Vec::new() };
        prop_assert!(verify(&other, sequence, value.clone(), signature).is_err());
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify(&salt, sequence, value, changed).is_err());
    }
}
