//! How much of what peers are sent may be under way over TCP: as little as keeps
//! the uplink full.
//!
//! TCP fills whatever queue there is before an uplink; in a modem that is a
//! fifth of a second or more. All that is said then comes so much later, to peers
//! who wait for a piece or for an answer, and whoever came first with a large
//! window keeps the others small. So blocks are held back while those of all
//! connections that are not acknowledged would last longer than a short span.
//! Where that leaves the uplink less than full the span grows.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often it is looked how much goes out.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// The same after nothing was under way: a quick link is soon found out.
const FIRST_LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Seconds over which what goes out is averaged. What is acknowledged is seen in
/// batches: over a shorter time the most of it would be a batch, not the uplink's
/// rate. A link that carries more than was known shows in the quick average first.
const STEADY_SECONDS: f64 = 2.0;
const QUICK_SECONDS: f64 = 0.5;
/// Seconds in which the most that went out is forgotten to a half; and where even
/// the longest span does not bring it back: the uplink carries less than it did.
const FORGET_SECONDS: f64 = 60.0;
const FORGET_LESS_SECONDS: f64 = 5.0;
/// What may be missing of the most in a full uplink: the average is not steady.
const MISSING: f64 = 0.03;
/// How long what is under way lasts, beyond the round trip, at first and at least,
/// and at most, in seconds.
const SPAN_MIN: f64 = 0.1;
const SPAN_MAX: f64 = 1.0;
/// How much the span grows in a look for each part that is missing, or shrinks.
const GAIN: f64 = 0.5;
/// Every so many looks, some let more under way, to find out whether the uplink
/// carries more than it did: for long enough that the average shows it.
const PROBE_EVERY: u32 = 100;
const PROBE_LOOKS: u32 = 40;
const PROBE: f64 = 1.5;
/// Octets of all connections that may be under way in any case.
const ALL_OCTETS_MIN: u64 = 32 * 1024;
/// A connection that has less under way may have a block more in any case.
const OWN_OCTETS_MIN: u64 = 4 * 1024;
/// Octets a second from which on no queue is of account, and nothing is held back.
const FAST: f64 = 25e6;
/// How soon a connection that was held back looks again.
pub(crate) const HELD_SPAN: Duration = Duration::from_millis(5);
/// How often a connection with nothing to write tells what was acknowledged: what
/// it has under way counts against all others until it does.
pub(crate) const TELL_SPAN: Duration = Duration::from_millis(25);

/// What all connections have under way.
#[derive(Debug)]
pub(crate) struct Uplink {
    octets: Cell<u64>,
    law: RefCell<Law>,
}

/// What one connection has under way.
#[derive(Debug)]
pub(crate) struct Share {
    uplink: Rc<Uplink>,
    octets: u64,
    /// Written since it was looked last.
    written: u64,
    looked: Instant,
}

#[derive(Debug)]
struct Law {
    looked: Instant,
    looks: u32,
    /// When it is looked next.
    interval: Duration,
    /// Octets that were acknowledged since.
    acknowledged: u64,
    /// Octets a second since the look before, averaged over a short and over a longer
    /// time, and the most of the latter.
    last: f64,
    quick: f64,
    rate: f64,
    most: f64,
    span: f64,
    /// Something was held back since.
    held: bool,
}

impl Uplink {
    pub(crate) fn new(now: Instant) -> Rc<Self> {
        let law = Law {
            looked: now,
            looks: 0,
            interval: FIRST_LOOK_INTERVAL,
            acknowledged: 0,
            last: 0.0,
            quick: 0.0,
            rate: 0.0,
            most: 0.0,
            span: SPAN_MIN,
            held: false,
        };
        Rc::new(Self { octets: Cell::new(0), law: RefCell::new(law) })
    }

    /// A connection joins.
    pub(crate) fn share(self: &Rc<Self>, now: Instant) -> Share {
        Share { uplink: self.clone(), octets: 0, written: 0, looked: now }
    }
}

impl Law {
    /// Nothing was under way: what follows has nothing to do with what was.
    fn begin(&mut self, now: Instant) {
        (self.looked, self.acknowledged, self.interval) = (now, 0, FIRST_LOOK_INTERVAL);
    }

    fn look(&mut self, now: Instant) {
        let span = now.saturating_duration_since(self.looked);
        if span < self.interval {
            return;
        }
        self.interval = LOOK_INTERVAL;
        let seconds = span.as_secs_f64();
        self.last = self.acknowledged as f64 / seconds;
        (self.looked, self.acknowledged) = (now, 0);
        self.looks = self.looks.wrapping_add(1);
        let weight = |average: f64| 1.0 - (-seconds / average).exp();
        self.quick += weight(QUICK_SECONDS) * (self.last - self.quick);
        self.rate += weight(STEADY_SECONDS) * (self.last - self.rate);
        let forget = if self.span < SPAN_MAX { FORGET_SECONDS } else { FORGET_LESS_SECONDS };
        self.most = (self.most * 0.5_f64.powf(seconds / forget)).max(self.rate);
        // Where nothing was held back, nothing that is missing would have been sent.
        let missing = if self.held { 1.0 - self.rate / self.most.max(1.0) } else { 0.0 };
        self.span = (self.span * (1.0 + GAIN * (missing - MISSING))).clamp(SPAN_MIN, SPAN_MAX);
        self.held = false;
    }

    fn is_fast(&self) -> bool {
        self.quick.max(self.last) > FAST
    }

    /// Octets of all that may be under way where the round trip is this one.
    fn octets_max(&self, round_trip: Duration) -> u64 {
        let probe = if self.looks % PROBE_EVERY < PROBE_LOOKS { PROBE } else { 1.0 };
        let octets = self.most.max(self.quick) * (round_trip.as_secs_f64() + self.span) * probe;
        (octets as u64).max(ALL_OCTETS_MIN)
    }
}

impl Share {
    /// Octets were written to the connection.
    pub(crate) fn note_written(&mut self, octets: u64) {
        self.written += octets;
    }

    /// Whether a block may follow now. `under_way` says what the connection has
    /// not acknowledged, and its shortest round trip; `None` where that cannot be
    /// found out. It is not asked where the uplink is fast.
    pub(crate) fn may_write(
        &mut self,
        now: Instant,
        under_way: impl FnOnce() -> Option<(u64, Duration)>,
    ) -> bool {
        let Some(round_trip) = self.look(now, under_way) else { return true };
        let mut law = self.uplink.law.borrow_mut();
        let may = self.octets < OWN_OCTETS_MIN || self.uplink.octets.get() < law.octets_max(round_trip);
        law.held |= !may;
        may
    }

    /// To be called while there is nothing to write. Whether to call it again in
    /// [`TELL_SPAN`]: something is under way, and of account.
    pub(crate) fn tell(&mut self, now: Instant, under_way: impl FnOnce() -> Option<(u64, Duration)>) -> bool {
        if self.uplink.law.borrow().is_fast() {
            return false;
        }
        let is_under_way = self.octets + self.written > 0;
        if is_under_way && now.saturating_duration_since(self.looked) >= TELL_SPAN {
            self.look(now, under_way);
        }
        self.octets + self.written > 0
    }

    /// Counts what is under way and what was acknowledged. Gives the round trip,
    /// where what is under way is of account and known.
    fn look(
        &mut self,
        now: Instant,
        under_way: impl FnOnce() -> Option<(u64, Duration)>,
    ) -> Option<Duration> {
        let mut law = self.uplink.law.borrow_mut();
        let seen = if law.is_fast() { None } else { under_way() };
        let (octets, round_trip) = seen.unwrap_or_default();
        let acknowledged = (self.octets + self.written).saturating_sub(octets);
        let before = self.uplink.octets.get() + self.written;
        let all = (self.uplink.octets.get() + octets).saturating_sub(self.octets);
        (self.octets, self.written, self.looked) = (octets, 0, now);
        self.uplink.octets.set(all);
        if before == 0 && seen.is_some() {
            law.begin(now);
        }
        law.acknowledged += acknowledged;
        law.look(now);
        seen.map(|_| round_trip)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.uplink.octets.set(self.uplink.octets.get().saturating_sub(self.octets));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const BLOCK: u64 = 16 * 1024;

    /// Runs connections over an uplink of `rate` octets a second whose queue has no
    /// end, with a round trip beside it; what is acknowledged waits for `late` more in
    /// the other ends' uplinks, of which nothing is known. Gives the rate of the last
    /// two seconds and the longest that an octet waited in the queue in these.
    fn run(
        connections: usize,
        rate: f64,
        round_trip: Duration,
        late: Duration,
        seconds: u64,
    ) -> (f64, Duration) {
        let start = Instant::now();
        let uplink = Uplink::new(start);
        let mut shares: Vec<_> = (0..connections).map(|_| (uplink.share(start), 0_u64)).collect();
        // When blocks are acknowledged, and whose they are.
        let mut queue: VecDeque<(Instant, usize)> = VecDeque::new();
        let (mut free, mut now) = (start, start);
        let (mut sent, mut longest) = (0, Duration::ZERO);
        while now < start + Duration::from_secs(seconds) {
            now += Duration::from_millis(1);
            while queue.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, whose)) = queue.pop_front() else { break };
                shares[whose].1 -= BLOCK;
            }
            for (whose, (share, under_way)) in shares.iter_mut().enumerate() {
                if !share.may_write(now, || Some((*under_way, round_trip))) {
                    continue;
                }
                share.note_written(BLOCK);
                *under_way += BLOCK;
                free = free.max(now) + Duration::from_secs_f64(BLOCK as f64 / rate);
                queue.push_back((free + round_trip + late, whose));
                if now + Duration::from_secs(2) > start + Duration::from_secs(seconds) {
                    sent += BLOCK;
                    longest = longest.max(free - now);
                }
            }
        }
        (sent as f64 / 2.0, longest)
    }

    #[test]
    fn the_uplink_is_full_and_its_queue_short() {
        for (rate, round_trip) in [(1e6, 1), (4e6, 30), (4e6, 200), (2e7, 80)] {
            let (seen, waited) = run(8, rate, Duration::from_millis(round_trip), Duration::ZERO, 30);
            assert!(seen > 0.95 * rate, "{seen} of {rate} at {round_trip} ms");
            // A block of each connection is always under way.
            let least = Duration::from_secs_f64(8.0 * 2.0 * BLOCK as f64 / rate);
            assert!(waited < least + Duration::from_millis(250), "{waited:?} of {rate} at {round_trip} ms");
        }
    }

    #[test]
    fn the_uplink_is_full_though_it_is_acknowledged_late() {
        for (rate, late) in [(5e5, 100), (3.5e6, 150), (2e7, 200)] {
            let millisecond = Duration::from_millis(1);
            let (seen, waited) = run(5, rate, millisecond, millisecond * late, 30);
            assert!(seen > 0.9 * rate, "{seen} of {rate} at {late} ms");
            assert!(waited < Duration::from_millis(500), "{waited:?} of {rate} at {late} ms");
        }
    }

    /// A connection that has nothing more to write keeps none of the others waiting.
    #[test]
    fn what_was_acknowledged_is_told() {
        let now = Instant::now();
        let uplink = Uplink::new(now);
        let (mut one, mut other) = (uplink.share(now), uplink.share(now));
        assert!(!one.tell(now, || None), "nothing is under way");
        let all = || Some((ALL_OCTETS_MIN, Duration::ZERO));
        one.note_written(ALL_OCTETS_MIN);
        assert!(one.tell(now + TELL_SPAN, all) && one.tell(now + TELL_SPAN, || None), "not again so soon");
        let own = || Some((OWN_OCTETS_MIN, Duration::ZERO));
        assert!(!other.may_write(now + TELL_SPAN, own));
        assert!(!one.tell(now + 2 * TELL_SPAN, || Some((0, Duration::ZERO))));
        assert!(other.may_write(now + 2 * TELL_SPAN, own));
    }

    #[test]
    fn who_leaves_has_nothing_under_way() {
        let now = Instant::now();
        let uplink = Uplink::new(now);
        let mut one = uplink.share(now);
        let much = || Some((1 << 20, Duration::ZERO));
        assert!(!one.may_write(now, much), "far too much is under way");
        let mut other = uplink.share(now);
        let some = || Some((OWN_OCTETS_MIN, Duration::ZERO));
        assert!(!other.may_write(now, some), "of all together");
        assert!(other.may_write(now, || Some((0, Duration::ZERO))), "each has its first block");
        drop(one);
        assert!(other.may_write(now, some));
        assert!(other.may_write(now, || None), "where it is not known nothing is held back");
    }
}
