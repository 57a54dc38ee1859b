//! Foreign clients submit: swaks, and Python's smtplib.

use crate::fixture::{Host, Names, PASSWORD, Plan};
use mail_server::smtp::Face;
use std::path::Path;
use std::process::{Command, Output};
use tests::{peer, skip};

async fn host(net: u8, folder: &Path) -> Host {
    let mut plan = Plan::new("utopia.test", &format!("127.28.{net}.1"), folder, &Names::new(""));
    plan.users = vec!["alice", "bob"];
    let host = plan.start().await;
    std::fs::write(folder.join("ca.pem"), &host.ca_pem).unwrap();
    host
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks_delivers_and_submits() {
    let Some(swaks) = peer("swaks") else { return };
    let folder = tempfile::tempdir().unwrap();
    let host = host(1, folder.path()).await;
    let swaks = |face: Face, arguments: &[&str]| {
        let mut command = Command::new(&swaks);
        let server = host.ports[&face];
        command.args(["--server", &server.ip().to_string(), "--port", &server.port().to_string()]);
        command.args(["--helo", "swaks.test", "--to", "bob@utopia.test", "--timeout", "30"]).args(arguments);
        run(command)
    };
    let login = ["--auth", "PLAIN", "--auth-user", "alice@utopia.test", "--auth-password", PASSWORD];
    let alice = ["--from", "alice@utopia.test"];
    // To the MX, in the clear and with pipelining.
    for more in [&[][..], &["--pipeline"]] {
        let output = swaks(Face::Exchange, &[&["--from", "x@elsewhere.test"], more].concat()).await;
        assert!(output.status.success(), "{more:?}: {}", said(&output));
    }
    let output =
        swaks(Face::Exchange, &["--from", "x@elsewhere.test", "--to", "victim@elsewhere.test"]).await;
    assert!(said(&output).contains("550 5.7.1"), "{}", said(&output));
    let output = swaks(Face::Submission, &[&alice[..], &login].concat()).await;
    assert!(!output.status.success() && !said(&output).contains("235"), "{}", said(&output));
    assert_eq!(host.read("bob", "INBOX").await.len(), 2);
    let ssl = Command::new("perl").args(["-MNet::SSLeay", "-e", "1"]).output();
    if !ssl.is_ok_and(|output| output.status.success()) {
        skip("swaks has no TLS: Net::SSLeay (libnet-ssleay-perl) is not installed");
        host.stop().await;
        return;
    }
    let output = swaks(Face::Exchange, &["--from", "x@elsewhere.test", "--tls"]).await;
    assert!(output.status.success(), "{}", said(&output));
    for (face, tls) in [(Face::Submission, "--tls"), (Face::Submissions, "--tlsc")] {
        let output = swaks(face, &[&alice[..], &login, &[tls]].concat()).await;
        assert!(output.status.success(), "{}", said(&output));
    }
    assert_eq!(host.read("bob", "INBOX").await.len(), 5);
    // What must be refused: no login, a wrong password, somebody else's
    // address.
    let output = swaks(Face::Submission, &[&alice[..], &["--tls"]].concat()).await;
    assert!(said(&output).contains("530 5.7.0"), "{}", said(&output));
    let wrong = ["--auth", "PLAIN", "--auth-user", "alice@utopia.test", "--auth-password", "wrong", "--tls"];
    let output = swaks(Face::Submission, &[&alice[..], &wrong].concat()).await;
    assert!(said(&output).contains("535 5.7.8"), "{}", said(&output));
    let output =
        swaks(Face::Submission, &[&["--from", "bob@utopia.test", "--tls"][..], &login].concat()).await;
    assert!(said(&output).contains("553 5.7.1"), "{}", said(&output));
    assert_eq!(host.read("bob", "INBOX").await.len(), 5);
    host.stop().await;
}

const SMTPLIB: &str = r#"
import base64, hashlib, hmac, os, smtplib, ssl, sys
address, submission, submissions, ca, password = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca)

class Scram:
    "SCRAM-SHA-256 (RFC 7677), as an authobject of smtplib"
    def __init__(self, user, password):
        self.user, self.password, self.turn = user, password, 0
    def __call__(self, challenge=None):
        self.turn += 1
        if self.turn == 1:
            self.nonce = base64.b64encode(os.urandom(18)).decode()
            self.bare = f"n={self.user},r={self.nonce}"
            return "n,," + self.bare
        if self.turn == 2:
            first = challenge.decode()
            fields = dict(part.split("=", 1) for part in first.split(","))
            assert fields["r"].startswith(self.nonce)
            salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
            mac = lambda key, text: hmac.new(key, text.encode(), hashlib.sha256).digest()
            client = mac(salted, "Client Key")
            last = f"c=biws,r={fields['r']}"
            signed = f"{self.bare},{first},{last}"
            proof = bytes(a ^ b for a, b in zip(client, mac(hashlib.sha256(client).digest(), signed)))
            self.server = base64.b64encode(mac(mac(salted, "Server Key"), signed)).decode()
            return f"{last},p={base64.b64encode(proof).decode()}"
        assert challenge.decode() == "v=" + self.server, challenge
        return ""

message = "From: alice@utopia.test\r\nTo: bob@utopia.test\r\nSubject: {}\r\n\r\n.a dot\r\n..\r\n"
with smtplib.SMTP(address, int(submission)) as server:
    server.starttls(context=tls)
    server.login("alice@utopia.test", password)
    server.sendmail("alice@utopia.test", ["bob@utopia.test"], message.format("starttls"))
    # Several messages in one session; one recipient of two is refused.
    refused = server.sendmail("alice@utopia.test", ["bob@utopia.test", "nobody@utopia.test"], message.format("second"))
    assert refused["nobody@utopia.test"][0] == 550, refused
with smtplib.SMTP_SSL(address, int(submissions), context=tls) as server:
    server.ehlo()
    assert "SCRAM-SHA-256" in server.esmtp_features["auth"], server.esmtp_features
    server.auth("SCRAM-SHA-256", Scram("alice@utopia.test", password))
    text = message.format("g\u00fcltig \u03b4").replace("\r\n\r\n", "\r\nX-Long: " + "y" * 900 + "\r\n\r\n")
    server.sendmail("alice@utopia.test", ["bob@utopia.test"], text.encode(), ["SMTPUTF8", "BODY=8BITMIME"])
with smtplib.SMTP_SSL(address, int(submissions), context=tls) as server:
    server.ehlo()
    try:
        server.auth("SCRAM-SHA-256", Scram("alice@utopia.test", "wrong"))
        raise SystemExit("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
"#;

#[tokio::test(flavor = "multi_thread")]
async fn smtplib_submits() {
    let Some(python) = peer("python3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let host = host(2, folder.path()).await;
    let mut command = Command::new(python);
    command.args(["-c", SMTPLIB, &host.exchange().ip().to_string()]);
    for face in [Face::Submission, Face::Submissions] {
        command.arg(host.ports[&face].port().to_string());
    }
    command.arg(folder.path().join("ca.pem")).arg(PASSWORD);
    let output = run(command).await;
    assert!(output.status.success(), "{}", said(&output));
    let texts = host.read("bob", "INBOX").await;
    assert_eq!(texts.len(), 3);
    assert!(texts.iter().all(|text| text.ends_with("\r\n\r\n.a dot\r\n..\r\n")), "{texts:?}");
    assert!(texts[2].contains("Subject: gültig δ"), "{texts:?}");
    assert!(texts[2].contains("with UTF8SMTPSA id"), "{texts:?}");
    host.stop().await;
}
