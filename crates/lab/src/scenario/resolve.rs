//! `resolve`: iterated and recursive queries, the cache, and expiry.

use super::{is_between, look_up};
use crate::ladder::Arrow;
use crate::{Internet, LabError, Story};
use domain::base::iana::{OptRcode, Rtype};
use std::time::Duration;

const NAME: &str = "gaia.cs.university.edu";
const ALICE: &str = "alice.utopia.test";
const RESOLVER: &str = "resolver.utopia.test";
const ROOTS: [&str; 2] = ["a.root-servers.net", "b.root-servers.net"];
const TLD: &str = "a.nic.edu";
const AUTHORITY: &str = "dns.university.edu";
/// The TTL of the name's record, as its zone file says.
const TTL: Duration = Duration::from_secs(2);

pub(super) async fn tell(story: &mut Story, internet: &Internet) -> Result<(), LabError> {
    story
        .step(&format!(
            "Alice's program wants the address of {NAME}. It asks its local resolver, recursively: do all the work. \
             The resolver asks iteratively: a root server refers it to edu, edu to the university, and only that knows."
        ))
        .await;
    let first = look_up(internet, ALICE, RESOLVER, NAME, Rtype::A).await?;
    story.settle().await;
    story.check("the answer is 127.30.0.80", has_address(&first, "127.30.0.80"));
    let from_resolver =
        |arrows: &[Arrow], to: &str| arrows.iter().filter(|arrow| is_between(arrow, RESOLVER, to)).count();
    let arrows = story.messages().to_vec();
    story.check("a root server was asked", ROOTS.iter().any(|root| from_resolver(&arrows, root) > 0));
    story.check("then the server of edu, then the university's", {
        let position = |server: &str| arrows.iter().position(|arrow| is_between(arrow, RESOLVER, server));
        matches!((position(TLD), position(AUTHORITY)), (Some(tld), Some(authority)) if tld < authority)
    });
    story.check(
        "Alice's program itself sent one question and got one answer",
        arrows.iter().filter(|arrow| arrow.from == ALICE || arrow.to == ALICE).count() == 2,
    );

    story
        .step("The same question again: the resolver answers from its cache, and nobody else hears of it.")
        .await;
    let second = look_up(internet, ALICE, RESOLVER, NAME, Rtype::A).await?;
    story.settle().await;
    story.check("the answer is the same", has_address(&second, "127.30.0.80"));
    let asked = story.messages().iter().filter(|arrow| arrow.from == RESOLVER && arrow.to != ALICE).count();
    story.check("the resolver asked nobody", asked == 0);

    story
        .step(&format!(
            "The record's TTL of {} s runs out. The resolver must ask again, but it still knows who is responsible: \
             it goes straight to the university.",
            TTL.as_secs()
        ))
        .await;
    tokio::time::sleep(TTL + Duration::from_millis(500)).await;
    let third = look_up(internet, ALICE, RESOLVER, NAME, Rtype::A).await?;
    story.settle().await;
    story.check("the answer is the same", has_address(&third, "127.30.0.80"));
    let arrows = story.messages().to_vec();
    story.check("the university's server was asked", from_resolver(&arrows, AUTHORITY) > 0);
    story.check(
        "neither root nor edu was asked",
        ROOTS.iter().chain(&[TLD]).all(|server| from_resolver(&arrows, server) == 0),
    );

    story.step("A name that does not exist is remembered as well: asked twice, looked up once.").await;
    let absent = look_up(internet, ALICE, RESOLVER, "nobody.university.edu", Rtype::A).await?;
    let again = look_up(internet, ALICE, RESOLVER, "nobody.university.edu", Rtype::A).await?;
    story.settle().await;
    story.check(
        "both answers say NXDOMAIN",
        [absent, again].iter().all(|got| got.reply.rcode == OptRcode::NXDOMAIN),
    );
    let questions = story
        .messages()
        .iter()
        .filter(|arrow| is_between(arrow, RESOLVER, AUTHORITY) && arrow.text.contains("nobody"))
        .count();
    story.check("the university's server was asked once", questions == 1);
    Ok(())
}

fn has_address(got: &dns_server::resolver::Exchanged, address: &str) -> bool {
    got.reply.answer.iter().any(|record| record.data().to_string() == address)
}
