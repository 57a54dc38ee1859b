//! SCRAM-SHA-256: RFC 5802, RFC 7677. Without channel binding.

use super::{MESSAGE_OCTETS_MAX, SaslError, saslprep};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Rounds of PBKDF2 that a client is willing to compute; a hostile server must
/// not keep it busy for ever.
const ITERATIONS_MAX: u32 = 1_000_000;

/// What a server stores of a password (RFC 5802 section 3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// The salt.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2; at least 4096 (RFC 7677 section 4).
    pub iterations: u32,
    /// `StoredKey`.
    pub stored_key: [u8; 32],
    /// `ServerKey`.
    pub server_key: [u8; 32],
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl ScramKeys {
    /// Derives the keys from a password. Slow on purpose.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Result<Self, SaslError> {
        let salted = salted_password(password, salt, iterations)?;
        Ok(Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: Sha256::digest(hmac(&salted, b"Client Key")).into(),
            server_key: hmac(&salted, b"Server Key"),
        })
    }

    /// Keys that no password fits, for a name that does not exist: the exchange
    /// then looks as it does for one that does. `secret` is the server's own, so
    /// that the salt is the same each time and cannot be told from a real one.
    pub fn decoy(name: &str, secret: &[u8], iterations: u32) -> Self {
        let salt = hmac(secret, name.as_bytes());
        Self {
            salt: salt.iter().take(16).copied().collect(),
            iterations,
            stored_key: hmac(secret, b"no password fits"),
            server_key: hmac(secret, b"no server key"),
        }
    }
}

/// The server's side of one exchange.
#[derive(Debug)]
pub struct ScramServer {
    username: String,
    authorization: String,
    gs2_header: String,
    client_first_bare: String,
    nonce: String,
    server_first: String,
    keys: Option<ScramKeys>,
}

impl ScramServer {
    /// Reads the client's first message. `nonce` is the server's part: at least
    /// 18 random octets, in base64 or other printable characters without comma.
    pub fn client_first(message: &[u8], nonce: &str) -> Result<Self, SaslError> {
        let text = text(message)?;
        let mut parts = text.splitn(3, ',');
        let (flag, authorization, bare) = match (parts.next(), parts.next(), parts.next()) {
            (Some(flag), Some(authorization), Some(bare)) => (flag, authorization, bare),
            _ => return Err(SaslError::Malformed),
        };
        match flag {
            // "y": the client thinks that we offer no -PLUS, and is right.
            "n" | "y" => {}
            _ if flag.starts_with("p=") => return Err(SaslError::Unsupported),
            _ => return Err(SaslError::Malformed),
        }
        let authorization = match authorization {
            "" => String::new(),
            _ => unescape(authorization.strip_prefix("a=").ok_or(SaslError::Malformed)?)?,
        };
        let mut attributes = bare.split(',');
        let username = match attributes.next() {
            Some(first) if first.starts_with("m=") => return Err(SaslError::Unsupported),
            Some(first) => saslprep(&unescape(first.strip_prefix("n=").ok_or(SaslError::Malformed)?)?)?,
            None => return Err(SaslError::Malformed),
        };
        let client_nonce =
            attributes.next().and_then(|next| next.strip_prefix("r=")).filter(|nonce| is_nonce(nonce));
        let client_nonce = client_nonce.ok_or(SaslError::Malformed)?;
        if username.is_empty() {
            return Err(SaslError::Malformed);
        }
        Ok(Self {
            username,
            authorization,
            gs2_header: text[..text.len() - bare.len()].to_owned(),
            client_first_bare: bare.to_owned(),
            nonce: format!("{client_nonce}{nonce}"),
            server_first: String::new(),
            keys: None,
        })
    }

    /// Who logs in: look their keys up.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Whom they want to act as; empty for themself.
    pub fn authorization(&self) -> &str {
        &self.authorization
    }

    /// The server's first message, for the user with these keys.
    pub fn server_first(&mut self, keys: ScramKeys) -> Vec<u8> {
        self.server_first = format!("r={},s={},i={}", self.nonce, BASE64.encode(&keys.salt), keys.iterations);
        self.keys = Some(keys);
        self.server_first.clone().into_bytes()
    }

    /// Checks the client's final message. The result is the server's final
    /// message, which proves to the client that the server knows the keys.
    pub fn client_final(&self, message: &[u8]) -> Result<Vec<u8>, SaslError> {
        let keys = self.keys.as_ref().ok_or(SaslError::Malformed)?;
        let text = text(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(SaslError::Malformed)?;
        let mut attributes = without_proof.split(',');
        let binding =
            attributes.next().and_then(|next| next.strip_prefix("c=")).ok_or(SaslError::Malformed)?;
        let nonce = attributes.next().and_then(|next| next.strip_prefix("r=")).ok_or(SaslError::Malformed)?;
        if binding != BASE64.encode(&self.gs2_header) || nonce != self.nonce {
            return Err(SaslError::Mismatch);
        }
        let proof: [u8; 32] =
            BASE64.decode(proof).ok().and_then(|proof| proof.try_into().ok()).ok_or(SaslError::Malformed)?;
        let signed = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let client_key = xor(proof, hmac(&keys.stored_key, signed.as_bytes()));
        if !is_equal(&Sha256::digest(client_key), &keys.stored_key) {
            return Err(SaslError::Mismatch);
        }
        Ok(format!("v={}", BASE64.encode(hmac(&keys.server_key, signed.as_bytes()))).into_bytes())
    }
}

/// The client's side of one exchange.
pub struct ScramClient {
    password: String,
    client_first_bare: String,
    nonce: String,
    server_signature: Option<[u8; 32]>,
}

impl std::fmt::Debug for ScramClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramClient").finish_non_exhaustive()
    }
}

/// The GS2 header: no channel binding, nobody else to act as.
const GS2_HEADER: &str = "n,,";

impl ScramClient {
    /// A client at its start. `nonce`: at least 18 random octets, in base64.
    pub fn new(username: &str, password: &str, nonce: &str) -> Result<Self, SaslError> {
        let name = saslprep(username)?.replace('=', "=3D").replace(',', "=2C");
        Ok(Self {
            password: password.to_owned(),
            client_first_bare: format!("n={name},r={nonce}"),
            nonce: nonce.to_owned(),
            server_signature: None,
        })
    }

    /// The first message.
    pub fn client_first(&self) -> Vec<u8> {
        format!("{GS2_HEADER}{}", self.client_first_bare).into_bytes()
    }

    /// Reads the server's first message and gives the final one.
    pub fn server_first(&mut self, message: &[u8]) -> Result<Vec<u8>, SaslError> {
        let server_first = text(message)?;
        let mut attributes = server_first.split(',');
        let mut next =
            |key| attributes.next().and_then(|next| next.strip_prefix(key)).ok_or(SaslError::Malformed);
        let (nonce, salt, iterations) = (next("r=")?, next("s=")?, next("i=")?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(SaslError::Mismatch);
        }
        let salt = BASE64.decode(salt).map_err(|_| SaslError::Malformed)?;
        let iterations: u32 = iterations.parse().map_err(|_| SaslError::Malformed)?;
        if !(1..=ITERATIONS_MAX).contains(&iterations) {
            return Err(SaslError::Unsupported);
        }
        let salted = salted_password(&self.password, &salt, iterations)?;
        let client_key = hmac(&salted, b"Client Key");
        let without_proof = format!("c={},r={nonce}", BASE64.encode(GS2_HEADER));
        let signed = format!("{},{server_first},{without_proof}", self.client_first_bare);
        let stored_key: [u8; 32] = Sha256::digest(client_key).into();
        let proof = xor(client_key, hmac(&stored_key, signed.as_bytes()));
        self.server_signature = Some(hmac(&hmac(&salted, b"Server Key"), signed.as_bytes()));
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes())
    }

    /// Checks the server's final message: whether the server, too, knows the keys.
    pub fn server_final(&self, message: &[u8]) -> Result<(), SaslError> {
        let text = text(message)?;
        let signature =
            text.split(',').next().and_then(|next| next.strip_prefix("v=")).ok_or(SaslError::Mismatch)?;
        let signature = BASE64.decode(signature).map_err(|_| SaslError::Malformed)?;
        match self.server_signature {
            Some(expected) if is_equal(&signature, &expected) => Ok(()),
            _ => Err(SaslError::Mismatch),
        }
    }
}

fn text(message: &[u8]) -> Result<&str, SaslError> {
    if message.len() > MESSAGE_OCTETS_MAX {
        return Err(SaslError::TooLong);
    }
    std::str::from_utf8(message).map_err(|_| SaslError::Malformed)
}

fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|octet| (0x21..=0x7e).contains(&octet))
}

/// `saslname`: `=2C` and `=3D` stand for comma and equals sign.
fn unescape(name: &str) -> Result<String, SaslError> {
    let mut parts = name.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (c, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(SaslError::Malformed),
        };
        plain.push(c);
        plain.push_str(rest);
    }
    Ok(plain)
}

fn salted_password(password: &str, salt: &[u8], iterations: u32) -> Result<[u8; 32], SaslError> {
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(saslprep(password)?.as_bytes(), salt, iterations, &mut salted);
    Ok(salted)
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        // HMAC takes a key of any length (RFC 2104 section 2).
        Err(_) => return [0; 32],
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn xor(mut a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    a
}

/// Compares in a time that does not tell where the difference is.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    //! RFC 7677 section 3, both sides; and what must fail.
    use super::*;

    const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &[u8] = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn keys(password: &str) -> ScramKeys {
        ScramKeys::derive(password, &BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096).unwrap()
    }

    #[test]
    fn rfc_7677() {
        let mut client = ScramClient::new("user", "pencil", CLIENT_NONCE).unwrap();
        assert_eq!(client.client_first(), CLIENT_FIRST);
        let mut server = ScramServer::client_first(CLIENT_FIRST, SERVER_NONCE).unwrap();
        assert_eq!(server.username(), "user");
        assert_eq!(server.server_first(keys("pencil")), SERVER_FIRST);
        assert_eq!(client.server_first(SERVER_FIRST).unwrap(), CLIENT_FINAL);
        assert_eq!(server.client_final(CLIENT_FINAL).unwrap(), SERVER_FINAL);
        assert_eq!(client.server_final(SERVER_FINAL), Ok(()));
        assert_eq!(client.server_final(b"v=AAAA"), Err(SaslError::Mismatch));
        assert_eq!(client.server_final(b"e=other-error"), Err(SaslError::Mismatch));
    }

    #[test]
    fn wrong_passwords_and_unknown_users_fail_alike() {
        let mut server = ScramServer::client_first(CLIENT_FIRST, SERVER_NONCE).unwrap();
        server.server_first(keys("pen"));
        assert_eq!(server.client_final(CLIENT_FINAL), Err(SaslError::Mismatch));
        let decoy = ScramKeys::decoy("user", b"secret", 4096);
        assert_eq!(decoy, ScramKeys::decoy("user", b"secret", 4096));
        server.server_first(decoy);
        assert_eq!(server.client_final(CLIENT_FINAL), Err(SaslError::Mismatch));
    }

    #[test]
    fn names_are_escaped() {
        let client = ScramClient::new("a=b,c", "x", "nonce").unwrap();
        let server = ScramServer::client_first(&client.client_first(), "more").unwrap();
        assert_eq!(server.username(), "a=b,c");
    }

    #[test]
    fn malformed_messages() {
        for (message, error) in [
            (&b""[..], SaslError::Malformed),
            (b"n,,", SaslError::Malformed),
            (b"n,,n=user", SaslError::Malformed),
            (b"n,,n=us=er,r=x", SaslError::Malformed),
            (b"n,,n=,r=x", SaslError::Malformed),
            (b"x,,n=user,r=x", SaslError::Malformed),
            (b"p=tls-exporter,,n=user,r=x", SaslError::Unsupported),
            (b"n,,m=1,n=user,r=x", SaslError::Unsupported),
            (b"n,,n=\xff,r=x", SaslError::Malformed),
        ] {
            assert_eq!(ScramServer::client_first(message, "s").err(), Some(error), "{message:?}");
        }
        let mut server = ScramServer::client_first(b"n,,n=user,r=x", "s").unwrap();
        assert_eq!(server.client_final(b"c=biws,r=xs,p=AA=="), Err(SaslError::Malformed), "before its turn");
        server.server_first(keys("pencil"));
        for message in [&b""[..], b"c=biws", b"c=biws,r=xs,p=AA==", b"r=xs,c=biws,p=AA=="] {
            assert_eq!(server.client_final(message), Err(SaslError::Malformed), "{message:?}");
        }
        let proof = BASE64.encode([0; 32]);
        for start in ["c=eSws,r=xs", "c=biws,r=other"] {
            let message = format!("{start},p={proof}");
            assert_eq!(server.client_final(message.as_bytes()), Err(SaslError::Mismatch), "{start}");
        }
        let mut client = ScramClient::new("user", "pencil", "x").unwrap();
        assert_eq!(client.server_first(b"r=xy,s=AAAA,i=4000000000"), Err(SaslError::Unsupported));
        assert_eq!(client.server_first(b"r=zy,s=AAAA,i=4096"), Err(SaslError::Mismatch));
    }
}
