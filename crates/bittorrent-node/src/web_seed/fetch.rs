//! Getting one run of blocks after the other over one connection.

use super::filler::Filler;
use super::line::Line;
use super::{Desk, Ended};
use crate::swarm::Swarm;
use bittorrent::metainfo::Info;
use bittorrent::torrent::Octets;
use bittorrent::web_seed::{Request, Step, plan};

/// Gets runs of blocks.
pub(super) struct Fetcher<'a> {
    swarm: &'a Swarm,
    desk: &'a Desk,
    info: &'a Info,
    line: Line<'a>,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(swarm: &'a Swarm, desk: &'a Desk, info: &'a Info) -> Self {
        Self { swarm, desk, info, line: Line::new(swarm, desk) }
    }

    /// Gets blocks and hands them over.
    ///
    /// # Errors
    /// When the web seed is of no use, or not now.
    pub(super) async fn fetch(&mut self, blocks: &[Octets]) -> Result<(), Ended> {
        let steps = plan(&self.desk.seed, self.info.layout(), self.info.hashes().v1.as_ref(), blocks);
        if steps.is_empty() {
            let why = "it serves pieces of v1 only, and the torrent has none".to_owned();
            return Err(Ended::Lacks { file: None, why });
        }
        let mut filler = Filler::new(self.swarm, self.desk, blocks);
        for step in steps {
            match step {
                Step::Zeros(count) => filler.zeros(count).await,
                Step::Fetch(request) => {
                    if !self.get(&request, &mut filler).await? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Gets the octets of one request. Whether they are all there: when nobody
    /// wants the rest any more, they are not.
    async fn get(&mut self, request: &Request, filler: &mut Filler<'_>) -> Result<bool, Ended> {
        let mut at = request.range.start;
        while at < request.range.end {
            if !filler.is_wanted() {
                self.line.hang_up();
                return Ok(false);
            }
            let octets = self.line.read(request, at).await?;
            filler.fill(&octets).await;
            at += octets.len() as u64;
        }
        self.line.finish().await;
        Ok(true)
    }
}
