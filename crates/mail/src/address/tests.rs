//! Vectors and properties of addresses.

use super::{Address, AddressError, HelloName, Path, parse_path};
use proptest::prelude::*;

fn address(text: &str) -> Result<Address, AddressError> {
    text.parse()
}

#[test]
fn well_formed_addresses() {
    for (text, again) in [
        ("alice@utopia.test", "alice@utopia.test"),
        ("Alice.O'Hara+news@Utopia.TEST", "Alice.O'Hara+news@utopia.test"),
        ("\"alice\"@utopia.test", "alice@utopia.test"),
        ("\"with space\"@utopia.test", "\"with space\"@utopia.test"),
        ("\"a\\\"b\\\\c\"@utopia.test", "\"a\\\"b\\\\c\"@utopia.test"),
        ("\"\"@utopia.test", "\"\"@utopia.test"),
        ("bob@[192.0.2.1]", "bob@[192.0.2.1]"),
        ("bob@[IPv6:2001:db8::1]", "bob@[IPv6:2001:db8::1]"),
        ("δοκιμή@παράδειγμα.test", "δοκιμή@παράδειγμα.test"),
        ("a@b", "a@b"),
        ("a@उदाहरण.परीक्षा", "a@उदाहरण.परीक्षा"),
        ("a@\u{130}.test", "a@i\u{307}.test"),
        ("a@i\u{307}.test", "a@i\u{307}.test"),
    ] {
        assert_eq!(address(text).map(|address| address.to_string()), Ok(again.to_owned()), "{text}");
    }
}

#[test]
fn malformed_addresses() {
    for (text, error) in [
        ("alice", AddressError::NoDomain),
        ("@utopia.test", AddressError::Local),
        (".alice@utopia.test", AddressError::Local),
        ("al..ice@utopia.test", AddressError::Local),
        ("al ice@utopia.test", AddressError::Local),
        ("\"alice@utopia.test", AddressError::Local),
        ("\"al\nice\"@utopia.test", AddressError::Local),
        ("alice@", AddressError::Domain),
        ("alice@utopia..test", AddressError::Domain),
        ("alice@-utopia.test", AddressError::Domain),
        ("alice@utopia_.test", AddressError::Domain),
        ("alice@[192.0.2.256]", AddressError::Domain),
        ("alice@[192.0.2.1", AddressError::Domain),
        ("alice@[IPv6:zz]", AddressError::Domain),
        ("alice@b@c", AddressError::Domain),
    ] {
        assert_eq!(address(text), Err(error), "{text}");
    }
    assert_eq!(address(&format!("{}@b", "a".repeat(65))), Err(AddressError::LocalTooLong));
    let domain = vec!["a".repeat(63); 5].join(".");
    assert_eq!(address(&format!("a@{domain}")), Err(AddressError::DomainTooLong));
}

#[test]
fn paths() {
    assert_eq!(parse_path("<>"), Ok((Path::Null, "")));
    assert_eq!(parse_path("<POSTmaster> X"), Ok((Path::Postmaster, " X")));
    let routed = parse_path("<@one.test,@two.test:joe@three.test> SIZE=1");
    assert_eq!(routed, Ok((Path::Address(address("joe@three.test").unwrap()), " SIZE=1")));
    let bracket = parse_path("<\"a>b\"@c>");
    assert_eq!(bracket, Ok((Path::Address(address("\"a>b\"@c").unwrap()), "")));
    for text in ["", "a@b", "<a@b", "a@b>", "<@one.test joe@b>"] {
        assert!(parse_path(text).is_err(), "{text}");
    }
    let long = format!("<@{}:a@b>", vec!["a".repeat(60); 5].join("."));
    assert_eq!(parse_path(&long), Err(AddressError::PathTooLong));
}

#[test]
fn hello_names() {
    for good in ["client.test", "my_laptop", "[127.0.0.1]", "[IPv6:::1]", "client.test."] {
        assert!(HelloName::parse(good).is_ok(), "{good}");
    }
    for bad in ["", "a b", "[x]", "a..b", "<a>"] {
        assert!(HelloName::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_without_panic(text in "\\PC{0,80}") {
        let _ = parse_path(&text);
        let _ = HelloName::parse(&text);
    }

    #[test]
    fn what_is_written_reads_back_equal(local in "[ -~]{1,30}", domain in "[a-z]{1,10}(\\.[a-z]{1,10}){0,3}") {
        let quoted = local.replace('\\', "\\\\").replace('"', "\\\"");
        let first = address(&format!("\"{quoted}\"@{domain}")).unwrap();
        prop_assert_eq!(first.local(), local.as_str());
        prop_assert_eq!(address(&first.to_string()).unwrap(), first);
    }
}
