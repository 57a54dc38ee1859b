//! A scenario as it is told: steps in words, every message as an arrow, and
//! checks that decide how it ends.

use crate::ladder::Arrow;
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long the wire must be silent before a step counts as told.
const QUIET: Duration = Duration::from_millis(60);

/// One line of `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Scenario { name: &'a str, seed: u64 },
    Step { number: usize, text: &'a str },
    Arrow(&'a Arrow),
    Check { text: &'a str, holds: bool },
    Figure { name: &'a str, value: serde_json::Value },
    End { passed: bool, checks: usize, failed: usize, seconds: f64 },
}

/// How a scenario is told.
#[derive(Debug, Clone, Copy)]
pub struct Telling {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// The terminal's width in columns.
    pub width: usize,
    /// Prints a line.
    pub line: fn(&str),
    /// Draws lines in the place of those drawn before, where there is a terminal.
    pub draw: fn(&str),
}

/// Tells one scenario.
#[derive(Debug)]
pub struct Story {
    telling: Telling,
    arrows: mpsc::Receiver<Arrow>,
    /// What of the wire belongs into this story.
    interesting: fn(&Arrow) -> bool,
    began: Instant,
    steps: usize,
    checks: usize,
    failed: usize,
    /// The arrows of the current step, for its checks.
    recent: Vec<Arrow>,
}

impl Story {
    /// Begins the story.
    pub fn begin(
        name: &str,
        seed: u64,
        telling: Telling,
        arrows: mpsc::Receiver<Arrow>,
        interesting: fn(&Arrow) -> bool,
    ) -> Self {
        let story = Self {
            telling,
            arrows,
            interesting,
            began: Instant::now(),
            steps: 0,
            checks: 0,
            failed: 0,
            recent: Vec::new(),
        };
        story.print(&Line::Scenario { name, seed }, || format!("{name} (seed {seed})"));
        story
    }

    /// Begins a step: what is about to happen, in words. Messages of the start of
    /// the hosts, before the first step, are not part of the story.
    pub async fn step(&mut self, text: &str) {
        if self.steps == 0 {
            while self.arrows.try_recv().is_ok() {}
        } else {
            self.settle().await;
        }
        self.recent.clear();
        self.steps += 1;
        let number = self.steps;
        self.print(&Line::Step { number, text }, || format!("\n{number}. {text}"));
    }

    /// Draws what happened since, until the wire is quiet.
    pub async fn settle(&mut self) {
        for arrow in self.gather().await {
            self.draw(arrow);
        }
    }

    /// Takes what happened since, until the wire is quiet, without drawing it.
    pub async fn gather(&mut self) -> Vec<Arrow> {
        let mut gathered = Vec::new();
        while let Ok(Some(arrow)) = tokio::time::timeout(QUIET, self.arrows.recv()).await {
            if (self.interesting)(&arrow) {
                gathered.push(arrow);
            }
        }
        gathered
    }

    /// Draws an arrow as part of the current step.
    pub fn draw(&mut self, arrow: Arrow) {
        self.print(&Line::Arrow(&arrow), || arrow.line(self.telling.width));
        self.recent.push(arrow);
    }

    /// Adds words to the current step.
    pub fn say(&self, text: &str) {
        if !self.telling.json {
            (self.telling.line)(&format!("   {text}"));
        }
    }

    /// Adds a figure, or a row of figures, to the current step: words for people, the
    /// value for programs.
    pub fn figure(&self, name: &str, value: impl Serialize, text: &str) {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.print(&Line::Figure { name, value }, || format!("   {text}"));
    }

    /// Adds lines of a picture to the current step, for people only.
    pub fn show(&self, picture: &str) {
        if !self.telling.json {
            for line in picture.lines() {
                (self.telling.line)(&format!("   {line}"));
            }
        }
    }

    /// Draws a picture that changes, where people look at a terminal.
    pub fn draw_live(&self, picture: &str) {
        if !self.telling.json {
            (self.telling.draw)(picture);
        }
    }

    /// The messages of the current step so far.
    pub fn messages(&self) -> &[Arrow] {
        &self.recent
    }

    /// Checks that something holds; the story ends well only if all checks do.
    pub fn check(&mut self, text: &str, holds: bool) {
        self.checks += 1;
        if !holds {
            self.failed += 1;
        }
        self.print(&Line::Check { text, holds }, || {
            format!("   {} {text}", if holds { "✓" } else { "✗ NOT:" })
        });
    }

    /// Ends the story, which was told as a `whole` or broke off. Returns whether
    /// it was whole and all checks held.
    pub async fn end(mut self, whole: bool) -> bool {
        self.settle().await;
        let (checks, failed) = (self.checks, self.failed);
        // A story without checks would prove nothing.
        let passed = whole && failed == 0 && checks > 0;
        let seconds = self.began.elapsed().as_secs_f64();
        self.print(&Line::End { passed, checks, failed, seconds }, || {
            let verdict = match (whole, passed) {
                (false, _) => "the story broke off",
                (true, true) => "all as it should be",
                (true, false) => "something is wrong",
            };
            format!("\n{verdict}: {} of {checks} checks hold, {seconds:.1} s", checks - failed)
        });
        passed
    }

    fn print(&self, line: &Line<'_>, text: impl FnOnce() -> String) {
        let line = if self.telling.json { serde_json::to_string(line).unwrap_or_default() } else { text() };
        (self.telling.line)(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    thread_local! {
        static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    /// A story with one check that holds; its last line, and what came of it.
    async fn ended(whole: bool, json: bool) -> (String, bool) {
        let line = |line: &str| TOLD.with_borrow_mut(|told| told.push(line.to_owned()));
        let (_arrows, none) = mpsc::channel(1);
        let mut story =
            Story::begin("test", 1, Telling { json, width: 80, line, draw: |_| {} }, none, |_| true);
        story.check("one is one", true);
        let passed = story.end(whole).await;
        (TOLD.take().pop().unwrap_or_default(), passed)
    }

    #[tokio::test]
    async fn only_a_whole_story_ends_well() {
        let (line, passed) = ended(true, false).await;
        assert!(passed && line.starts_with("\nall as it should be: 1 of 1 checks hold"), "{line}");
        let (line, passed) = ended(false, false).await;
        assert!(!passed && line.starts_with("\nthe story broke off: 1 of 1 checks hold"), "{line}");
        let (line, passed) = ended(false, true).await;
        assert!(!passed && line.contains("\"passed\":false"), "{line}");
    }
}
