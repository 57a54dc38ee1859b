//! When the task wakes though nothing came.

use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// An endpoint without any timer looks at the clock this often.
pub(super) const IDLE: Duration = Duration::from_mins(10);

/// A timer that is only set anew when it must ring earlier than it is set.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    rung: bool,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(IDLE)), rung: false }
    }

    pub(super) fn set(&mut self, at: Instant) {
        let at = tokio::time::Instant::from_std(at);
        if self.rung || at < self.sleep.deadline() {
            self.sleep.as_mut().reset(at);
            self.rung = false;
        }
    }

    pub(super) fn as_mut(&mut self) -> impl Future<Output = ()> + '_ {
        std::future::poll_fn(|context| {
            let polled = self.sleep.as_mut().poll(context);
            self.rung |= polled.is_ready();
            polled
        })
    }
}
