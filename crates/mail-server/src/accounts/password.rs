//! Hashing and checking passwords, off the asynchronous threads and a bounded
//! number at a time.

use super::{AccountError, Config};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use mail::sasl::{SaslError, ScramKeys, saslprep};
use std::sync::{Arc, OnceLock};
use storage::StorageError;
use tokio::sync::Semaphore;

/// The fewest rounds of PBKDF2 (RFC 7677 section 4).
const SCRAM_ITERATIONS_MIN: u32 = 4096;

/// The longest password, in octets.
const PASSWORD_OCTETS_MAX: usize = 1024;

/// The bounded place where passwords are hashed.
#[derive(Clone)]
pub(super) struct Passwords {
    /// Those that hash.
    hashing: Arc<Semaphore>,
    /// Those that hash or wait.
    waiting: Arc<Semaphore>,
    /// What the password of a name nobody has is compared with.
    nobody: Arc<OnceLock<String>>,
    scram_iterations: u32,
}

impl Passwords {
    pub(super) fn new(config: &Config) -> Self {
        let hashes_max = config.hashes_max.max(1);
        Passwords {
            hashing: Arc::new(Semaphore::new(hashes_max)),
            waiting: Arc::new(Semaphore::new(hashes_max.saturating_add(config.hashes_waiting_max))),
            nobody: Arc::default(),
            scram_iterations: config.scram_iterations.max(SCRAM_ITERATIONS_MIN),
        }
    }

    /// The same place under another configuration; it is another one only where
    /// its bounds change.
    pub(super) fn under(&self, before: &Config, config: &Config) -> Self {
        let bounds = |config: &Config| (config.hashes_max, config.hashes_waiting_max);
        let made = Self::new(config);
        if bounds(before) == bounds(config) {
            Passwords { scram_iterations: made.scram_iterations, ..self.clone() }
        } else {
            Passwords { nobody: self.nobody.clone(), ..made }
        }
    }

    /// Rounds of PBKDF2 of new passwords, and of names nobody has.
    pub(super) fn scram_iterations(&self) -> u32 {
        self.scram_iterations
    }

    /// The Argon2id hash and the SCRAM keys of a new password.
    pub(super) async fn hash(&self, password: &str) -> Result<(String, ScramKeys), AccountError> {
        let password = prepare(password)?;
        let iterations = self.scram_iterations;
        self.work(move || {
            let salt: [u8; 16] = rand::random();
            let keys = ScramKeys::derive(&password, &salt, iterations).map_err(bad)?;
            Ok((argon2id(password.as_bytes())?, keys))
        })
        .await
    }

    /// Whether a password fits a hash; never without a hash, after the same work.
    pub(super) async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool, AccountError> {
        // What cannot be a password is nobody's; the work is done all the same.
        let (password, possible) = match prepare(password) {
            Ok(password) => (password, true),
            Err(_) => (String::new(), false),
        };
        let nobody = self.nobody.clone();
        self.work(move || {
            let exists = hash.is_some();
            let hash = match (hash, nobody.get()) {
                (Some(hash), _) => hash,
                (None, Some(hash)) => hash.clone(),
                (None, None) => {
                    let hash = argon2id(&rand::random::<[u8; 16]>())?;
                    nobody.get_or_init(|| hash).clone()
                }
            };
            let hash = PasswordHash::new(&hash).map_err(|_| AccountError::Unreadable("accounts"))?;
            let fits = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
            Ok(fits && exists && possible)
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        let waiting = self.waiting.clone().try_acquire_owned().map_err(|_| AccountError::Busy)?;
        let hashing = self.hashing.clone().acquire_owned().await.map_err(|_| AccountError::Busy)?;
        tokio::task::spawn_blocking(move || {
            // The permits go with the work, even if the caller goes away.
            let _permits = (waiting, hashing);
            work()
        })
        .await
        .map_err(|_| AccountError::Storage(StorageError::Closed))?
    }
}

fn argon2id(password: &[u8]) -> Result<String, AccountError> {
    let hash: PasswordHash = Argon2::default()
        .hash_password(password)
        .map_err(|_| AccountError::BadPassword("it cannot be hashed"))?;
    Ok(hash.to_string())
}

/// A password as it is hashed: SASLprep (RFC 4013), so that it is the same from
/// every keyboard.
fn prepare(password: &str) -> Result<String, AccountError> {
    if password.len() > PASSWORD_OCTETS_MAX {
        return Err(AccountError::BadPassword("it is longer than 1024 octets"));
    }
    let prepared = saslprep(password).map_err(bad)?;
    if prepared.is_empty() { Err(AccountError::BadPassword("it is empty")) } else { Ok(prepared) }
}

fn bad(error: SaslError) -> AccountError {
    match error {
        SaslError::Prohibited => AccountError::BadPassword("it has characters that SASLprep prohibits"),
        _ => AccountError::BadPassword("no SCRAM keys can be derived from it"),
    }
}
