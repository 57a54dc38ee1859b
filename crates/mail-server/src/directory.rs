//! Who this host's users are, seen from SMTP.

use crate::accounts::{AccountError, Accounts};
use crate::mailbox::AccountId;
use mail::address::{Address, Domain};
use std::sync::Arc;

/// The domains this host serves, and the accounts in them. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    domains: Arc<[String]>,
    accounts: Accounts,
}

impl Directory {
    /// The accounts of these domains; the first is the one that a bare user name
    /// belongs to.
    pub fn new(domains: &[String], accounts: Accounts) -> Self {
        Self {
            domains: domains.iter().map(|domain| domain.trim_end_matches('.').to_lowercase()).collect(),
            accounts,
        }
    }

    /// Whether this host is where a domain's mail ends.
    pub fn is_local(&self, domain: &Domain) -> bool {
        matches!(domain, Domain::Name(name) if self.domains.contains(name))
    }

    /// Whose mail an address's is.
    pub async fn find(&self, address: &Address) -> Result<Option<AccountId>, AccountError> {
        if !self.is_local(address.domain()) {
            return Ok(None);
        }
        self.accounts.find(&format!("{}@{}", address.local(), address.domain())).await
    }

    /// Who reads what is sent to `<Postmaster>`.
    pub async fn postmaster(&self) -> Result<Option<AccountId>, AccountError> {
        self.accounts.find("postmaster").await
    }

    /// The whole address of a user who logs in with a bare name.
    pub fn complete(&self, name: &str) -> String {
        match self.domains.first() {
            Some(domain) if !name.contains('@') => format!("{name}@{domain}"),
            _ => name.to_owned(),
        }
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory({:?})", self.domains)
    }
}
