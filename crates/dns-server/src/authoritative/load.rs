//! Zones from their master files and from storage, for the start and for every
//! new configuration.

use super::ServerError;
use super::config::Config;
use super::keeper::Loaded;
use super::settings::{Settings, ZoneSettings};
use super::store::{self, Stored};
use dns::master::{self, Finding};
use dns::zone::{Soa, Zone, key};
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
        return Ok(Loaded { settings, zone, head, file_hash: 0, notes: Vec::new() });
    }
    let (text, place) = text(&settings)?;
    // A fixed seed: the hash is compared with one from another run.
    let file_hash = text.as_ref().map_or(0, |text| key::hash(0, text.as_bytes()).max(1));
    let (text, stored) = match (text, stored) {
        (_, Some(Stored { zone, head })) if head.file_hash == file_hash => {
            let (zone, head, notes) = (Some(Arc::new(zone)), Some(head), Vec::new());
            return Ok(Loaded { settings, zone, head, file_hash, notes });
        }
        (Some(text), stored) => (text, stored),
        (None, Some(Stored { zone, head })) => {
            let notes =
                vec![format!("zone {}: {place} is gone; the stored zone is served", settings.config.name)];
            let (file_hash, zone, head) = (head.file_hash, Some(Arc::new(zone)), Some(head));
            return Ok(Loaded { settings, zone, head, file_hash, notes });
        }
        (None, None) => return Err(no_text(&settings, &place)),
    };
    let (of, at) = (settings.clone(), place.clone());
    let read = tokio::task::spawn_blocking(move || parse(&of, &text, &at, seed)).await;
    let (zone, warnings) = read.map_err(|failed| error(failed.to_string()))??;
    let mut notes: Vec<_> = warnings.iter().map(|warning| warning.in_file(&place)).collect();
    match stored {
        Some(Stored { zone: stored, head }) if !store::file_is_newer(zone.soa(), stored.soa()) => {
            notes.push(ignored(&settings, zone.soa(), stored.soa()));
            let file_hash = head.file_hash;
            Ok(Loaded { settings, zone: Some(Arc::new(stored)), head: Some(head), file_hash, notes })
        }
        stored => {
            let head = stored.map(|stored| stored.head.outdated());
            Ok(Loaded { settings, zone: Some(Arc::new(zone)), head, file_hash, notes })
        }
    }
}

/// Where a zone is read from, for a person.
fn place(settings: &ZoneSettings) -> String {
    match (&settings.config.text, &settings.config.file) {
        (None, Some(file)) => file.display().to_string(),
        _ => "its text".to_owned(),
    }
}

/// Says that a zone's edited file is not served, for its serial.
pub(super) fn ignored(settings: &ZoneSettings, file: Soa, served: Soa) -> String {
    format!(
        "zone {}: {} was edited, but is not served: its serial {} is not newer than {}, which is served; \
         raise the serial, after taking over what updates have changed",
        settings.config.name,
        place(settings),
        file.serial,
        served.serial,
    )
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
    let text = match (&settings.config.text, &settings.config.file) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(file)) => storage::files::read_text(file, master::FILE_OCTETS_MAX as u64)?,
        (None, None) => None,
    };
    Ok((text, place(settings)))
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
