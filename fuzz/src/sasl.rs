//! Logins: PLAIN, SCRAM-SHA-256 and the preparation of names and passwords.

use mail::sasl::{MESSAGE_OCTETS_MAX, Plain, ScramClient, ScramKeys, ScramServer, saslprep};

/// Rounds of PBKDF2; as few as can be, since nothing is to be kept secret here.
const ITERATIONS: u32 = 1;
/// Rounds that this target has the time for.
const ITERATIONS_PATIENCE: u32 = 500;

/// Messages of either side of a login.
pub fn sasl(input: &[u8]) {
    plain(input);
    server(input);
    client(input);
    let text = String::from_utf8_lossy(input);
    if let Ok(prepared) = saslprep(&text) {
        assert_eq!(saslprep(&prepared).as_ref(), Ok(&prepared), "what is prepared stays as it is");
        // NFKC makes at most 18 characters of one.
        assert!(prepared.len() <= 18 * 4 * text.len().max(1));
    }
    let mut parts = text.splitn(2, '\0');
    if let (Some(user), Some(password)) = (parts.next(), parts.next()) {
        login(user, password);
    }
}

fn plain(input: &[u8]) {
    if let Ok(plain) = Plain::parse(input) {
        assert!(input.len() <= MESSAGE_OCTETS_MAX);
        assert!(!plain.authentication.is_empty() && !plain.password.is_empty());
        let message = plain.message();
        if message.len() <= MESSAGE_OCTETS_MAX {
            assert_eq!(Plain::parse(&message).as_ref(), Ok(&plain));
        }
        assert!(!format!("{plain:?}").contains(&plain.password) || "Plain { .. }".contains(&plain.password));
    }
}

/// The input is the client's messages, one a line.
fn server(input: &[u8]) {
    let mut lines = input.split(|octet| *octet == b'\n');
    let Ok(mut server) = ScramServer::client_first(lines.next().unwrap_or_default(), "servernonce") else {
        return;
    };
    assert!(!server.username().is_empty());
    assert_eq!(server.client_final(b"c=biws,r=x,p=").ok(), None, "there is no proof before the keys");
    let keys = ScramKeys::decoy(server.username(), b"secret", ITERATIONS);
    let first = server.server_first(keys);
    assert!(first.len() <= input.len() + 200);
    for line in lines {
        assert!(server.client_final(line).is_err(), "no proof fits a decoy");
    }
}

/// The input is the server's messages, one a line.
fn client(input: &[u8]) {
    let mut lines = input.split(|octet| *octet == b'\n');
    let Ok(mut client) = ScramClient::new("user", "pencil", "rOprNGfwEbeRWgbNEkqO") else { return };
    let first = lines.next().unwrap_or_default();
    let rounds = String::from_utf8_lossy(first).split(",i=").filter_map(|rounds| rounds.parse().ok()).max();
    if rounds.is_some_and(|rounds: u32| rounds > ITERATIONS_PATIENCE) {
        return;
    }
    if let Ok(answer) = client.server_first(first) {
        assert!(answer.starts_with(b"c=biws,r=rOprNGfwEbeRWgbNEkqO"));
        assert!(answer.len() <= first.len() + 200);
    }
    for line in lines {
        assert!(
            client.server_final(line).is_err(),
            "a server that does not know the password proves nothing"
        );
    }
}

/// Any name and password that can be prepared log in with SCRAM, and only with
/// the same password.
fn login(user: &str, password: &str) {
    if user.len() + password.len() > MESSAGE_OCTETS_MAX / 8 {
        return;
    }
    let (Ok(name), Ok(keys)) = (saslprep(user), ScramKeys::derive(password, b"salt", ITERATIONS)) else {
        return;
    };
    let Ok(mut client) = ScramClient::new(user, password, "clientnonce") else { return };
    let server = ScramServer::client_first(&client.client_first(), "servernonce");
    let Ok(mut server) = server else {
        assert!(name.is_empty(), "{:?}", server.err());
        return;
    };
    assert_eq!(server.username(), name);
    let server_first = server.server_first(keys);
    let client_final = client.server_first(&server_first).expect("a proof");
    let server_final = server.client_final(&client_final).expect("the right password");
    assert_eq!(client.server_final(&server_final), Ok(()));

    let Ok(other) = ScramKeys::derive("another password", b"salt", ITERATIONS) else { return };
    if saslprep(password).is_ok_and(|password| password != "another password") {
        server.server_first(other);
        assert!(server.client_final(&client_final).is_err());
    }
}
