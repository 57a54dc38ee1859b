//! `register`: Network Utopia registers networkutopia.com.

use super::{look_up, name_of};
use crate::{Internet, LabError, Story};
use base64::Engine;
use dns::{Change, Record, RecordData};
use dns_server::update_client;
use domain::base::Ttl;
use domain::base::iana::{Class, OptRcode, Rtype};
use domain::rdata::{A, Mx, Ns};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const DOMAIN: &str = "networkutopia.com";
const SERVER: &str = "dns1.networkutopia.com";
const TLD: &str = "a.nic.com";
const REGISTRAR: &str = "registrar.test";
const BOB: &str = "bob.crepes.test";
const RESOLVER: &str = "resolver.crepes.test";
/// How long a resolver remembers that the name was not there: the SOA minimum of
/// both zones (RFC 2308).
const NEGATIVE_TTL: Duration = Duration::from_secs(5);

pub(super) async fn tell(story: &mut Story, internet: &Internet) -> Result<(), LabError> {
    let www = format!("www.{DOMAIN}");
    story
        .step(&format!(
            "The start-up Network Utopia runs its own name server, {SERVER}, but com does not know of it: \
             Bob looks for {www} in vain."
        ))
        .await;
    let before = look_up(internet, BOB, RESOLVER, &www, Rtype::A).await?;
    story.settle().await;
    story.check("the name does not exist", before.reply.rcode == OptRcode::NXDOMAIN);

    story
        .step(
            "The start-up registers. The registrar puts two records into the zone com by a signed dynamic update: \
             who is responsible (NS), and that server's address (glue).",
        )
        .await;
    let glue = internet.address(SERVER);
    let registered = [ns(DOMAIN, SERVER), address(SERVER, glue)].map(Change::Add);
    update(internet, REGISTRAR, TLD, "com", &registered, "registrar").await?;
    story.settle().await;
    let delegation = look_up(internet, REGISTRAR, TLD, DOMAIN, Rtype::NS).await?;
    story.settle().await;
    story.check(
        "com refers to the start-up's server, with its address",
        delegation.reply.authority.iter().any(|record| record.data().to_string().starts_with(SERVER))
            && delegation.reply.additional.iter().any(|record| record.data().to_string() == glue.to_string()),
    );

    story.step("In its own zone the start-up says where its web server is, and who takes its mail.").await;
    let mail = format!("mail.{DOMAIN}");
    let mail_address = internet.address(&mail);
    let own = [
        address(&www, IpAddr::V4(Ipv4Addr::new(127, 40, 0, 80))),
        mx(DOMAIN, &mail),
        address(&mail, mail_address),
    ];
    update(internet, SERVER, SERVER, DOMAIN, &own.map(Change::Add), "owner").await?;
    story.settle().await;

    story
        .step(&format!(
            "Bob's resolver remembers for {} s that the name was not there. After that it finds it, like everybody.",
            NEGATIVE_TTL.as_secs()
        ))
        .await;
    tokio::time::sleep(NEGATIVE_TTL + Duration::from_millis(500)).await;
    let after = look_up(internet, BOB, RESOLVER, &www, Rtype::A).await?;
    let exchange = look_up(internet, BOB, RESOLVER, DOMAIN, Rtype::MX).await?;
    story.settle().await;
    story.check(
        "www.networkutopia.com is 127.40.0.80",
        after.reply.answer.iter().any(|record| record.data().to_string() == "127.40.0.80"),
    );
    story.check(
        "mail for networkutopia.com goes to mail.networkutopia.com",
        exchange.reply.answer.iter().any(|record| record.data().to_string().contains(&mail)),
    );

    story.step("Somebody without the registrar's key tries the same, and is refused.").await;
    let stolen = [ns("utopia-imitated.com", SERVER)].map(Change::Add);
    let refused = update(internet, BOB, TLD, "com", &stolen, "owner").await;
    story.settle().await;
    story.check("the update is refused", matches!(refused, Err(LabError::Update(_))));
    Ok(())
}

/// Sends a signed update from one host to another.
async fn update(
    internet: &Internet,
    from: &str,
    server: &str,
    zone: &str,
    changes: &[Change],
    key: &str,
) -> Result<(), LabError> {
    let secret = base64::engine::general_purpose::STANDARD.encode(internet.secret(key));
    let key = dns::tsig::key(key, "hmac-sha256", &secret)
        .map_err(|error| LabError::Topology(crate::topology::TopologyError::new(error.to_string())))?;
    let at = internet.at(server, internet.topology().ports.dns);
    Ok(update_client::send(&internet.network(from), at, &name_of(zone), changes, key).await?)
}

fn record(owner: &str, data: RecordData) -> Record {
    Record::new(name_of(owner), Class::IN, Ttl::from_secs(300), data)
}

fn ns(owner: &str, server: &str) -> Record {
    record(owner, RecordData::Ns(Ns::new(name_of(server))))
}

fn mx(owner: &str, server: &str) -> Record {
    record(owner, RecordData::Mx(Mx::new(10, name_of(server))))
}

fn address(owner: &str, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RecordData::A(A::new(address)),
        IpAddr::V6(address) => RecordData::Aaaa(domain::rdata::Aaaa::new(address)),
    };
    record(owner, data)
}
