//! Looking up the addresses of name servers that came without glue: questions
//! of their own, which other questions wait for.

use super::cut::addresses;
use super::iterate::{Iteration, IterationId};
use super::waiting::Asker;
use super::{Question, Resolver, Response};
use crate::{Name, ResolveError};
use domain::base::iana::Rtype;
use rand_core::Rng;
use std::net::SocketAddr;
use std::time::Instant;

impl<R: Rng> Resolver<R> {
    /// Looks the address of a server up, for `parent`. False when that cannot help.
    pub(super) fn side_quest(&mut self, now: Instant, parent: IterationId, name: Name) -> bool {
        let limits = &self.config.limits;
        let rtype = if self.config.ipv4 { Rtype::A } else { Rtype::AAAA };
        let question = Question { name, rtype };
        if let Some(known) = self.waiting.iteration(&question) {
            let askers_max = limits.askers_per_iteration_max;
            if self.depends(known, parent) || !self.waiting.join(known, Asker::Iteration(parent), askers_max)
            {
                return false;
            }
            if let Some(parent) = self.iterations.get_mut(&parent) {
                parent.waits_for.push(known);
            }
            return true;
        }
        let full = self.iterations.len() >= limits.iterations_max;
        let Some(lender) = self.iterations.get_mut(&parent) else { return false };
        let lent = lender.queries_left / 2;
        if full || lent == 0 || lender.depth >= limits.depth_max {
            lender.failure = Some(lender.limit(if full {
                "iterations_max"
            } else if lent == 0 {
                "queries_max"
            } else {
                "depth_max"
            }));
            return false;
        }
        lender.queries_left -= lent;
        let (depth, deadline) = (lender.depth + 1, lender.deadline);
        let mut iteration = Iteration::new(question, now, limits);
        iteration.lender = Some(parent);
        iteration.queries_left = lent;
        iteration.depth = depth;
        iteration.deadline = deadline;
        let child = self.begin(iteration, Asker::Iteration(parent));
        if let Some(parent) = self.iterations.get_mut(&parent) {
            parent.waits_for.push(child);
        }
        true
    }

    /// Whether `iteration` waits, itself or through others, for `other`.
    fn depends(&self, iteration: IterationId, other: IterationId) -> bool {
        let mut seen = Vec::new();
        let mut look_at = vec![iteration];
        while let Some(id) = look_at.pop() {
            if id == other {
                return true;
            }
            if !seen.contains(&id) {
                seen.push(id);
                look_at.extend(self.iterations.get(&id).into_iter().flat_map(|i| &i.waits_for));
            }
        }
        false
    }

    /// A side quest is over: its parent goes on.
    pub(super) fn return_from_side_quest(
        &mut self,
        parent: IterationId,
        child: IterationId,
        question: &Question,
        result: &Result<Response, ResolveError>,
    ) {
        let addresses_max = self.config.limits.addresses_per_server_max;
        let Some(iteration) = self.iterations.get_mut(&parent) else { return };
        iteration.waits_for.retain(|waited| *waited != child);
        match result {
            Ok(response) => {
                let found = addresses(&response.answer, None).take(addresses_max);
                let sockets = found.map(|ip| SocketAddr::new(ip, self.config.upstream_port)).collect();
                if let Some(cut) = &mut iteration.cut {
                    cut.learn(&question.name, sockets);
                }
            }
            Err(failure) => iteration.failure = Some(failure.clone()),
        }
        self.ready.push_back(parent);
    }
}
