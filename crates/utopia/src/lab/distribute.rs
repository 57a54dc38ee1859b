//! `utopia lab distribute`: the lecture's plot, from formulas, simulation and a real run.

use super::{folder, screen, telling};
use crate::{logging, out};
use lab::{Counts, DistributePlan, distribute};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  utopia lab distribute\n  utopia lab distribute --simulation 1,10,30 --json\n  utopia lab distribute --file-size 16777216 --server-uplink 1000000 --uplink 500000"
)]
pub(crate) struct DistributeArguments {
    /// Octets of the file (F), filled up to whole pieces
    #[arg(long, value_name = "OCTETS", default_value_t = 8 * 1024 * 1024)]
    file_size: u64,
    /// Octets a second of the server's uplink (us), which is also the seed's
    #[arg(long, value_name = "OCTETS", default_value_t = 4_000_000)]
    server_uplink: u64,
    /// Octets a second of each peer's uplink (ui)
    #[arg(long, value_name = "OCTETS", default_value_t = 400_000)]
    uplink: u64,
    /// Octets a second of each downlink (dmin); as much as the server's uplink without it
    #[arg(long, value_name = "OCTETS")]
    downlink: Option<u64>,
    /// The N for which the formulas are told, e.g. 1,10,20-30, or none
    #[arg(long, value_name = "LIST", default_value = "1,2,4,8,12,16,20,25,30,35")]
    formula: Counts,
    /// The N for which it is simulated, each at most 200
    #[arg(long, value_name = "LIST", default_value = "1,2,4,8,12,16,20,25,30")]
    simulation: Counts,
    /// The N for which real nodes do it, each at most 40
    #[arg(long, value_name = "LIST", default_value = "1,2,4,8")]
    real: Counts,
    /// Write the lecture's plot
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// The seed of what is random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: DistributeArguments) -> ExitCode {
    logging::start("error");
    // Copies are compared and removed: there is nothing to keep.
    let folder = match folder(None) {
        Ok(folder) => folder,
        Err(reason) => return out::failed(&reason),
    };
    let plan = DistributePlan {
        file_octets: arguments.file_size,
        server_up: arguments.server_uplink,
        peer_up: arguments.uplink,
        down: arguments.downlink.unwrap_or(arguments.server_uplink),
        formula: arguments.formula,
        simulation: arguments.simulation,
        real: arguments.real,
        seed: arguments.seed,
        folder: folder.path().to_owned(),
        svg: arguments.svg,
    };
    let told = Box::pin(distribute(telling(arguments.json), plan, &out::UNREAD)).await;
    screen().clear();
    match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => out::failed(&error.to_string()),
    }
}
