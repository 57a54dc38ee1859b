//! Who has a mailbox here, and how they prove it: Argon2id for PLAIN, the
//! derived keys of RFC 5802 for SCRAM-SHA-256. Guessing is slowed down.

mod config;
mod error;
mod password;
mod record;
#[cfg(test)]
mod tests;
mod throttle;

pub use config::Config;
pub use error::AccountError;

use crate::mailbox::{AccountId, Mailboxes};
use arc_swap::ArcSwap;
use mail::sasl::ScramKeys;
use password::Passwords;
use record::{AccountRecord, canonical};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::{Storage, Table, Transaction};
use throttle::Throttle;

/// Account id → `AccountRecord`.
const ACCOUNTS: Table = Table("accounts");
/// Canonical address → account id.
const ADDRESSES: Table = Table("account_addresses");
/// Name → what belongs to all accounts.
const SETTINGS: Table = Table("account_settings");
/// The last account id given.
const LAST_ID: &[u8] = b"last_id";
/// From which the salts of those who do not exist are derived.
const DECOY_SECRET: &[u8] = b"decoy_secret";

/// Local parts somebody must read at every domain (RFC 5321 section 4.5.1, RFC 2142).
const ROLES: [&str; 3] = ["postmaster", "abuse", "hostmaster"];

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id, never reused.
    pub id: AccountId,
    /// Its address, in lower case.
    pub address: String,
}

/// What the server's side of SCRAM needs to know.
#[derive(Debug, Clone)]
pub struct ScramLogin {
    /// Whose keys these are; `None` for a name nobody has, whose keys no
    /// password fits.
    pub account: Option<AccountId>,
    /// The keys.
    pub keys: ScramKeys,
}

/// The accounts of one host. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    storage: Storage,
    mailboxes: Mailboxes,
    rules: Arc<ArcSwap<Rules>>,
}

/// What the configuration makes of it.
struct Rules {
    config: Config,
    passwords: Passwords,
    throttle: Throttle,
}

impl Accounts {
    /// The accounts in the storage of `mailboxes`.
    pub fn new(config: Config, mailboxes: Mailboxes) -> Self {
        Accounts {
            storage: mailboxes.storage().clone(),
            mailboxes,
            rules: Arc::new(ArcSwap::from_pointee(Rules {
                passwords: Passwords::new(&config),
                throttle: Throttle::new(&config),
                config,
            })),
        }
    }

    /// Other rules from here on; the failures of late are not forgotten.
    pub fn configure(&self, config: Config) {
        let before = self.rules();
        self.rules.store(Arc::new(Rules {
            passwords: before.passwords.under(&before.config, &config),
            throttle: before.throttle.under(&config),
            config,
        }));
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Creates an account with its mailboxes.
    ///
    /// # Errors
    /// [`AccountError::Exists`]; [`AccountError::BadAddress`], also for an
    /// address with `+`, which belongs to the account before it;
    /// [`AccountError::BadPassword`].
    pub async fn create(&self, address: &str, password: &str) -> Result<AccountId, AccountError> {
        let address = record::checked_address(address)?;
        let (hash, scram) = self.rules().passwords.hash(password).await?;
        let mailboxes = self.mailboxes.clone();
        self.storage
            .write(move |transaction| {
                if transaction.get(ADDRESSES, address.as_bytes())?.is_some() {
                    return Err(AccountError::Exists(address.clone()));
                }
                let last = transaction.get(SETTINGS, LAST_ID)?;
                let last = last.as_deref().map_or(Some(AccountId(0)), record::decode_id);
                let last = last.ok_or(AccountError::Unreadable(SETTINGS.0))?;
                let id = AccountId(last.0.checked_add(1).ok_or(AccountError::Unreadable(SETTINGS.0))?);
                transaction.put(SETTINGS, LAST_ID, &record::encode_id(id))?;
                let record =
                    AccountRecord { address: address.clone(), hash: hash.clone(), scram: scram.clone() };
                transaction.put(ACCOUNTS, &record::encode_id(id), &record.encode())?;
                transaction.put(ADDRESSES, address.as_bytes(), &record::encode_id(id))?;
                mailboxes.found_in(transaction, id)?;
                Ok(id)
            })
            .await
    }

    /// Sets an account's password.
    pub async fn set_password(&self, address: &str, password: &str) -> Result<(), AccountError> {
        let (hash, scram) = self.rules().passwords.hash(password).await?;
        let address = canonical(address);
        self.storage
            .write(move |transaction| {
                let id = id_in(transaction, &address)?;
                let id = id.ok_or_else(|| AccountError::NoAccount(address.clone()))?;
                let record =
                    AccountRecord { address: address.clone(), hash: hash.clone(), scram: scram.clone() };
                Ok(transaction.put(ACCOUNTS, &record::encode_id(id), &record.encode())?)
            })
            .await
    }

    /// Removes an account with all its mail.
    pub async fn remove(&self, address: &str) -> Result<(), AccountError> {
        let address = canonical(address);
        let mailboxes = self.mailboxes.clone();
        self.storage
            .write(move |transaction| {
                let id = id_in(transaction, &address)?;
                let id = id.ok_or_else(|| AccountError::NoAccount(address.clone()))?;
                transaction.delete(ACCOUNTS, &record::encode_id(id))?;
                transaction.delete(ADDRESSES, address.as_bytes())?;
                Ok(mailboxes.dissolve_in(transaction, id)?)
            })
            .await
    }

    /// All accounts, in the order of their creation.
    pub async fn list(&self) -> Result<Vec<Account>, AccountError> {
        self.storage
            .read(|transaction| {
                let records = records_in(transaction)?;
                Ok(records.into_iter().map(|(id, record)| Account { id, address: record.address }).collect())
            })
            .await
    }

    /// Whose mail an address's is: the local part in any case, with or without
    /// a sub-address (`alice+lists@`, RFC 5233). Roles such as postmaster
    /// belong to the configured account, or to the domain's first.
    pub async fn find(&self, address: &str) -> Result<Option<AccountId>, AccountError> {
        let this = self.clone();
        let address = address.to_owned();
        self.storage.read(move |transaction| this.find_in(transaction, &address)).await
    }

    /// [`Accounts::find`] within somebody else's transaction or view.
    pub fn find_in(
        &self,
        transaction: &mut dyn Transaction,
        address: &str,
    ) -> Result<Option<AccountId>, AccountError> {
        let address = canonical(address);
        if let Some(id) = id_in(transaction, &address)? {
            return Ok(Some(id));
        }
        let (local, domain) = match address.rsplit_once('@') {
            Some((local, domain)) => (local, Some(domain)),
            None => (address.as_str(), None),
        };
        if let (Some((user, _)), Some(domain)) = (local.split_once('+'), domain)
            && !user.is_empty()
            && let Some(id) = id_in(transaction, &format!("{user}@{domain}"))?
        {
            return Ok(Some(id));
        }
        if !ROLES.contains(&local) || (domain.is_none() && local != "postmaster") {
            return Ok(None);
        }
        let records = records_in(transaction)?;
        let of_domain = |record: &AccountRecord| {
            domain.is_none_or(|domain| record.address.rsplit_once('@').is_some_and(|(_, own)| own == domain))
        };
        let Some((first, _)) = records.iter().find(|(_, record)| of_domain(record)) else { return Ok(None) };
        if let Some(postmaster) = &self.rules().config.postmaster
            && let Some(id) = id_in(transaction, &canonical(postmaster))?
        {
            return Ok(Some(id));
        }
        Ok(Some(*first))
    }

    /// Checks a password; `None` if the name or the password is wrong, which
    /// takes the same work. `peer` is who tries, to slow down guessing.
    ///
    /// # Errors
    /// [`AccountError::Throttled`] after too many failures,
    /// [`AccountError::Busy`] while too many passwords wait to be checked.
    pub async fn verify_plain(
        &self,
        address: &str,
        password: &str,
        peer: IpAddr,
    ) -> Result<Option<AccountId>, AccountError> {
        let address = canonical(address);
        self.rules().throttle.check(&address, peer)?;
        let found = self.record(&address).await?;
        let hash = found.as_ref().map(|(_, record)| record.hash.clone());
        let right = self.rules().passwords.verify(password, hash).await?;
        self.login_ended(&address, peer, right);
        Ok(found.filter(|_| right).map(|(id, _)| id))
    }

    /// The keys for SCRAM-SHA-256, for a name nobody has as well. Call
    /// [`Accounts::scram_ended`] with the outcome of the exchange.
    ///
    /// # Errors
    /// [`AccountError::Throttled`] after too many failures.
    pub async fn scram_sha_256(&self, address: &str, peer: IpAddr) -> Result<ScramLogin, AccountError> {
        let address = canonical(address);
        self.rules().throttle.check(&address, peer)?;
        let found = self.record(&address).await?;
        let secret = self.decoy_secret().await?;
        let decoy = ScramKeys::decoy(&address, &secret, self.rules().passwords.scram_iterations());
        Ok(match found {
            Some((id, record)) => ScramLogin { account: Some(id), keys: record.scram },
            None => ScramLogin { account: None, keys: decoy },
        })
    }

    /// Tells how an exchange that [`Accounts::scram_sha_256`] began has ended,
    /// so that guessing is slowed down.
    pub fn scram_ended(&self, address: &str, peer: IpAddr, success: bool) {
        self.login_ended(&canonical(address), peer, success);
    }

    /// Logins under way at the same time are not held against one another:
    /// only failures count, and the bounds of connections and hashes keep the
    /// guesses small that slip in before the first of them fails.
    fn login_ended(&self, address: &str, peer: IpAddr, success: bool) {
        if !success {
            self.rules().throttle.failed(address, peer);
        }
    }

    async fn record(&self, address: &str) -> Result<Option<(AccountId, AccountRecord)>, AccountError> {
        let address = address.to_owned();
        self.storage
            .read(move |transaction| {
                let Some(id) = id_in(transaction, &address)? else { return Ok(None) };
                let octets = transaction.get(ACCOUNTS, &record::encode_id(id))?;
                let record = octets.and_then(|octets| AccountRecord::decode(&octets));
                record.map(|record| Some((id, record))).ok_or(AccountError::Unreadable(ACCOUNTS.0))
            })
            .await
    }

    async fn decoy_secret(&self) -> Result<Vec<u8>, AccountError> {
        if let Some(secret) = self.storage.read(|transaction| transaction.get(SETTINGS, DECOY_SECRET)).await?
        {
            return Ok(secret);
        }
        let new: [u8; 32] = rand::random();
        self.storage
            .write(move |transaction| {
                if let Some(secret) = transaction.get(SETTINGS, DECOY_SECRET)? {
                    return Ok(secret);
                }
                transaction.put(SETTINGS, DECOY_SECRET, &new)?;
                Ok(new.to_vec())
            })
            .await
    }
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Accounts({:?})", self.storage)
    }
}

/// The account of a canonical address.
fn id_in(transaction: &mut dyn Transaction, address: &str) -> Result<Option<AccountId>, AccountError> {
    if address.len() > record::ADDRESS_OCTETS_MAX {
        return Ok(None);
    }
    match transaction.get(ADDRESSES, address.as_bytes())? {
        None => Ok(None),
        Some(octets) => record::decode_id(&octets).map(Some).ok_or(AccountError::Unreadable(ADDRESSES.0)),
    }
}

fn records_in(transaction: &mut dyn Transaction) -> Result<Vec<(AccountId, AccountRecord)>, AccountError> {
    let mut records = Vec::new();
    transaction.scan(ACCOUNTS, &[], &[], &mut |key, value| {
        records.push(record::decode_id(key).zip(AccountRecord::decode(value)));
        ControlFlow::Continue(())
    })?;
    records.into_iter().collect::<Option<_>>().ok_or(AccountError::Unreadable(ACCOUNTS.0))
}
