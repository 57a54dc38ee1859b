//! LOGIN and AUTHENTICATE (RFC 9051 sections 6.2.2 and 6.2.3): only under TLS,
//! which [`mail::imap::session::Session::check`] sees to.

use super::client::{Client, Done};
use super::connection::Incoming;
use super::error::Failure;
use crate::mailbox::AccountId;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail::sasl::{Plain, ScramServer};

impl Client {
    pub(super) async fn login(&mut self, user: &[u8], password: &[u8]) -> Result<Done, Failure> {
        let message = [&b"\0"[..], user, b"\0", password].concat();
        self.plain(&message).await
    }

    pub(super) async fn authenticate(
        &mut self,
        mechanism: &str,
        initial: Option<Vec<u8>>,
    ) -> Result<Done, Failure> {
        match mechanism {
            "PLAIN" => {
                let message = match initial {
                    Some(initial) => initial,
                    None => self.challenge(b"").await?,
                };
                self.plain(&message).await
            }
            "SCRAM-SHA-256" => self.scram(initial).await,
            _ => Err(Failure::no(Some("CANNOT"), "offered are PLAIN and SCRAM-SHA-256")),
        }
    }

    async fn plain(&mut self, message: &[u8]) -> Result<Done, Failure> {
        let Ok(plain) = Plain::parse(message) else { return self.failed() };
        if !plain.authorization.is_empty() && plain.authorization != plain.authentication {
            return self.failed();
        }
        let peer = self.connection.peer().ip();
        match self.service.accounts.verify_plain(&plain.authentication, &plain.password, peer).await? {
            Some(account) => Ok(self.succeeded(account)),
            None => self.failed(),
        }
    }

    async fn scram(&mut self, initial: Option<Vec<u8>>) -> Result<Done, Failure> {
        let first = match initial {
            Some(initial) => initial,
            None => self.challenge(b"").await?,
        };
        let nonce = STANDARD.encode(rand::random::<[u8; 18]>());
        let Ok(mut scram) = ScramServer::client_first(&first, &nonce) else { return self.failed() };
        if !scram.authorization().is_empty() && scram.authorization() != scram.username() {
            return self.failed();
        }
        let peer = self.connection.peer().ip();
        let accounts = self.service.accounts.clone();
        let name = scram.username().to_owned();
        let login = accounts.scram_sha_256(&name, peer).await?;
        let answer = self.challenge(&scram.server_first(login.keys)).await?;
        let proven = scram.client_final(&answer).ok().zip(login.account);
        accounts.scram_ended(&name, peer, proven.is_some());
        let Some((proof, account)) = proven else { return self.failed() };
        // The server's proof is data of a last challenge, which the client answers with nothing.
        self.challenge(&proof).await?;
        Ok(self.succeeded(account))
    }

    /// Sends a challenge and gives the client's answer.
    async fn challenge(&mut self, challenge: &[u8]) -> Result<Vec<u8>, Failure> {
        self.say(&format!("+ {}\r\n", STANDARD.encode(challenge))).await?;
        self.connection.flush().await?;
        let patience = self.service.config.patience(false);
        let Incoming::Command(line) = self.connection.incoming(patience).await? else {
            return Err(Failure::bad("a line of base64 was expected"));
        };
        if line == b"*" {
            return Err(Failure::bad("AUTHENTICATE cancelled"));
        }
        STANDARD.decode(&line).map_err(|_| Failure::bad("a line of base64 was expected"))
    }

    fn succeeded(&mut self, account: AccountId) -> Done {
        self.connection.tell_login(true);
        self.session.authenticated(account);
        self.connection.set_limits(self.service.config.limits(true));
        Done::with_code(format!("CAPABILITY {}", self.session.capabilities()))
    }

    fn failed(&mut self) -> Result<Done, Failure> {
        self.connection.tell_login(false);
        self.login_failures += 1;
        Err(Failure::no(Some("AUTHENTICATIONFAILED"), "the name or the password is wrong"))
    }
}
