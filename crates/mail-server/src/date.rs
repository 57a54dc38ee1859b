//! Times as mail writes them.

use mail_parser::DateTime;
use std::time::{SystemTime, UNIX_EPOCH};

/// A time as in a Date field (RFC 5322 section 3.3), in UTC.
pub(crate) fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DateTime::from_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX)).to_rfc822()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates() {
        assert_eq!(date(UNIX_EPOCH + Duration::from_hours(498_706)), "Sun, 22 Nov 2026 10:00:00 +0000");
    }
}
