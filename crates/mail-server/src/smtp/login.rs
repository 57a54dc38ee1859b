//! The login of a submission session.

use super::Service;
use crate::accounts::AccountError;
use crate::mailbox::AccountId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use event::MailEvent;
use mail::sasl::{Plain, SaslError, ScramServer};
use mail::smtp::{Answer, EnhancedCode, Mechanism, Reply};
use std::net::SocketAddr;

/// Who is logged in.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) account: AccountId,
    pub(super) address: String,
}

/// Where an exchange stands.
#[derive(Debug, Default)]
pub(super) enum Login {
    /// Not begun.
    #[default]
    None,
    /// PLAIN waits for its one message.
    Plain,
    /// SCRAM waits for the first message.
    Scram,
    /// SCRAM waits for the proof.
    ScramProof { exchange: Box<ScramServer>, account: Option<AccountId>, address: String },
    /// SCRAM waits for the empty response after the server's own proof.
    ScramEnd(User),
}

impl Login {
    /// Begins an exchange.
    pub(super) async fn begin(
        &mut self,
        service: &Service,
        peer: SocketAddr,
        mechanism: Mechanism,
        initial: Option<Vec<u8>>,
    ) -> (Answer, Option<User>) {
        *self = match mechanism {
            Mechanism::Plain => Login::Plain,
            Mechanism::ScramSha256 => Login::Scram,
        };
        match initial {
            None => (Answer::Challenge(Vec::new()), None),
            Some(response) => self.respond(service, peer, &response).await,
        }
    }

    /// Takes the client's response.
    pub(super) async fn respond(
        &mut self,
        service: &Service,
        peer: SocketAddr,
        response: &[u8],
    ) -> (Answer, Option<User>) {
        let outcome = match std::mem::take(self) {
            Login::None => Err(wrong()),
            Login::Plain => plain(service, peer, response).await.map(Outcome::User),
            Login::Scram => self.scram_first(service, peer, response).await,
            Login::ScramProof { exchange, account, address } => {
                let proof = exchange.client_final(response);
                service.accounts.scram_ended(&address, peer.ip(), proof.is_ok() && account.is_some());
                match (proof, account) {
                    (Ok(signature), Some(account)) => {
                        *self = Login::ScramEnd(User { account, address });
                        Ok(Outcome::Challenge(signature))
                    }
                    _ => Err(wrong()),
                }
            }
            Login::ScramEnd(user) if response.is_empty() => Ok(Outcome::User(user)),
            Login::ScramEnd(_) => Err(malformed(SaslError::Malformed)),
        };
        match outcome {
            Ok(Outcome::Challenge(challenge)) => (Answer::Challenge(challenge), None),
            Ok(Outcome::User(user)) => {
                service.reporter.tell(MailEvent::Login { peer, service: "submission", success: true });
                (Answer::Authenticated(user.address.clone()), Some(user))
            }
            Err(reply) => {
                service.reporter.tell(MailEvent::Login { peer, service: "submission", success: false });
                (Answer::Refuse(reply), None)
            }
        }
    }

    async fn scram_first(
        &mut self,
        service: &Service,
        peer: SocketAddr,
        response: &[u8],
    ) -> Result<Outcome, Reply> {
        let nonce = BASE64.encode(rand::random::<[u8; 18]>());
        let mut exchange = ScramServer::client_first(response, &nonce).map_err(malformed)?;
        let address = service.directory.complete(exchange.username());
        if !is_same_user(service, exchange.authorization(), &address) {
            return Err(wrong());
        }
        let login =
            service.accounts.scram_sha_256(&address, peer.ip()).await.map_err(|error| refusal(&error))?;
        let challenge = exchange.server_first(login.keys);
        *self = Login::ScramProof { exchange: Box::new(exchange), account: login.account, address };
        Ok(Outcome::Challenge(challenge))
    }
}

enum Outcome {
    Challenge(Vec<u8>),
    User(User),
}

async fn plain(service: &Service, peer: SocketAddr, response: &[u8]) -> Result<User, Reply> {
    let plain = Plain::parse(response).map_err(malformed)?;
    let address = service.directory.complete(&plain.authentication);
    if !is_same_user(service, &plain.authorization, &address) {
        return Err(wrong());
    }
    let account = service.accounts.verify_plain(&address, &plain.password, peer.ip()).await;
    let account = account.map_err(|error| refusal(&error))?.ok_or_else(wrong)?;
    Ok(User { account, address })
}

/// Nobody may act as somebody else.
fn is_same_user(service: &Service, authorization: &str, address: &str) -> bool {
    authorization.is_empty() || service.directory.complete(authorization).eq_ignore_ascii_case(address)
}

fn wrong() -> Reply {
    Reply::new(535, EnhancedCode(5, 7, 8), "wrong user name or password")
}

fn malformed(error: SaslError) -> Reply {
    Reply::new(501, EnhancedCode(5, 5, 2), error.to_string())
}

fn refusal(error: &AccountError) -> Reply {
    match error {
        AccountError::Throttled { .. } | AccountError::Busy => {
            Reply::new(454, EnhancedCode(4, 7, 0), error.to_string())
        }
        _ => {
            tracing::error!(%error, "a login could not be checked");
            Reply::new(454, EnhancedCode(4, 7, 0), "the login cannot be checked now; try again later")
        }
    }
}
