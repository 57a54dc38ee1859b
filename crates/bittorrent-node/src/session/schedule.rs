//! Times of the week with other limits.

/// The minutes of a day.
const DAY_MINUTES: u32 = 24 * 60;

/// A time of the day, on some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// When it begins, in minutes after midnight.
    pub(crate) begin_minutes: u32,
    /// When it ends; before the begin, it is on the next day. The same as the
    /// begin: it lasts the whole day.
    pub(crate) end_minutes: u32,
    /// On which days it begins: 1 is Sunday, 2 Monday, 4 Tuesday and so on.
    pub(crate) days: u8,
}

impl Schedule {
    /// Whether it holds: `day` counts from Sunday, which is 0.
    pub(crate) fn holds(&self, day: u32, minute: u32) -> bool {
        let on = |day: u32| self.days >> (day % 7) & 1 == 1;
        let length = match (self.end_minutes + DAY_MINUTES - self.begin_minutes % DAY_MINUTES) % DAY_MINUTES {
            0 => DAY_MINUTES,
            length => length,
        };
        let since_today = minute.checked_sub(self.begin_minutes).is_some_and(|since| since < length);
        let since_yesterday = (minute + DAY_MINUTES).checked_sub(self.begin_minutes);
        (on(day) && since_today) || (on(day + 6) && since_yesterday.is_some_and(|since| since < length))
    }
}

/// The day of the week from Sunday, which is 0, and the minute of the day, where
/// this machine is.
pub(crate) fn now() -> (u32, u32) {
    let now = jiff::Zoned::now();
    let day = now.weekday().to_sunday_zero_offset().unsigned_abs();
    (day.into(), u32::from(now.hour().unsigned_abs()) * 60 + u32::from(now.minute().unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_between_begin_and_end_on_its_days() {
        let working = Schedule { begin_minutes: 540, end_minutes: 1020, days: 0b0011_1110 };
        assert!(working.holds(1, 540) && working.holds(5, 1019));
        assert!(!working.holds(1, 539) && !working.holds(1, 1020) && !working.holds(0, 600));
    }

    #[test]
    fn a_night_that_begins_on_friday_ends_on_saturday() {
        let night = Schedule { begin_minutes: 1380, end_minutes: 360, days: 1 << 5 };
        assert!(night.holds(5, 1380) && night.holds(5, 1439) && night.holds(6, 0) && night.holds(6, 359));
        assert!(!night.holds(5, 0) && !night.holds(6, 360) && !night.holds(6, 1400));
        // The week goes round.
        let saturday = Schedule { days: 1 << 6, ..night };
        assert!(saturday.holds(0, 100) && !saturday.holds(0, 1400));
        let whole = Schedule { begin_minutes: 60, end_minutes: 60, days: 1 };
        assert!(whole.holds(0, 60) && whole.holds(0, 1439) && whole.holds(1, 59) && !whole.holds(1, 60));
        let (day, minute) = now();
        assert!(day < 7 && minute < DAY_MINUTES);
    }
}
