//! Dynamic update (RFC 2136), the requestor's side: the message that asks for
//! changes. The server's side is in [`crate::update`].

use crate::{Change, Name};
use domain::base::iana::{Class, Opcode, Rtype};
use domain::base::message_builder::PushError;
use domain::base::{MessageBuilder, Ttl, UnknownRecordData};

/// A request for `changes` to `zone`, without prerequisites and unsigned.
/// `None` when it has more octets than a message may have.
pub fn request(zone: &Name, changes: &[Change], id: u16) -> Option<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec().question();
    builder.header_mut().set_id(id);
    builder.header_mut().set_opcode(Opcode::UPDATE);
    builder.push((zone, Rtype::SOA)).ok()?;
    // The update section stands where a response has its authority section.
    let mut builder = builder.authority();
    for change in changes {
        let pushed: Result<(), PushError> = match change {
            Change::Add(record) => builder.push((record.owner(), Class::IN, record.ttl(), record.data())),
            Change::Delete(record) => builder.push((record.owner(), Class::NONE, Ttl::ZERO, record.data())),
            Change::DeleteRrset(name, rtype) => {
                let nothing = UnknownRecordData::from_octets(*rtype, &[][..]).ok()?;
                builder.push((name, Class::ANY, Ttl::ZERO, nothing))
            }
        };
        pushed.ok()?;
    }
    let message = builder.finish();
    u16::try_from(message.len()).is_ok().then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::Update;
    use crate::zone::Draft;
    use crate::{Record, RecordData};
    use domain::rdata::A;
    use std::sync::Arc;

    fn zone() -> crate::zone::Zone {
        let text = "@ 300 IN SOA ns hostmaster 1 2 3 4 5\n@ 300 IN NS ns\nns 300 IN A 192.0.2.1\n";
        crate::master::load(text, &name("com"), 1).expect("a zone").0
    }

    fn name(text: &str) -> Name {
        crate::master::name(text).expect("a name")
    }

    #[test]
    fn a_request_does_what_it_asks_for_when_the_server_reads_it() {
        let address = RecordData::A(A::from_octets(192, 0, 2, 7));
        let record = Record::new(name("dns1.networkutopia.com"), Class::IN, Ttl::from_secs(300), address);
        let apply = |changes: &[Change], zone| {
            let message = request(&name("com"), changes, 7).expect("a message");
            let update = Update::read(&message).expect("an update");
            let mut draft = Draft::of(Arc::new(zone));
            assert!(update.apply(&mut draft).expect("applied"));
            draft.finish().expect("a zone")
        };
        let added = || apply(&[Change::Add(record.clone())], zone());
        assert_eq!(added().records(), 4);
        assert_eq!(apply(&[Change::Delete(record.clone())], added()).records(), 3);
        assert_eq!(apply(&[Change::DeleteRrset(record.owner().clone(), Rtype::A)], added()).records(), 3);
    }
}
