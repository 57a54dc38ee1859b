//! One question resolved from the root, each step told: what `--trace` shows.

use super::upstream::{Arrival, Upstream};
use dns::ResolveError;
use dns::resolver::{AskerId, Config, Question, Resolver, Response, Step};
use net::Network;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::Instant;

/// Resolves `question` with an empty cache and tells each step.
pub async fn iterate(
    config: Config,
    network: Network,
    question: Question,
    mut on_step: impl FnMut(&Step),
) -> Result<Response, ResolveError> {
    let mut resolver = Resolver::new(config, StdRng::from_rng(&mut rand::rng()));
    resolver.tell_steps(true);
    let mut upstream = Upstream::new(network);
    resolver.handle_question(Instant::now(), question, AskerId(0));
    loop {
        while let Some(exchange) = resolver.poll_closed() {
            upstream.end(exchange);
        }
        while let Some(transmit) = resolver.poll_transmit() {
            upstream.begin(transmit);
        }
        while let Some(step) = resolver.poll_step() {
            on_step(&step);
        }
        if let Some(answer) = resolver.poll_answer() {
            return answer.result;
        }
        let Some(deadline) = resolver.poll_timeout() else { return Err(ResolveError::Stopping) };
        tokio::select! {
            arrival = upstream.arrival() => match arrival {
                Some(Arrival::Message { exchange, from, octets }) => {
                    resolver.handle_message(Instant::now(), exchange, from, &octets);
                }
                Some(Arrival::Unreachable { exchange }) => {
                    resolver.handle_unreachable(Instant::now(), exchange);
                }
                None => return Err(ResolveError::Stopping),
            },
            () = tokio::time::sleep_until(deadline.into()) => resolver.handle_timeout(Instant::now()),
        }
    }
}
