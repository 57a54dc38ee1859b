//! A picture in the terminal that is drawn again in its place.

use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

/// How often the picture changes at most.
const FRAME: Duration = Duration::from_millis(100);

/// Whether the terminal goes on below with lines that are too long (DECAWM).
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// A picture on standard error that is drawn again in its place; nothing where
/// that is no terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    lines: usize,
    drawn: Option<Instant>,
}

impl Screen {
    pub(crate) const fn new() -> Self {
        Self { lines: 0, drawn: None }
    }

    /// Whether there is a terminal to draw on.
    pub(crate) fn is_there() -> bool {
        std::io::stderr().is_terminal()
    }

    /// Draws `picture` in the place of the one before.
    pub(crate) fn draw(&mut self, picture: impl FnOnce() -> String) {
        if !Self::is_there() || self.drawn.is_some_and(|drawn| drawn.elapsed() < FRAME) {
            return;
        }
        let picture = picture();
        let mut out = self.erase();
        // What is too long for the terminal is cut off: a line that went on below would
        // not be taken away.
        out.push_str(NO_WRAP);
        out.push_str(&picture);
        out.push_str(WRAP);
        self.lines = picture.matches('\n').count();
        self.drawn = Some(Instant::now());
        // A terminal that is gone is nobody's loss.
        let _ = std::io::stderr().write_all(out.as_bytes());
    }

    /// Takes the picture away.
    pub(crate) fn clear(&mut self) {
        if self.drawn.is_some() {
            let out = self.erase();
            let _ = std::io::stderr().write_all(out.as_bytes());
            (self.lines, self.drawn) = (0, None);
        }
    }

    fn erase(&self) -> String {
        if self.drawn.is_none() {
            return String::new();
        }
        match self.lines {
            0 => "\r\x1b[J".to_owned(),
            lines => format!("\x1b[{lines}A\r\x1b[J"),
        }
    }
}
