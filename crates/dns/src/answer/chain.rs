//! Answers that no single name has ready: CNAME chains (RFC 1034 section 3.6.2)
//! and QTYPE ANY (RFC 8482).

use super::query::Query;
use crate::zone::{DEPTH_MAX, Found, Home, Key, Node, Owner, Rendered, Renderer, Section, Zone, Zones};
use domain::base::iana::{OptRcode, Rtype};

/// CNAME records followed for one question; the client follows the rest.
pub const CNAME_CHAIN_MAX: usize = 16;

/// Follows the chain that begins at `node`, which has a CNAME RRset.
pub(crate) fn follow(zones: &Zones, query: &Query, node: &Node) -> (Rendered, OptRcode) {
    let mut renderer = Renderer::new(query.name.octets());
    let mut visited: Vec<Box<[u8]>> = vec![query.name.octets().into()];
    let Some(mut target) = push_cname(&mut renderer, Owner::Question, node) else {
        return (renderer.finish(true), OptRcode::SERVFAIL);
    };
    let mut rcode = OptRcode::NOERROR;
    while visited.len() < CNAME_CHAIN_MAX {
        let Some(name) = Key::from_wire(&target) else { break };
        if visited.iter().any(|seen| **seen == *name.octets()) {
            break;
        }
        visited.push(name.octets().into());
        let Home::Served(zone) = zones.home(&name, DEPTH_MAX) else { break };
        match zone.find(&name) {
            Found::Exact(node) | Found::Wildcard(node) => {
                if let Some(rrset) = node.rrset(query.rtype) {
                    renderer.rrset(Section::Answer, Owner::Name(&target), rrset, rrset.ttl);
                } else if let Some(next) = push_cname(&mut renderer, Owner::Name(&target), node) {
                    target = next;
                    continue;
                } else {
                    push_soa(&mut renderer, zone);
                }
            }
            // The delegation's DS, or that there is none, is the parent's to say.
            Found::Cut(cut) if query.rtype == Rtype::DS && *cut.key() == *name.octets() => {
                match cut.rrset(Rtype::DS) {
                    Some(rrset) => {
                        renderer.rrset(Section::Answer, Owner::Name(&target), rrset, rrset.ttl);
                    }
                    None => push_soa(&mut renderer, zone),
                }
            }
            Found::Cut(cut) => {
                if let Some(rrset) = cut.rrset(Rtype::NS) {
                    renderer.rrset(Section::Authority, Owner::Name(cut.key()), rrset, rrset.ttl);
                }
            }
            Found::Nothing => {
                // The response code is that of the last name (RFC 6604 section 2.1).
                rcode = OptRcode::NXDOMAIN;
                push_soa(&mut renderer, zone);
            }
        }
        break;
    }
    (renderer.finish(true), rcode)
}

fn push_cname(renderer: &mut Renderer, owner: Owner<'_>, node: &Node) -> Option<Box<[u8]>> {
    let rrset = node.rrset(Rtype::CNAME)?;
    let target = rrset.data.first()?.clone();
    renderer.rrset(Section::Answer, owner, rrset, rrset.ttl);
    Some(target)
}

fn push_soa(renderer: &mut Renderer, zone: &Zone) {
    if let Some(rrset) = zone.node(zone.key()).and_then(|apex| apex.rrset(Rtype::SOA)) {
        let ttl = rrset.ttl.min(zone.soa().minimum);
        renderer.rrset(Section::Authority, Owner::Name(zone.key()), rrset, ttl);
    }
}

/// The answer for QTYPE ANY: one RRset over UDP (RFC 8482 section 4.1), all over
/// TCP. `None` where the name has no records.
pub(crate) fn any(query: &Query, node: &Node, all: bool) -> Option<Rendered> {
    let mut renderer = Renderer::new(query.name.octets());
    let wanted = if all { usize::MAX } else { 1 };
    for rrset in node.rrsets().iter().take(wanted) {
        renderer.rrset(Section::Answer, Owner::Question, rrset, rrset.ttl);
    }
    (!node.rrsets().is_empty()).then(|| renderer.finish(true))
}
