//! Telling systemd how we are (sd_notify); silently nothing elsewhere.

use sd_notify::NotifyState;

/// All services are up.
pub fn notify_ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`notify_ready`] follows.
pub fn notify_reloading() {
    let reloading = [Some(NotifyState::Reloading), NotifyState::monotonic_usec_now().ok()];
    let states: Vec<_> = reloading.into_iter().flatten().collect();
    let _ = sd_notify::notify(&states);
}

/// What was promised is being finished.
pub fn notify_stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}
