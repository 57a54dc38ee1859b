//! SPF: `check_host` of RFC 7208 section 4.

use super::lookup::{Lookup, LookupError};
use mail_auth::SpfResult;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::spf::{Macro, Mechanism, Qualifier, Spf, Variables};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// Terms that need the DNS (RFC 7208 section 4.6.4).
const LOOKUPS_MAX: usize = 10;
/// Look-ups that find nothing.
const VOID_LOOKUPS_MAX: usize = 2;
/// Names of one MX or PTR look-up that are followed.
const NAMES_MAX: usize = 10;

/// One evaluation.
pub(super) struct SpfCheck<'a> {
    pub(super) lookup: &'a Lookup,
    pub(super) client: IpAddr,
    /// `local@domain`, with `postmaster` where there is no local part.
    pub(super) sender: &'a str,
    pub(super) hello: &'a str,
    pub(super) hostname: &'a str,
    lookups: usize,
    voids: usize,
}

/// Ends the evaluation early.
struct Stop(SpfResult);

const PERMANENT: Stop = Stop(SpfResult::PermError);
const TEMPORARY: Stop = Stop(SpfResult::TempError);

impl<'a> SpfCheck<'a> {
    pub(super) fn new(
        lookup: &'a Lookup,
        client: IpAddr,
        sender: &'a str,
        hello: &'a str,
        hostname: &'a str,
    ) -> Self {
        Self { lookup, client: client.to_canonical(), sender, hello, hostname, lookups: 0, voids: 0 }
    }

    /// The result for `domain`.
    pub(super) async fn run(mut self, domain: &str) -> SpfResult {
        if !is_domain(domain) {
            return SpfResult::None;
        }
        match self.check_host(domain.to_owned()).await {
            Ok(result) | Err(Stop(result)) => result,
        }
    }

    /// Boxed, since `include` and `redirect` come back here; [`LOOKUPS_MAX`]
    /// bounds how deep.
    fn check_host(
        &mut self,
        domain: String,
    ) -> Pin<Box<dyn Future<Output = Result<SpfResult, Stop>> + Send + '_>> {
        Box::pin(async move {
            let Some(record) = self.record(&domain).await? else { return Ok(SpfResult::None) };
            for directive in &record.directives {
                if self.is_match(&directive.mechanism, &domain).await? {
                    return Ok(match directive.qualifier {
                        Qualifier::Pass => SpfResult::Pass,
                        Qualifier::Fail => SpfResult::Fail,
                        Qualifier::SoftFail => SpfResult::SoftFail,
                        Qualifier::Neutral => SpfResult::Neutral,
                    });
                }
            }
            let Some(redirect) = &record.redirect else { return Ok(SpfResult::Neutral) };
            self.count_lookup()?;
            let target = self.expand(redirect, &domain).await?;
            match self.check_host(target).await? {
                SpfResult::None => Err(PERMANENT),
                result => Ok(result),
            }
        })
    }

    /// Section 4.5: exactly one record that begins with the version.
    async fn record(&mut self, domain: &str) -> Result<Option<Spf>, Stop> {
        let texts = match self.lookup.txt(domain).await {
            Ok(texts) => texts,
            Err(LookupError::Temporary(_)) => return Err(TEMPORARY),
            Err(_) => return Ok(None),
        };
        let mut records = texts.iter().filter(|text| {
            let (version, rest) = text.split_at(text.len().min(6));
            version.eq_ignore_ascii_case(b"v=spf1") && matches!(rest.first(), None | Some(b' '))
        });
        match (records.next(), records.next()) {
            (None, _) => Ok(None),
            (Some(text), None) => Spf::parse(text).map(Some).map_err(|_| PERMANENT),
            _ => Err(PERMANENT),
        }
    }

    async fn is_match(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4 { addr, mask } => Ok(is_within(self.client, IpAddr::V4(*addr), *mask, 0)),
            Mechanism::Ip6 { addr, mask } => Ok(is_within(self.client, IpAddr::V6(*addr), 0, *mask)),
            Mechanism::A { macro_string, ip4_mask, ip6_mask } => {
                self.count_lookup()?;
                let name = self.expand(macro_string, domain).await?;
                let addresses = self.addresses(&name).await?;
                Ok(addresses.into_iter().any(|address| is_within(self.client, address, *ip4_mask, *ip6_mask)))
            }
            Mechanism::Mx { macro_string, ip4_mask, ip6_mask } => {
                self.count_lookup()?;
                let name = self.expand(macro_string, domain).await?;
                let found = self.lookup.mx(&name).await;
                let exchanges = self.found(found)?;
                if exchanges.len() > NAMES_MAX {
                    return Err(PERMANENT);
                }
                for exchange in exchanges {
                    let addresses = self.addresses(&exchange.host).await?;
                    if addresses
                        .into_iter()
                        .any(|address| is_within(self.client, address, *ip4_mask, *ip6_mask))
                    {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Mechanism::Include { macro_string } => {
                self.count_lookup()?;
                let target = self.expand(macro_string, domain).await?;
                match self.check_host(target).await? {
                    SpfResult::Pass => Ok(true),
                    SpfResult::None => Err(PERMANENT),
                    _ => Ok(false),
                }
            }
            Mechanism::Exists { macro_string } => {
                self.count_lookup()?;
                let name = self.expand(macro_string, domain).await?;
                // Section 5.7: an A record, even for an IPv6 client.
                let found = self.lookup.ipv4(&name).await;
                Ok(!self.found(found)?.is_empty())
            }
            Mechanism::Ptr { macro_string } => {
                self.count_lookup()?;
                let target = self.expand(macro_string, domain).await?;
                let target = target.trim_end_matches('.').to_lowercase();
                let names = self.validated_names().await;
                Ok(names.iter().any(|name| is_subdomain(name, &target)))
            }
        }
    }

    fn count_lookup(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX { Err(PERMANENT) } else { Ok(()) }
    }

    fn found<T>(&mut self, found: Result<Vec<T>, LookupError>) -> Result<Vec<T>, Stop> {
        match found {
            Ok(records) => Ok(records),
            Err(LookupError::Temporary(_)) => Err(TEMPORARY),
            Err(_) => {
                self.voids += 1;
                if self.voids > VOID_LOOKUPS_MAX { Err(PERMANENT) } else { Ok(Vec::new()) }
            }
        }
    }

    /// The addresses of a name, of the client's family.
    async fn addresses(&mut self, name: &str) -> Result<Vec<IpAddr>, Stop> {
        let found = match self.client {
            IpAddr::V4(_) => self.lookup.ipv4(name).await.map(|v4| v4.into_iter().map(IpAddr::V4).collect()),
            IpAddr::V6(_) => self.lookup.ipv6(name).await.map(|v6| v6.into_iter().map(IpAddr::V6).collect()),
        };
        self.found(found)
    }

    /// Section 5.5: names of the client's address that point back to it. What
    /// cannot be looked up is left out.
    async fn validated_names(&mut self) -> Vec<String> {
        let mut validated = Vec::new();
        for name in self.lookup.ptr(self.client).await.unwrap_or_default().into_iter().take(NAMES_MAX) {
            let found: Vec<IpAddr> = match self.client {
                IpAddr::V4(_) => {
                    self.lookup.ipv4(&name).await.unwrap_or_default().into_iter().map(IpAddr::V4).collect()
                }
                IpAddr::V6(_) => {
                    self.lookup.ipv6(&name).await.unwrap_or_default().into_iter().map(IpAddr::V6).collect()
                }
            };
            if found.contains(&self.client) {
                validated.push(name);
            }
        }
        validated
    }

    /// Section 7.
    async fn expand(&mut self, text: &Macro, domain: &str) -> Result<String, Stop> {
        let validated = if text.needs_ptr() {
            let names = self.validated_names().await;
            let best = names
                .iter()
                .find(|name| *name == domain)
                .or_else(|| names.iter().find(|name| is_subdomain(name, domain)));
            best.or(names.first()).cloned().unwrap_or_else(|| "unknown".to_owned())
        } else {
            String::new()
        };
        let mut variables = Variables::new();
        variables.set_ip(&self.client);
        variables.set_sender(self.sender.as_bytes());
        variables.set_domain(domain.as_bytes());
        variables.set_helo_domain(self.hello.as_bytes());
        variables.set_host_domain(self.hostname.as_bytes());
        variables.set_validated_domain(validated.as_bytes());
        let mut name = text.eval(&variables, domain, false).trim_end_matches('.').to_owned();
        // Section 7.3: a name that is too long loses labels on the left.
        while name.len() > 253 {
            name = name.split_once('.').map(|(_, rest)| rest.to_owned()).ok_or(PERMANENT)?;
        }
        Ok(name)
    }
}

fn is_within(client: IpAddr, address: IpAddr, ip4_mask: u32, ip6_mask: u128) -> bool {
    match (client, address) {
        (IpAddr::V4(client), IpAddr::V4(address)) => {
            client.to_bits() & ip4_mask == address.to_bits() & ip4_mask
        }
        (IpAddr::V6(client), IpAddr::V6(address)) => {
            client.to_bits() & ip6_mask == address.to_bits() & ip6_mask
        }
        _ => false,
    }
}

fn is_subdomain(name: &str, of: &str) -> bool {
    name == of || name.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'))
}

/// Section 4.3: a name of several labels, none empty or too long.
fn is_domain(domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    domain.len() <= 253
        && domain.contains('.')
        && !domain.starts_with('[')
        && domain.split('.').all(|label| (1..=63).contains(&label.len()))
}
