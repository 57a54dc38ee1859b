//! Zones from their master files and from storage, for the start and for every
//! new configuration.

use super::ServerError;
use super::config::Config;
use super::keeper::Loaded;
use super::settings::{Settings, ZoneSettings};
use super::store::{self, Stored};
use dns::master::{self, Finding};
use dns::zone::{Zone, key};
use std::sync::Arc;
use storage::Storage;

/// Loads all zones of a configuration.
pub(super) async fn load(
    settings: &Settings,
    storage: &Storage,
    seed: u64,
) -> Result<Vec<Loaded>, ServerError> {
    let mut loaded = Vec::with_capacity(settings.zones.len());
    for zone in settings.zones.values() {
        loaded.push(load_zone(zone.clone(), storage, seed).await?);
    }
    Ok(loaded)
}

async fn load_zone(settings: Arc<ZoneSettings>, storage: &Storage, seed: u64) -> Result<Loaded, ServerError> {
    let error = |reason: String| ServerError::Zone { zone: settings.config.name.clone(), reason };
    let stored =
        store::load(storage, &settings.apex, seed).await.map_err(|reason| error(reason.to_string()))?;
    if !settings.is_primary() {
        let (zone, head): (Option<Arc<_>>, _) =
            stored.map(|Stored { zone, head }| (Arc::new(zone), head)).unzip();
        let refreshed = store::refreshed(storage, &settings.key).await?;
        let age = refreshed.map_or(0, |refreshed| super::now_seconds().saturating_sub(refreshed));
        // What has expired is not served, and what is stored of it is replaced.
        let zone = zone.filter(|zone| age < u64::from(zone.soa().expire));
        return Ok(Loaded { settings, zone, head, file_hash: 0 });
    }
    let (text, place) = text(&settings)?;
    // A fixed seed: the hash is compared with one from another run.
    let file_hash = text.as_ref().map_or(0, |text| key::hash(0, text.as_bytes()).max(1));
    let (text, stored) = match (text, stored) {
        (_, Some(Stored { zone, head })) if head.file_hash == file_hash => {
            return Ok(Loaded { zone: Some(Arc::new(zone)), head: Some(head), file_hash, settings });
        }
        (Some(text), stored) => (text, stored),
        (None, Some(Stored { zone, head })) => {
            tracing::warn!(zone = %settings.config.name, "{place} is gone; the stored zone is served");
            let file_hash = head.file_hash;
            return Ok(Loaded { zone: Some(Arc::new(zone)), head: Some(head), file_hash, settings });
        }
        (None, None) => return Err(no_text(&settings, &place)),
    };
    let (of, at) = (settings.clone(), place.clone());
    let read = tokio::task::spawn_blocking(move || parse(&of, &text, &at, seed)).await;
    let (zone, warnings) = read.map_err(|failed| error(failed.to_string()))??;
    for warning in &warnings {
        tracing::warn!("{}", warning.in_file(&place));
    }
    match stored {
        Some(Stored { zone: stored, head }) if !store::file_is_newer(zone.soa(), stored.soa()) => {
            tracing::warn!(
                zone = %settings.config.name,
                "{place} was edited, but its serial {} is not newer than {}, which is served after updates; \
                 take the updates over and raise the serial",
                zone.soa().serial,
                stored.soa().serial,
            );
            let file_hash = head.file_hash;
            Ok(Loaded { zone: Some(Arc::new(stored)), head: Some(head), file_hash, settings })
        }
        stored => {
            let head = stored.map(|stored| stored.head.outdated());
            Ok(Loaded { zone: Some(Arc::new(zone)), head, file_hash, settings })
        }
    }
}

/// Reads all that a configuration names, and keeps nothing: whether a server
/// with an empty storage would take it.
///
/// # Errors
/// What such a server would refuse it with.
pub fn check(config: &Config) -> Result<(), ServerError> {
    let settings = Settings::read(config)?;
    for zone in settings.zones.values().filter(|zone| zone.is_primary()) {
        let (text, place) = text(zone)?;
        parse(zone, &text.ok_or_else(|| no_text(zone, &place))?, &place, 0)?;
    }
    Ok(())
}

/// The text of a primary's master file, if it is there, and where.
fn text(settings: &ZoneSettings) -> Result<(Option<String>, String), ServerError> {
    Ok(match (&settings.config.text, &settings.config.file) {
        (Some(text), _) => (Some(text.clone()), "its text".to_owned()),
        (None, Some(file)) => {
            let text = storage::files::read_text(file, master::FILE_OCTETS_MAX as u64)?;
            (text, file.display().to_string())
        }
        (None, None) => (None, String::new()),
    })
}

fn no_text(settings: &ZoneSettings, place: &str) -> ServerError {
    let reason = format!("there is no file {place}; write the zone there");
    ServerError::Zone { zone: settings.config.name.clone(), reason }
}

fn parse(
    settings: &ZoneSettings,
    text: &str,
    place: &str,
    seed: u64,
) -> Result<(Zone, Vec<Finding>), ServerError> {
    master::load(text, &settings.apex, seed).map_err(|findings| ServerError::Zone {
        zone: settings.config.name.clone(),
        reason: listed(&findings, place),
    })
}

fn listed(findings: &[Finding], place: &str) -> String {
    findings.iter().map(|finding| finding.in_file(place)).collect::<Vec<_>>().join("\n")
}
