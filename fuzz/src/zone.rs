//! Master files.

use crate::dns::assert_transfers;
use dns::master::{self, FINDINGS_MAX};
use dns::zone::{WireRecord, Zone};
use std::sync::Arc;

/// A master file of the zone `example.test`.
pub fn zone_file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let origin = master::name("example.test").expect("a name");
    let lines = text.split('\n').count() + 1;
    let findings = master::check(&text, &origin);
    assert!(findings.len() <= FINDINGS_MAX);
    for finding in &findings {
        assert!(finding.line.is_none_or(|line| (1..=lines).contains(&line)), "{finding:?} of {lines} lines");
        let told = finding.in_file("zone");
        assert!(!told.contains('\n'), "a finding is one line: {told:?}");
    }
    let (records, _) = master::read(&text, &origin);
    for located in &records {
        assert_survives(&located.record);
    }
    if let Ok((zone, _)) = master::load(&text, &origin, 3) {
        assert_serves(zone);
    }
}

/// What is printed reads the same again.
fn assert_survives(record: &WireRecord) {
    assert!(record.to_record().is_some(), "what was read is a record: {record:?}");
    let printed = record.to_string();
    let root = dns::Name::root_bytes();
    let (again, findings) = master::read(&printed, &root);
    assert!(findings.is_empty(), "{printed}: {findings:?}");
    let [again] = again.as_slice() else { panic!("{printed} is {} records", again.len()) };
    assert_eq!(&again.record, record, "{printed}");
}

fn assert_serves(zone: Zone) {
    assert_eq!(zone.iter().count(), zone.records());
    for node in zone.nodes() {
        let key = dns::zone::Key::from_wire(&node.owner().as_slice().to_ascii_lowercase()).expect("a name");
        assert!(zone.node(key.octets()).is_some());
        let _ = zone.find(&key);
    }
    assert_transfers(Arc::new(zone));
}
