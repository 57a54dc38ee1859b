//! Times of the week with other limits.

/// The minutes of a day.
const DAY_MINUTES: u32 = 24 * 60;

use crate::control::Rates;
use std::str::FromStr;

/// The days as they are written, from Sunday.
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A time of the day, on some days of the week: `mon-fri 08:00-18:00`, `sat,sun
/// 22:00-06:00`, or without days, which is each day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// When it begins, in minutes after midnight.
    pub begin_minutes: u32,
    /// When it ends; before the begin, it is on the next day. The same as the
    /// begin: it lasts the whole day.
    pub end_minutes: u32,
    /// On which days it begins: 1 is Sunday, 2 Monday, 4 Tuesday and so on.
    pub days: u8,
}

/// The limits of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedRates {
    /// When they hold.
    pub when: Schedule,
    /// In place of the usual ones.
    pub rates: Rates,
}

impl TimedRates {
    /// The limits that hold now: of the first whose time it is, or the usual ones.
    pub fn now(all: &[Self], usual: Rates) -> Rates {
        let (day, minute) = now();
        all.iter().find(|timed| timed.when.holds(day, minute)).map_or(usual, |timed| timed.rates)
    }
}

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time; write e.g. mon-fri 08:00-18:00, sat,sun 22:00-06:00 or 01:00-07:00")]
pub struct NoSchedule(String);

impl FromStr for Schedule {
    type Err = NoSchedule;

    fn from_str(text: &str) -> Result<Self, NoSchedule> {
        let parse = || {
            let (days, times) = match text.trim().rsplit_once(' ') {
                Some((days, times)) => (parse_days(days)?, times),
                None => (0b0111_1111, text.trim()),
            };
            let (begin, end) = times.split_once('-')?;
            let (begin_minutes, end_minutes) = (parse_minutes(begin)?, parse_minutes(end)?);
            Some(Self { begin_minutes, end_minutes, days })
        };
        parse().ok_or_else(|| NoSchedule(text.to_owned()))
    }
}

/// Days and ranges of days, which may go over the week's end.
fn parse_days(text: &str) -> Option<u8> {
    let number = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name.trim()));
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (number(first)?, number(last)?);
        days |= 1 << day;
        while day != last {
            day = (day + 1) % DAYS.len();
            days |= 1 << day;
        }
    }
    Some(days)
}

fn parse_minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| {
        let are_digits = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| are_digits)
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

impl Schedule {
    /// Whether it holds: `day` counts from Sunday, which is 0.
    pub fn holds(&self, day: u32, minute: u32) -> bool {
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
    fn times_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Schedule>().map_err(|error| error.to_string());
        let working = Schedule { begin_minutes: 480, end_minutes: 1080, days: 0b0011_1110 };
        assert_eq!(read("mon-fri 08:00-18:00"), Ok(working));
        assert_eq!(read(" 08:00-18:00"), Ok(Schedule { days: 0b0111_1111, ..working }));
        assert_eq!(read("Sat,sun 08:00-18:00").expect("a time").days, 0b0100_0001);
        assert_eq!(read("fri-mon 08:00-18:00").expect("a time").days, 0b0110_0011);
        for wrong in ["", "mon", "8-18", "08:00-24:00", "08:60-09:00", "day 08:00-09:00", "+8:00-09:00"] {
            assert!(read(wrong).is_err_and(|error| error.contains("is no time; write")), "{wrong}");
        }
    }

    #[test]
    fn the_first_whose_time_it_is_holds() {
        let usual = Rates { download: Some(1), upload: None };
        let always: Schedule = "00:00-00:00".parse().expect("a time");
        let never = Schedule { days: 0, ..always };
        let timed = |when, upload| TimedRates { when, rates: Rates { download: None, upload } };
        let all = [timed(never, Some(2)), timed(always, Some(3)), timed(always, Some(4))];
        assert_eq!(TimedRates::now(&all, usual).upload, Some(3));
        assert_eq!(TimedRates::now(&all[..1], usual), usual);
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
