//! Names that are never asked about in the DNS (RFC 6761, RFC 7686).

use super::{Question, Response};
use crate::{Name, Record, RecordData};
use domain::base::Ttl;
use domain::base::iana::{Class, Rcode, Rtype};
use domain::rdata::{A, Aaaa};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The answer for a special-use name, if it is one.
pub(super) fn answer(question: &Question) -> Option<Response> {
    let top = question.name.iter().rfind(|label| !label.is_root())?;
    let top = top.as_slice();
    if top.eq_ignore_ascii_case(b"localhost") {
        // RFC 6761 section 6.3.
        let data = match question.rtype {
            Rtype::A => Some(RecordData::A(A::new(Ipv4Addr::LOCALHOST))),
            Rtype::AAAA => Some(RecordData::Aaaa(Aaaa::new(Ipv6Addr::LOCALHOST))),
            _ => None,
        };
        let owner: &Name = &question.name;
        let record = |data| Record::new(owner.clone(), Class::IN, Ttl::from_secs(86_400), data);
        return Some(Response {
            rcode: Rcode::NOERROR,
            answer: data.map(record).into_iter().collect(),
            authority: Vec::new(),
        });
    }
    // RFC 6761 section 6.4, RFC 7686 section 2.
    let never = top.eq_ignore_ascii_case(b"invalid") || top.eq_ignore_ascii_case(b"onion");
    never.then(|| Response { rcode: Rcode::NXDOMAIN, answer: Vec::new(), authority: Vec::new() })
}
