//! The task of one web seed: its connections, until it ends.

use super::fetch::Fetcher;
use super::{CONNECTIONS_MAX, Desk, Ended};
use crate::swarm::Swarm;
use futures_util::future::{Either, select, select_all};
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

/// Asks a web seed until it is closed or in trouble.
pub(crate) async fn run(swarm: Rc<Swarm>, desk: Rc<Desk>) {
    let connections = (0..CONNECTIONS_MAX).map(|number| Box::pin(work(&swarm, &desk, number)));
    let ended = match select(pin!(desk.closed()), select_all(connections)).await {
        Either::Left(((), _)) => Ended::Ours,
        Either::Right(((Err(ended), ..), _)) => ended,
    };
    swarm.web_seed_ended(Instant::now(), &desk, ended);
}

/// One connection: gets what is asked for, one run after the other.
async fn work(swarm: &Rc<Swarm>, desk: &Desk, number: usize) -> Result<Infallible, Ended> {
    let Some(info) = swarm.info() else { return Err(Ended::Ours) };
    let layout = info.layout();
    let mut fetcher = Fetcher::new(swarm, desk, &info);
    loop {
        if number > 0 && desk.knows_no_ranges.get() {
            // Each further connection would bring the same octets again.
            drop(fetcher);
            desk.stir.notify_one();
            return std::future::pending().await;
        }
        let run = desk.take_run(|last| last.begin + last.octets >= layout.piece_content(last.piece).end);
        if run.is_empty() {
            desk.stir.notified().await;
        } else {
            fetcher.fetch(&run).await?;
        }
    }
}
