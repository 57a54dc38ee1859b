//! Logging in (RFC 4954): SCRAM-SHA-256 where it is offered, else PLAIN.

use super::{Client, ClientError, ClientStep, State};
use crate::sasl::{Plain, ScramClient};
use crate::smtp::Reply;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

impl Client {
    /// Logs in. Call it when [`ClientStep::Ready`] was returned; never in the
    /// clear. `nonce`: at least 18 random octets, in base64.
    pub fn authenticate(&mut self, user: &str, password: &str, nonce: &str) -> Result<(), ClientError> {
        if !matches!(self.state, State::Ready) || !self.tls {
            return Err(ClientError::NoMechanism);
        }
        let offered = |name: &str| self.offers.mechanisms.iter().any(|mechanism| mechanism == name);
        if offered("SCRAM-SHA-256") {
            let scram = ScramClient::new(user, password, nonce)?;
            let line = format!("AUTH SCRAM-SHA-256 {}\r\n", BASE64.encode(scram.client_first()));
            self.output.extend_from_slice(line.as_bytes());
            self.state = State::Scram(Box::new(scram), 0);
        } else if offered("PLAIN") {
            self.output.extend_from_slice(b"AUTH PLAIN\r\n");
            self.state = State::Plain(Plain {
                authorization: String::new(),
                authentication: user.to_owned(),
                password: password.to_owned(),
            });
        } else {
            return Err(ClientError::NoMechanism);
        }
        Ok(())
    }

    pub(super) fn authentication_reply(&mut self, reply: Reply) -> Result<Option<ClientStep>, ClientError> {
        if reply.is_positive() {
            // A server that skips its proof may not be the one that knows us.
            if matches!(&self.state, State::Scram(_, turn) if *turn < 2) {
                return Err(ClientError::Sasl(crate::sasl::SaslError::Mismatch));
            }
            self.state = State::Ready;
            return Ok(Some(ClientStep::Authenticated));
        }
        if reply.code() != 334 {
            self.state = State::Ready;
            return Ok(Some(ClientStep::AuthenticationFailed(reply)));
        }
        let challenge = BASE64
            .decode(reply.lines().first().map_or("", |line| line.trim()))
            .map_err(|_| crate::sasl::SaslError::Malformed)?;
        let response = match &mut self.state {
            State::Plain(plain) => plain.message(),
            State::Scram(scram, turn) => {
                *turn += 1;
                match turn {
                    1 => scram.server_first(&challenge)?,
                    2 => {
                        scram.server_final(&challenge)?;
                        Vec::new()
                    }
                    _ => return Err(ClientError::Sasl(crate::sasl::SaslError::Malformed)),
                }
            }
            _ => return Ok(None),
        };
        self.output.extend_from_slice(BASE64.encode(response).as_bytes());
        self.output.extend_from_slice(b"\r\n");
        Ok(None)
    }
}
