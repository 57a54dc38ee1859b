//! SPF, DKIM and DMARC: the RFCs' examples with names of our own, and what a
//! server does with the result.

use crate::fixture::{Names, Plan};
use mail::address::{Path, parse_path};
use mail_server::authentication::{
    Algorithm, Arrival, Authentication, Disposition, DkimKey, DkimSigner, Verdict, generate_dkim,
};
use std::fmt::Write as _;
use std::sync::Arc;

/// RFC 7208 appendix A, to which a test adds its records.
const EXAMPLE: &str = "
example.com. MX 10 mail-a.example.com.
example.com. MX 20 mail-b.example.com.
example.com. A 192.0.2.10
example.com. A 192.0.2.11
amy.example.com. A 192.0.2.65
bob.example.com. A 192.0.2.66
mail-a.example.com. A 192.0.2.129
mail-b.example.com. A 192.0.2.130
example.org. MX 10 mail-c.example.org.
mail-c.example.org. A 192.0.2.140
10.2.0.192.in-addr.arpa. PTR example.com.
65.2.0.192.in-addr.arpa. PTR amy.example.com.
140.2.0.192.in-addr.arpa. PTR mail-c.example.org.
4.0.0.10.in-addr.arpa. PTR bob.example.com.
";

fn path(text: &str) -> Path {
    parse_path(text).unwrap().0
}

async fn check(names: &Arc<Names>, client: &str, from: &str, message: &[u8]) -> Verdict {
    let from = path(from);
    let authentication = Authentication::new(names.clone(), "mx.utopia.test").unwrap();
    let arrival =
        Arrival { client: client.parse().unwrap(), hello: "mail.example.com", from: &from, message };
    authentication.check(arrival).await
}

async fn spf(names: &Arc<Names>, client: &str, from: &str) -> String {
    let verdict = check(names, client, from, b"Subject: x\r\n\r\nx\r\n").await;
    verdict.summary.split(' ').next().unwrap_or_default().trim_start_matches("spf=").to_owned()
}

#[tokio::test]
async fn spf_by_the_examples_of_rfc_7208() {
    for (record, pass, fail) in [
        ("+all", &["198.51.100.1"][..], &[][..]),
        ("a -all", &["192.0.2.10", "192.0.2.11"], &["192.0.2.12"]),
        ("a:example.org -all", &[], &["192.0.2.10"]),
        ("mx -all", &["192.0.2.129", "192.0.2.130"], &["192.0.2.10"]),
        ("mx:example.org -all", &["192.0.2.140"], &["192.0.2.129"]),
        ("mx mx:example.org -all", &["192.0.2.129", "192.0.2.140"], &["192.0.2.141"]),
        ("mx/30 mx:example.org/30 -all", &["192.0.2.131", "192.0.2.143"], &["192.0.2.132"]),
        ("ptr -all", &["192.0.2.65"], &["192.0.2.140", "10.0.0.4"]),
        ("ip4:192.0.2.128/28 -all", &["192.0.2.129", "::ffff:192.0.2.129"], &["192.0.2.65", "2001:db8::1"]),
        ("ip6:2001:db8::/32 -all", &["2001:db8::1"], &["192.0.2.65"]),
        ("include:inner.test -all", &["203.0.113.7"], &["203.0.113.8"]),
        ("redirect=inner.test", &["203.0.113.7"], &["203.0.113.8"]),
        ("exists:%{ir}.list.%{d} -all", &["192.0.2.1"], &["192.0.2.2"]),
        ("exists:%{l1r-}.users.%{d} -all", &["198.51.100.1"], &[]),
    ] {
        let names = Names::new(&format!(
            "{EXAMPLE}example.com. TXT \"v=spf1 {record}\"\ninner.test. TXT \"v=spf1 ip4:203.0.113.7 -all\"\n\
             1.2.0.192.list.example.com. A 127.0.0.2\njoe.users.example.com. A 127.0.0.2\n"
        ));
        for (clients, result) in [(pass, "pass"), (fail, "fail")] {
            for client in clients {
                assert_eq!(
                    spf(&names, client, "<joe-list@example.com>").await,
                    result,
                    "{record} from {client}"
                );
            }
        }
    }
}

#[tokio::test]
async fn spf_that_is_wrong_missing_or_too_much() {
    let mut master = String::from(
        "two.test. TXT \"v=spf1 -all\"\ntwo.test. TXT \"v=spf1 +all\"\n\
         wrong.test. TXT \"v=spf1 bogus:x -all\"\n\
         other.test. TXT \"hello\"\n\
         soft.test. TXT \"v=spf1 ~all\"\n\
         loop.test. TXT \"v=spf1 include:loop.test -all\"\n\
         void.test. TXT \"v=spf1 a:n1.test a:n2.test a:n3.test +all\"\n\
         gone.test. TXT \"v=spf1 include:absent.test -all\"\n\
         later.test. TXT \"v=spf1 a:down.test -all\"\ndown.test. TXT \"servfail\"\n\
         deep0.test. TXT \"v=spf1 +all\"\n",
    );
    for depth in 1..=11 {
        let _ = writeln!(master, "deep{depth}.test. TXT \"v=spf1 include:deep{}.test -all\"", depth - 1);
    }
    let names = Names::new(&master);
    for (domain, result) in [
        ("absent.test", "none"),
        ("other.test", "none"),
        ("two.test", "permerror"),
        ("wrong.test", "permerror"),
        ("soft.test", "softfail"),
        ("loop.test", "permerror"),
        ("void.test", "permerror"),
        ("gone.test", "permerror"),
        ("later.test", "temperror"),
        ("down.test", "temperror"),
        ("deep10.test", "pass"),
        ("deep11.test", "permerror"),
    ] {
        assert_eq!(spf(&names, "192.0.2.1", &format!("<x@{domain}>")).await, result, "{domain}");
    }
    // Ten names of one MX or PTR look-up are followed, and no more.
    for (names, by_mx, by_ptr) in [(10, "pass", "pass"), (11, "permerror", "fail")] {
        let mut master =
            String::from("mx.test. TXT \"v=spf1 mx -all\"\nptr.test. TXT \"v=spf1 ptr:named.test -all\"\n");
        for number in 1..=names {
            // Only the last one is what is looked for.
            let (address, domain) = if number == names { (1, "named") } else { (2, "other") };
            let _ = writeln!(
                master,
                "mx.test. MX {number} m{number}.test.\nm{number}.test. A 192.0.2.{address}\n\
                 1.2.0.192.in-addr.arpa. PTR p{number}.{domain}.test.\np{number}.{domain}.test. A 192.0.2.1"
            );
        }
        let names = Names::new(&master);
        assert_eq!(spf(&names, "192.0.2.1", "<x@mx.test>").await, by_mx);
        assert_eq!(spf(&names, "192.0.2.1", "<x@ptr.test>").await, by_ptr);
    }
    // No reverse-path: the name in EHLO is asked.
    let names = Names::new("mail.example.com. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n");
    assert_eq!(spf(&names, "192.0.2.1", "<>").await, "pass");
    assert_eq!(spf(&names, "192.0.2.2", "<>").await, "fail");
}

/// RFC 8463 appendix A: one message, signed with Ed25519 and with RSA.
const FOOTBALL: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
";
const FOOTBALL_KEYS: &str = "
brisbane._domainkey.football.example.com. TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"
test._domainkey.football.example.com. TXT \"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b\" \"yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\"
";

#[tokio::test]
async fn dkim_by_the_example_of_rfc_8463() {
    let message = FOOTBALL.replace('\n', "\r\n");
    let names = Names::new(FOOTBALL_KEYS);
    let from = "<joe@football.example.com>";
    let verdict = check(&names, "192.0.2.1", from, message.as_bytes()).await;
    let field = String::from_utf8(verdict.field).unwrap();
    assert_eq!(field.matches("dkim=pass").count(), 2, "{field}");
    assert!(field.starts_with("Authentication-Results: mx.utopia.test;"), "{field}");
    let changed = message.replace("lost", "won");
    let verdict = check(&names, "192.0.2.1", from, changed.as_bytes()).await;
    assert_eq!(verdict.summary, "spf=none dkim=neutral", "another body");
    let changed = message.replace("dinner", "lunch");
    let verdict = check(&names, "192.0.2.1", from, changed.as_bytes()).await;
    assert_eq!(verdict.summary, "spf=none dkim=fail", "another header");
    let verdict = check(&Names::new(""), "192.0.2.1", from, message.as_bytes()).await;
    assert_eq!(verdict.summary, "spf=none dkim=permerror", "the key is not there");
    let names = Names::new("brisbane._domainkey.football.example.com. TXT servfail\n");
    let verdict = check(&names, "192.0.2.1", from, message.as_bytes()).await;
    assert_eq!(verdict.summary, "spf=none dkim=temperror");
}

fn txt(name: &str, text: &str) -> String {
    let parts: Vec<String> =
        text.as_bytes().chunks(200).map(|part| format!("\"{}\"", String::from_utf8_lossy(part))).collect();
    format!("{name} TXT {}\n", parts.join(" "))
}

#[tokio::test]
async fn what_we_sign_verifies() {
    let mut keys = Vec::new();
    let mut master = String::new();
    for (selector, algorithm) in [("rsa1", Algorithm::Rsa), ("ed1", Algorithm::Ed25519)] {
        let (private_pem, record) = generate_dkim(algorithm).unwrap();
        master += &txt(&format!("{selector}._domainkey.crepes.test."), &record);
        keys.push(DkimKey { domain: "crepes.test".into(), selector: selector.into(), private_pem });
    }
    master += "_dmarc.crepes.test. TXT \"v=DMARC1; p=reject\"\n";
    let signer = DkimSigner::new(&keys).unwrap();
    let message = b"From: alice@crepes.test\r\nTo: bob@utopia.test\r\nSubject: x\r\n\r\nhello\r\n";
    let mut signed = signer.sign("crepes.test", message);
    assert!(signer.sign("other.test", message).is_empty());
    signed.extend_from_slice(message);
    let names = Names::new(&master);
    let verdict = check(&names, "192.0.2.1", "<alice@crepes.test>", &signed).await;
    assert_eq!(verdict.summary, "spf=none dkim=pass dmarc=pass");
    assert_eq!(verdict.disposition, Disposition::Deliver);
    let unsigned = check(&names, "192.0.2.1", "<alice@crepes.test>", message).await;
    assert_eq!(unsigned.disposition, Disposition::Reject { domain: "crepes.test".into() });
    let broken = DkimKey { domain: "a.test".into(), selector: "s".into(), private_pem: "x".into() };
    assert!(DkimSigner::new(&[broken]).is_err());
}

#[tokio::test]
async fn dmarc_decides() {
    let names = Names::new(
        "_dmarc.strict.test. TXT \"v=DMARC1; p=reject\"\nstrict.test. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
         _dmarc.mild.test. TXT \"v=DMARC1; p=quarantine\"\n\
         _dmarc.watch.test. TXT \"v=DMARC1; p=none; rua=mailto:x@watch.test\"\n\
         _dmarc.down.test. TXT servfail\n",
    );
    let reject = Disposition::Reject { domain: "strict.test".into() };
    for (client, envelope, author, disposition) in [
        ("192.0.2.1", "<a@strict.test>", "a@strict.test", Disposition::Deliver),
        ("192.0.2.2", "<a@strict.test>", "a@strict.test", reject.clone()),
        ("192.0.2.1", "<a@other.test>", "a@strict.test", reject),
        ("192.0.2.2", "<a@mild.test>", "a@mild.test", Disposition::Quarantine),
        ("192.0.2.2", "<a@watch.test>", "a@watch.test", Disposition::Deliver),
        ("192.0.2.2", "<a@none.test>", "a@none.test", Disposition::Deliver),
        ("192.0.2.2", "<a@down.test>", "a@down.test", Disposition::Defer),
    ] {
        let message = format!("From: {author}\r\nSubject: x\r\n\r\nx\r\n");
        let verdict = check(&names, client, envelope, message.as_bytes()).await;
        assert_eq!(verdict.disposition, disposition, "{author} from {client}: {}", verdict.summary);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_follows_the_policy_of_the_author() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (private_pem, record) = generate_dkim(Algorithm::Ed25519).unwrap();
    let names = Names::new(&format!(
        "utopia.test. MX 10 mail.utopia.test.\nmail.utopia.test. A 127.26.1.2\n\
         crepes.test. MX 10 mail.crepes.test.\nmail.crepes.test. A 127.26.1.1\n\
         {}crepes.test. TXT \"v=spf1 mx -all\"\n_dmarc.crepes.test. TXT \"v=DMARC1; p=reject\"\n\
         mild.test. MX 10 mail.mild.test.\nmail.mild.test. A 127.26.1.3\n\
         _dmarc.mild.test. TXT \"v=DMARC1; p=quarantine\"\n",
        txt("s1._domainkey.crepes.test.", &record)
    ));
    let key = DkimKey { domain: "crepes.test".into(), selector: "s1".into(), private_pem };
    let mut plan = Plan::new("crepes.test", "127.26.1.1", a.path(), &names);
    plan.users = vec!["alice"];
    plan.keys = vec![key];
    let crepes = plan.start().await;
    let port = crepes.exchange().port();
    let mut plan = Plan::new("utopia.test", "127.26.1.2", b.path(), &names);
    plan.users = vec!["bob"];
    plan.port = port;
    let utopia = plan.start().await;
    let message = "From: alice@crepes.test\r\nSubject: signed\r\n\r\nx\r\n";
    crepes.send("alice", &["bob@utopia.test"], message).await;
    let text = &utopia.wait_for("bob", 1).await[0];
    for result in ["spf=pass", "dkim=pass", "dmarc=pass"] {
        assert!(text.contains(result), "{result} is missing in {text}");
    }
    // Alice cannot be somebody else, in the envelope or in the header.
    let forged = crepes.send("alice", &["bob@utopia.test"], "From: eve@crepes.test\r\n\r\nx\r\n").await;
    assert!(forged[0].to_string().starts_with("550 5.7.1"), "{forged:?}");
    // Of two authors nobody knows which one is shown.
    let double = "From: alice@crepes.test\r\nFrom: alice@crepes.test\r\n\r\nx\r\n";
    let refused = crepes.send("alice", &["bob@utopia.test"], double).await;
    assert!(refused[0].to_string().starts_with("550 5.6.0"), "{refused:?}");
    // Somebody else cannot be Alice, and what is doubtful goes to Junk.
    let c = tempfile::tempdir().unwrap();
    let mut plan = Plan::new("mild.test", "127.26.1.3", c.path(), &names);
    plan.users = vec!["mallory"];
    plan.remote_port = port;
    plan.smtp.own_address_only = false;
    let mild = plan.start().await;
    mild.send("mallory", &["bob@utopia.test"], message).await;
    let bounce = &mild.wait_for("mallory", 1).await[0];
    assert!(bounce.contains("550 5.7.1 refused by the DMARC policy of crepes.test"), "{bounce}");
    mild.send("mallory", &["bob@utopia.test"], "From: mallory@mild.test\r\n\r\njunk\r\n").await;
    for _ in 0..600 {
        if !utopia.read("bob", "Junk").await.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(utopia.read("bob", "Junk").await[0].ends_with("junk\r\n"));
    assert_eq!(utopia.read("bob", "INBOX").await.len(), 1);
    for host in [crepes, utopia, mild] {
        host.stop().await;
    }
}

/// Counts the names that are looked up.
struct Counted {
    names: Arc<Names>,
    asked: std::sync::Mutex<Vec<String>>,
}

impl dns::Resolve for Counted {
    fn resolve<'a>(
        &'a self,
        name: &'a dns::Name,
        rtype: domain::base::iana::Rtype,
    ) -> dns::BoxFuture<'a, Result<dns::Resolution, dns::ResolveError>> {
        self.asked.lock().unwrap().push(format!("{name} {rtype}"));
        self.names.resolve(name, rtype)
    }
}

#[tokio::test]
async fn a_message_makes_us_look_up_only_so_many_names() {
    let resolver = Arc::new(Counted { names: Names::new(""), asked: std::sync::Mutex::default() });
    let authentication = Authentication::new(resolver.clone(), "mail.utopia.test").unwrap();
    let signatures = (0..500).fold(String::new(), |mut text, number| {
        let _ = write!(
            text,
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d{number}.test; s=s; h=From;\r\n \
             bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n"
        );
        text
    });
    // Without a body, so that the signatures' body hash is right and their keys are wanted.
    let message = format!("{signatures}From: a@b.test\r\n\r\n");
    let from = path("<a@b.test>");
    let arrival = Arrival {
        client: "192.0.2.1".parse().unwrap(),
        hello: "a.test",
        from: &from,
        message: message.as_bytes(),
    };
    let verdict = authentication.check(arrival).await;
    // Whether it passes is not known, and that is all its sender gets.
    assert_eq!(verdict.disposition, Disposition::Defer);
    let asked = resolver.asked.lock().unwrap().len();
    // 60 for DKIM and DMARC, and the few of SPF.
    assert!((30..=75).contains(&asked), "{asked} names were looked up");
}
