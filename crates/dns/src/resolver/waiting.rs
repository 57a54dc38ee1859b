//! Who waits for which question: one iteration serves all that ask the same.

use super::iterate::IterationId;
use super::{AskerId, Question};
use std::collections::HashMap;

/// Somebody who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A client of the service.
    Client(AskerId),
    /// An iteration that needs a server's address.
    Iteration(IterationId),
    /// The resolver itself, for its cache.
    Cache,
}

/// Questions under way and their askers.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_question: HashMap<Question, IterationId>,
    askers: HashMap<IterationId, Vec<Asker>>,
}

impl Waiting {
    /// The iteration that works on `question`.
    pub(super) fn iteration(&self, question: &Question) -> Option<IterationId> {
        self.by_question.get(question).copied()
    }

    /// An iteration begins for its first asker.
    pub(super) fn begin(&mut self, question: Question, iteration: IterationId, asker: Asker) {
        self.by_question.insert(question, iteration);
        self.askers.insert(iteration, vec![asker]);
    }

    /// One more asker; false when `askers_max` wait already.
    pub(super) fn join(&mut self, iteration: IterationId, asker: Asker, askers_max: usize) -> bool {
        match self.askers.get_mut(&iteration) {
            Some(askers) if askers.len() < askers_max => {
                askers.push(asker);
                true
            }
            _ => false,
        }
    }

    /// The iteration is over: who waited for it.
    pub(super) fn end(&mut self, question: &Question, iteration: IterationId) -> Vec<Asker> {
        self.by_question.remove(question);
        self.askers.remove(&iteration).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.by_question.len()
    }
}
