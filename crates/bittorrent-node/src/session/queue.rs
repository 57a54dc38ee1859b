//! Which torrents run: so many that download and so many that seed, in the order
//! of the queue.

use super::settings::SessionSettings;

/// A torrent as the queue sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) id: i64,
    pub(crate) position: usize,
    /// All that is wanted is here.
    pub(crate) complete: bool,
    /// Told to run whatever the queue says; it takes a place all the same.
    pub(crate) forced: bool,
    /// It runs, and has done nothing for long: it takes no place.
    pub(crate) stalled: bool,
    /// It runs now.
    pub(crate) runs: bool,
}

/// Those that are to run, out of those that were not told to stop. Who runs goes on,
/// whatever its position: a torrent is not stopped for another one, as users of
/// Transmission know it.
pub(crate) fn running(settings: &SessionSettings, torrents: &[Queued]) -> Vec<i64> {
    let mut chosen = Vec::new();
    for complete in [false, true] {
        let (enabled, size) = if complete {
            (settings.seed_queue_enabled, settings.seed_queue_size)
        } else {
            (settings.download_queue_enabled, settings.download_queue_size)
        };
        let mut places = if enabled { size } else { usize::MAX };
        let mut those: Vec<&Queued> = torrents.iter().filter(|one| one.complete == complete).collect();
        those.sort_by_key(|one| (!one.forced, !one.runs, one.position, one.id));
        for one in those {
            let free = one.runs && one.stalled && settings.queue_stalled_enabled;
            if one.forced || one.runs || places > 0 {
                chosen.push(one.id);
                places -= usize::from(!free && places > 0);
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(id: i64) -> Queued {
        let position = id.unsigned_abs() as usize;
        Queued { id, position, complete: false, forced: false, stalled: false, runs: false }
    }

    #[test]
    fn so_many_run_and_others_wait_in_order() {
        let settings = SessionSettings {
            download_queue_size: 2,
            seed_queue_enabled: true,
            seed_queue_size: 1,
            ..SessionSettings::default()
        };
        let seed = |id| Queued { complete: true, ..queued(id) };
        let all = [queued(3), queued(1), queued(2), seed(9), seed(8)];
        assert_eq!(running(&settings, &all), [1, 2, 8]);
        // Who runs is not stopped for one before it; who does nothing takes no place.
        let runs = |id| Queued { runs: true, ..queued(id) };
        assert_eq!(running(&settings, &[queued(1), runs(2), runs(3)]), [2, 3]);
        let stalled = |id| Queued { stalled: true, ..runs(id) };
        assert_eq!(running(&settings, &[queued(1), runs(2), stalled(3)]), [2, 3, 1]);
        let forced = |id| Queued { forced: true, ..queued(id) };
        assert_eq!(running(&settings, &[runs(1), runs(2), forced(3), queued(4)]), [3, 1, 2]);
        assert_eq!(running(&settings, &[forced(1), forced(2), forced(3)]), [1, 2, 3]);
        let open = SessionSettings { download_queue_enabled: false, ..settings };
        assert_eq!(running(&open, &all).len(), 4);
    }
}
