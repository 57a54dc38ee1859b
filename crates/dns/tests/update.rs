//! RFC 2136: prerequisites (section 3.2) and changes (section 3.4), over the
//! parser, on a draft.

use bytes::Bytes;
use dns::update::Update;
use dns::zone::{Draft, Zone};
use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::{MessageBuilder, Name, Ttl, UnknownRecordData};
use std::str::FromStr;
use std::sync::Arc;

const ZONE: &str = "\
$TTL 60
@    SOA ns root 10 3600 900 604800 30
@    NS  ns
ns   A   192.0.2.1
www  A   192.0.2.2
www  A   192.0.2.3
a    CNAME www
@    MX  5 mail
mail A   192.0.2.4
child NS ns.child
ns.child A 192.0.2.5
";

/// A record of a request: name, class, type, TTL, data.
type Item<'a> = (&'a str, Class, Rtype, u32, &'a [u8]);

fn zone() -> Arc<Zone> {
    let apex = dns::master::name("up.test").unwrap();
    Arc::new(dns::master::load(ZONE, &apex, 5).unwrap().0)
}

fn request(zone: &str, prerequisites: &[Item<'_>], changes: &[Item<'_>]) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec().question();
    builder.header_mut().set_opcode(Opcode::UPDATE);
    builder.push((Name::<Bytes>::from_str(zone).unwrap(), Rtype::SOA)).unwrap();
    let mut answer = builder.answer();
    let record = |(name, class, rtype, ttl, data): &Item<'_>| {
        let owner = Name::<Bytes>::from_str(name).unwrap();
        let data = UnknownRecordData::from_octets(*rtype, data.to_vec()).unwrap();
        (owner, *class, Ttl::from_secs(*ttl), data)
    };
    for item in prerequisites {
        answer.push(record(item)).unwrap();
    }
    let mut authority = answer.authority();
    for item in changes {
        authority.push(record(item)).unwrap();
    }
    authority.finish()
}

fn apply(prerequisites: &[Item<'_>], changes: &[Item<'_>]) -> Result<Zone, Rcode> {
    let mut draft = Draft::of(zone());
    Update::read(&request("up.test.", prerequisites, changes))?.apply(&mut draft)?;
    Ok(draft.finish().unwrap())
}

fn rcode(prerequisites: &[Item<'_>], changes: &[Item<'_>]) -> Rcode {
    apply(prerequisites, changes).map_or_else(|rcode| rcode, |_| Rcode::NOERROR)
}

fn count(zone: &Zone, name: &str, rtype: Rtype) -> usize {
    let key = dns::master::name(name).unwrap();
    zone.node(key.as_slice()).and_then(|node| node.rrset(rtype)).map_or(0, |rrset| rrset.data.len())
}

const A: &[u8] = &[192, 0, 2, 9];

#[test]
fn prerequisites() {
    use Class as C;
    let test = |item: Item<'_>| rcode(&[item], &[]);
    assert_eq!(test(("www.up.test.", C::ANY, Rtype::ANY, 0, b"")), Rcode::NOERROR);
    assert_eq!(test(("no.up.test.", C::ANY, Rtype::ANY, 0, b"")), Rcode::NXDOMAIN);
    assert_eq!(test(("www.up.test.", C::ANY, Rtype::A, 0, b"")), Rcode::NOERROR);
    assert_eq!(test(("www.up.test.", C::ANY, Rtype::MX, 0, b"")), Rcode::NXRRSET);
    assert_eq!(test(("www.up.test.", C::NONE, Rtype::ANY, 0, b"")), Rcode::YXDOMAIN);
    assert_eq!(test(("no.up.test.", C::NONE, Rtype::ANY, 0, b"")), Rcode::NOERROR);
    assert_eq!(test(("www.up.test.", C::NONE, Rtype::A, 0, b"")), Rcode::YXRRSET);
    assert_eq!(test(("www.up.test.", C::NONE, Rtype::MX, 0, b"")), Rcode::NOERROR);
    assert_eq!(test(("www.up.test.", C::IN, Rtype::A, 0, &[192, 0, 2, 2])), Rcode::NXRRSET, "one of two");
    let both: [Item<'_>; 2] = [
        ("WWW.up.test.", C::IN, Rtype::A, 0, &[192, 0, 2, 3]),
        ("www.up.test.", C::IN, Rtype::A, 0, &[192, 0, 2, 2]),
    ];
    assert_eq!(rcode(&both, &[]), Rcode::NOERROR);
    assert_eq!(test(("www.up.test.", C::ANY, Rtype::A, 1, b"")), Rcode::FORMERR);
    assert_eq!(test(("www.up.test.", C::CH, Rtype::A, 0, b"")), Rcode::FORMERR);
    assert_eq!(test(("www.elsewhere.test.", C::ANY, Rtype::ANY, 0, b"")), Rcode::NOTZONE);
}

#[test]
fn the_zone_section() {
    let read = |zone: &[u8]| Update::read(zone).map(|_| ()).unwrap_err();
    let mut not_soa = request("up.test.", &[], &[]);
    not_soa[22] = 1;
    assert_eq!(read(&not_soa), Rcode::FORMERR);
    let mut none = request("up.test.", &[], &[]);
    none[5] = 0;
    none.truncate(12);
    assert_eq!(read(&none), Rcode::FORMERR);
    assert_eq!(read(b"short"), Rcode::FORMERR);
}

#[test]
fn additions_and_deletions() {
    use Class as C;
    let added = apply(&[], &[("new.deep.up.test.", C::IN, Rtype::A, 60, A)]).unwrap();
    assert_eq!((count(&added, "new.deep.up.test", Rtype::A), added.soa().serial), (1, 11));
    assert!(
        added.node(dns::master::name("deep.up.test").unwrap().as_slice()).is_some(),
        "the non-terminal exists"
    );
    let again = apply(&[], &[("www.up.test.", C::IN, Rtype::A, 60, &[192, 0, 2, 2])]).unwrap();
    assert_eq!(again.soa().serial, 10, "nothing changed");
    let one = apply(&[], &[("www.up.test.", C::NONE, Rtype::A, 0, &[192, 0, 2, 2])]).unwrap();
    assert_eq!(count(&one, "www.up.test", Rtype::A), 1);
    let set = apply(&[], &[("www.up.test.", C::ANY, Rtype::A, 0, b"")]).unwrap();
    assert!(set.node(dns::master::name("www.up.test").unwrap().as_slice()).is_none());
    let name = apply(&[], &[("mail.up.test.", C::ANY, Rtype::ANY, 0, b"")]).unwrap();
    assert_eq!(count(&name, "mail.up.test", Rtype::A), 0);
}

#[test]
fn what_a_zone_needs_stays() {
    use Class as C;
    let apex = apply(
        &[],
        &[
            ("up.test.", C::ANY, Rtype::ANY, 0, b""),
            ("up.test.", C::ANY, Rtype::NS, 0, b""),
            ("up.test.", C::ANY, Rtype::SOA, 0, b""),
            ("up.test.", C::NONE, Rtype::NS, 0, b"\x02ns\x02up\x04test\x00"),
        ],
    )
    .unwrap();
    assert_eq!((count(&apex, "up.test", Rtype::NS), count(&apex, "up.test", Rtype::SOA)), (1, 1));
    assert_eq!(count(&apex, "up.test", Rtype::MX), 0);
    let cname = apply(&[], &[("www.up.test.", C::IN, Rtype::CNAME, 60, b"\x01x\x00")]).unwrap();
    assert_eq!(count(&cname, "www.up.test", Rtype::CNAME), 0, "a CNAME beside data is ignored");
    let beside = apply(&[], &[("a.up.test.", C::IN, Rtype::A, 60, A)]).unwrap();
    assert_eq!(count(&beside, "a.up.test", Rtype::A), 0, "data beside a CNAME is ignored");
    let replaced = apply(&[], &[("a.up.test.", C::IN, Rtype::CNAME, 60, b"\x01x\x00")]).unwrap();
    assert_eq!(count(&replaced, "a.up.test", Rtype::CNAME), 1);
}

#[test]
fn malformed_changes_change_nothing() {
    use Class as C;
    let test = |item: Item<'_>| rcode(&[], &[("ok.up.test.", C::IN, Rtype::A, 60, A), item]);
    assert_eq!(test(("x.up.test.", C::IN, Rtype::ANY, 60, b"")), Rcode::FORMERR);
    assert_eq!(test(("x.up.test.", C::IN, Rtype::AXFR, 60, b"x")), Rcode::FORMERR);
    assert_eq!(test(("x.up.test.", C::IN, Rtype::A, 60, b"xyz")), Rcode::FORMERR);
    assert_eq!(test(("x.up.test.", C::ANY, Rtype::A, 60, b"")), Rcode::FORMERR);
    assert_eq!(test(("x.up.test.", C::NONE, Rtype::ANY, 0, b"")), Rcode::FORMERR);
    assert_eq!(test(("x.other.test.", C::IN, Rtype::A, 60, A)), Rcode::NOTZONE);
}

#[test]
fn an_rrset_too_large_for_any_answer_is_refused() {
    let text: Vec<u8> = std::iter::once(255).chain([b'x'; 255]).collect();
    let texts: Vec<Vec<u8>> = (0..240_u8)
        .map(|n| {
            let mut text = text.clone();
            text[1] = n;
            text
        })
        .collect();
    let changes: Vec<Item<'_>> =
        texts.iter().map(|text| ("big.up.test.", Class::IN, Rtype::TXT, 60, &text[..])).collect();
    let fits = apply(&[], &changes[..200]).unwrap();
    assert_eq!(count(&fits, "big.up.test", Rtype::TXT), 200);
    assert_eq!(rcode(&[], &changes), Rcode::REFUSED, "RRSET_OCTETS_MAX exceeded");
}
