//! `alice-to-bob`: a message from user agent to user agent, in six steps; then
//! the same with Bob's mail server switched off for a while.

use crate::ladder::Arrow;
use crate::{Internet, LabError, PASSWORD, Reader, Story};
use mail_server::smtp::client::{Security, Submission, Target, submit};
use std::time::Duration;

const ALICE: &str = "alice@utopia.test";
const BOB: &str = "bob@crepes.test";
const ALICES_HOST: &str = "alice.utopia.test";
const BOBS_HOST: &str = "bob.crepes.test";
const ALICES_SERVER: &str = "mail.utopia.test";
const BOBS_SERVER: &str = "mail.crepes.test";
const RESOLVER: &str = "resolver.utopia.test";
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for a message to arrive.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn tell(story: &mut Story, internet: &mut Internet) -> Result<(), LabError> {
    story.step("Alice writes to bob@crepes.test in her user agent.").await;
    story.say("| Subject: Searching the thesaurus");
    story.say("| I love you, Bob.");
    story.settle().await;

    story
        .step(
            "Her user agent hands the message to her own mail server, over TLS and with her password. \
             The server puts it into its queue and only then says 250.",
        )
        .await;
    send(internet, "Searching the thesaurus", "I love you, Bob.").await?;
    wait_for_mail(internet, 1).await?;
    let happened = story.gather().await;
    let (submission, happened) =
        split(happened, |arrow| arrow.from == ALICES_HOST || arrow.to == ALICES_HOST);
    draw(story, submission);
    story.check("the server said 250 to the message", said_250(story.messages(), ALICES_SERVER, ALICES_HOST));

    story
        .step("Her server asks the DNS who takes mail for crepes.test (MX), and for that server's address.")
        .await;
    let (smtp, lookups) = split(happened, |arrow| arrow.protocol == "SMTP");
    let (hers, his) = split(lookups, |arrow| {
        arrow.from.ends_with("crepes.test") && arrow.to == ALICES_SERVER || involves(arrow, RESOLVER)
    });
    draw(story, hers);
    story.check("MX of crepes.test was looked up", asked(story.messages(), "crepes.test. MX"));

    story.step("It opens a connection to Bob's server, goes under TLS, and sends the message as a client of SMTP.").await;
    draw(story, smtp);
    story.check(
        "the transfer went under TLS",
        story.messages().iter().any(|arrow| arrow.text.starts_with("STARTTLS")),
    );

    story
        .step(
            "Before it says 250, Bob's server checks who it is from (SPF, DKIM, DMARC, all of it DNS), and puts the \
             message into Bob's mailbox, durably.",
        )
        .await;
    draw(story, his);
    story.check(
        "the DKIM key of utopia.test was looked up",
        asked(story.messages(), "_domainkey.utopia.test. TXT"),
    );
    story.check("its DMARC policy was looked up", asked(story.messages(), "_dmarc.utopia.test. TXT"));

    story.step("Bob's user agent reads the message over IMAP.").await;
    let inbox = read(internet).await?;
    story.settle().await;
    let message = inbox.last().cloned().unwrap_or_default();
    for line in message.lines().filter(|line| !line.starts_with([' ', '\t'])).take(14) {
        story.say(&format!("| {line}"));
    }
    story.check("Bob has one message", inbox.len() == 1);
    story.check("its text is Alice's", message.contains("I love you, Bob."));
    for result in ["spf=pass", "dkim=pass", "dmarc=pass"] {
        story.check(&format!("his server found {result}"), message.contains(result));
    }

    story.step("Now Bob's mail server is switched off. Alice writes again; her server takes the message all the same.").await;
    internet.stop_host(BOBS_SERVER).await;
    send(internet, "Again", "Are you there?").await?;
    let waiting = wait_for_queue(internet).await?;
    story.settle().await;
    story.check("the message waits in her server's queue, with the reason", !waiting.is_empty());
    story.say(&format!("queue: {waiting}"));

    story.step("Bob's server is back. Her server tries again, and the message arrives.").await;
    internet.restart_host(BOBS_SERVER).await?;
    wait_for_mail(internet, 2).await?;
    story.settle().await;
    let inbox = read(internet).await?;
    story.settle().await;
    story.check("Bob has both messages, each once", inbox.len() == 2);
    story.check(
        "the second is Alice's",
        inbox.last().is_some_and(|message| message.contains("Are you there?")),
    );
    story.check("nothing waits any more", queue_is_empty(internet).await?);
    Ok(())
}

/// Alice's user agent submits a message.
async fn send(internet: &Internet, subject: &str, text: &str) -> Result<(), LabError> {
    let wrong = |error: &dyn std::fmt::Display| LabError::Submission(error.to_string());
    let target = Target {
        address: internet.at(ALICES_SERVER, internet.topology().ports.submission),
        name: ALICES_SERVER.to_owned(),
        hostname: ALICES_HOST.to_owned(),
        security: Security::StartTls(internet.tls()?),
        connect_patience: PATIENCE,
        reply_patience: PATIENCE,
    };
    let message = format!("From: Alice <{ALICE}>\r\nTo: Bob <{BOB}>\r\nSubject: {subject}\r\n\r\n{text}\r\n");
    let submission = Submission {
        from: Some(ALICE.parse().map_err(|error| wrong(&error))?),
        recipients: vec![BOB.parse().map_err(|error| wrong(&error))?],
        message: message.into(),
        login: Some((ALICE.to_owned(), PASSWORD.to_owned())),
    };
    let replies =
        submit(&internet.network(ALICES_HOST), target, submission).await.map_err(|error| wrong(&error))?;
    match replies.iter().find(|reply| !reply.is_positive()) {
        Some(refused) => Err(LabError::Submission(refused.to_string())),
        None => Ok(()),
    }
}

/// Bob's user agent reads his INBOX.
async fn read(internet: &Internet) -> Result<Vec<String>, LabError> {
    let failed = || LabError::network(format!("IMAP with {BOBS_SERVER}"));
    let server = internet.at(BOBS_SERVER, internet.topology().ports.imaps);
    let network = internet.network(BOBS_HOST);
    let mut reader = Reader::login(&network, server, internet.tls()?, BOBS_SERVER, BOB, PASSWORD)
        .await
        .map_err(failed())?;
    let inbox = reader.inbox().await.map_err(failed())?;
    reader.logout().await.map_err(failed())?;
    Ok(inbox)
}

/// Waits until Bob's mailbox has `count` messages.
async fn wait_for_mail(internet: &Internet, count: u32) -> Result<(), LabError> {
    let deadline = tokio::time::Instant::now() + ARRIVAL_PATIENCE;
    while tokio::time::Instant::now() < deadline {
        if let Some(host) = internet.host(BOBS_SERVER)
            && messages_of_bob(host).await? >= count
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn messages_of_bob(host: &host::Host) -> Result<u32, LabError> {
    let failed = |error: &dyn std::fmt::Display| LabError::Submission(format!("Bob's mailbox: {error}"));
    let Some(account) = host.accounts().find(BOB).await.map_err(|error| failed(&error))? else {
        return Ok(0);
    };
    let mailboxes = host.mailboxes().list(account).await.map_err(|error| failed(&error))?;
    Ok(mailboxes.iter().find(|mailbox| mailbox.name == "INBOX").map_or(0, |inbox| inbox.messages))
}

/// Waits until a try has failed; returns what the queue says.
async fn wait_for_queue(internet: &Internet) -> Result<String, LabError> {
    let deadline = tokio::time::Instant::now() + ARRIVAL_PATIENCE;
    while tokio::time::Instant::now() < deadline {
        if let Some(queue) = internet.host(ALICES_SERVER).map(host::Host::queue)
            && let Some(waiting) = queue.list().await?.into_iter().find(|waiting| !waiting.reason.is_empty())
        {
            return Ok(format!(
                "for {} after {} tries: {}",
                waiting.domain, waiting.attempts, waiting.reason
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(String::new())
}

async fn queue_is_empty(internet: &Internet) -> Result<bool, LabError> {
    let Some(queue) = internet.host(ALICES_SERVER).map(host::Host::queue) else { return Ok(false) };
    Ok(queue.list().await?.is_empty())
}

fn split(arrows: Vec<Arrow>, belongs: impl Fn(&Arrow) -> bool) -> (Vec<Arrow>, Vec<Arrow>) {
    arrows.into_iter().partition(belongs)
}

fn draw(story: &mut Story, arrows: Vec<Arrow>) {
    for arrow in arrows {
        story.draw(arrow);
    }
}

fn involves(arrow: &Arrow, host: &str) -> bool {
    arrow.from == host || arrow.to == host
}

fn asked(arrows: &[Arrow], question: &str) -> bool {
    arrows.iter().any(|arrow| arrow.text.contains(question))
}

/// Whether the reply to the message itself, the last but the farewell, was 250.
fn said_250(arrows: &[Arrow], server: &str, client: &str) -> bool {
    let replies = arrows.iter().filter(|arrow| arrow.from == server && arrow.to == client);
    replies.filter(|arrow| arrow.text.starts_with("250")).count() >= 4
}
