//! The checks of a message that comes in, and what follows from them.

use super::cache::TxtCache;
use super::lookup::Lookup;
use super::spf::SpfCheck;
use dns::Resolve;
use mail::address::{Domain, Path};
use mail_auth::common::cache::NoCache;
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::{
    AuthenticatedMessage, AuthenticationResults, DkimOutput, DkimResult, DmarcOutput, DmarcResult, MX,
    MessageAuthenticator, Parameters, RecordSet, SpfOutput, SpfResult,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Checks who messages are from.
#[derive(Clone)]
pub struct Authentication {
    lookup: Lookup,
    mail_auth: MessageAuthenticator,
    hostname: Arc<str>,
}

/// A message as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// What it called itself.
    pub hello: &'a str,
    /// The reverse-path.
    pub from: &'a Path,
    /// Header and body.
    pub message: &'a [u8],
}

/// What to do with the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Take it.
    Deliver,
    /// Take it, as junk: the author's domain asks for quarantine.
    Quarantine,
    /// Refuse it: the author's domain asks for that.
    Reject {
        /// The author's domain.
        domain: String,
    },
    /// Have it sent again later: the author's domain cannot be asked now.
    Defer,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What to do.
    pub disposition: Disposition,
    /// The Authentication-Results field, with its CRLF.
    pub field: Vec<u8>,
    /// In a few words, for the log.
    pub summary: String,
}

type Evaluation<'x, P> = Parameters<
    'x,
    P,
    TxtCache,
    NoCache<Box<str>, RecordSet<MX>>,
    NoCache<Box<str>, RecordSet<Ipv4Addr>>,
    NoCache<Box<str>, RecordSet<Ipv6Addr>>,
    NoCache<IpAddr, RecordSet<Box<str>>>,
>;

/// Evaluations of one message before it is given up; each but the last has made
/// at least one look-up.
const ROUNDS_MAX: usize = 40;

impl Authentication {
    /// Checks on behalf of the server called `hostname`, which is also the
    /// authserv-id.
    ///
    /// # Errors
    /// Only if the resolver without name servers, which is never used, cannot be
    /// built.
    pub fn new(resolver: Arc<dyn Resolve>, hostname: &str) -> Result<Self, String> {
        let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
        let mail_auth =
            MessageAuthenticator::new(nobody, ResolverOpts::default()).map_err(|error| error.to_string())?;
        Ok(Self { lookup: Lookup::new(resolver), mail_auth, hostname: hostname.into() })
    }

    /// Checks one message.
    pub async fn check(&self, arrival: Arrival<'_>) -> Verdict {
        let (spf, spf_domain) = self.spf(&arrival).await;
        let spf_output = SpfOutput::new(spf_domain.clone()).with_result(spf);
        let results = AuthenticationResults::new(&self.hostname);
        let results = match arrival.from {
            Path::Address(from) => results.with_spf_mailfrom_result(
                &spf_output,
                arrival.client,
                &from.to_string(),
                arrival.hello,
            ),
            Path::Null | Path::Postmaster => {
                results.with_spf_ehlo_result(&spf_output, arrival.client, arrival.hello)
            }
        };
        let Some(message) = AuthenticatedMessage::parse(arrival.message) else {
            let field = results.to_header().into_bytes();
            return Verdict {
                disposition: Disposition::Deliver,
                field,
                summary: format!("spf={}", spf_word(spf)),
            };
        };
        let cache = TxtCache::default();
        let dkim = self.dkim(&message, &cache).await;
        let dmarc = self.dmarc(&message, &dkim, &spf_domain, &spf_output, &cache).await;
        let author = dmarc.domain().to_owned();
        let mut results = results.with_dkim_results(&dkim, &author);
        let mut summary = format!("spf={} dkim={}", spf_word(spf), dkim_word(&dkim));
        let mut disposition = Disposition::Deliver;
        if dmarc.dmarc_record().is_some() || !matches!(dmarc.result(), DmarcResult::None) {
            results = results.with_dmarc_result(&dmarc);
            let word = match dmarc.result() {
                DmarcResult::Pass => "pass",
                DmarcResult::Fail(_) => "fail",
                DmarcResult::TempError(_) => "temperror",
                DmarcResult::PermError(_) => "permerror",
                DmarcResult::None => "none",
            };
            summary = format!("{summary} dmarc={word}");
            disposition = match (dmarc.result(), dmarc.policy()) {
                (DmarcResult::TempError(_), _) => Disposition::Defer,
                (DmarcResult::Fail(_) | DmarcResult::None, Policy::Reject) => {
                    Disposition::Reject { domain: author }
                }
                (DmarcResult::Fail(_) | DmarcResult::None, Policy::Quarantine) => Disposition::Quarantine,
                _ => Disposition::Deliver,
            };
        }
        Verdict { disposition, field: results.to_header().into_bytes(), summary }
    }

    /// SPF of the reverse-path, or of HELO where there is none (RFC 7208 section
    /// 2.4).
    async fn spf(&self, arrival: &Arrival<'_>) -> (SpfResult, String) {
        let (domain, sender) = match arrival.from {
            Path::Address(from) => match from.domain() {
                Domain::Name(name) => (name.clone(), format!("{}@{name}", from.local())),
                Domain::Literal(_) => return (SpfResult::None, from.domain().to_string()),
            },
            Path::Null | Path::Postmaster => {
                let hello = arrival.hello.trim_end_matches('.').to_lowercase();
                (hello.clone(), format!("postmaster@{hello}"))
            }
        };
        let check = SpfCheck::new(&self.lookup, arrival.client, &sender, arrival.hello, &self.hostname);
        (check.run(&domain).await, domain)
    }

    async fn dkim<'x>(
        &self,
        message: &'x AuthenticatedMessage<'x>,
        cache: &'x TxtCache,
    ) -> Vec<DkimOutput<'x>> {
        let mut output = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let evaluation: Evaluation<'x, _> = Parameters::new(message).with_txt_cache(cache);
            output = self.mail_auth.verify_dkim(evaluation).await;
            if !cache.fill(&self.lookup).await {
                break;
            }
        }
        output
    }

    async fn dmarc<'x>(
        &self,
        message: &'x AuthenticatedMessage<'x>,
        dkim: &'x [DkimOutput<'x>],
        spf_domain: &'x str,
        spf: &'x SpfOutput,
        cache: &'x TxtCache,
    ) -> DmarcOutput {
        let mut output = DmarcOutput::default();
        for _ in 0..ROUNDS_MAX {
            let parameters = DmarcParameters::new(message, dkim, spf_domain, spf);
            let evaluation: Evaluation<'x, _> = Parameters::new(parameters).with_txt_cache(cache);
            output = self.mail_auth.verify_dmarc(evaluation).await;
            if !cache.fill(&self.lookup).await {
                break;
            }
        }
        output
    }
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authentication({})", self.hostname)
    }
}

fn spf_word(result: SpfResult) -> &'static str {
    match result {
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::Neutral => "neutral",
        SpfResult::TempError => "temperror",
        SpfResult::PermError => "permerror",
        SpfResult::None => "none",
    }
}

fn dkim_word(outputs: &[DkimOutput<'_>]) -> &'static str {
    if outputs.iter().any(|output| *output.result() == DkimResult::Pass) {
        return "pass";
    }
    match outputs.first().map(DkimOutput::result) {
        None | Some(DkimResult::None | DkimResult::Pass) => "none",
        Some(DkimResult::Neutral(_)) => "neutral",
        Some(DkimResult::Fail(_)) => "fail",
        Some(DkimResult::PermError(_)) => "permerror",
        Some(DkimResult::TempError(_)) => "temperror",
    }
}
