//! `utopia up`: runs the domain until it is told to stop.

use crate::out::{self, Data};
use crate::{logging, status};
use event::metrics::Metrics;
use event::{Detail, Stream};
use host::{Configuration, Host, HostError, Inherited, Provisioned, Setup};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long what was promised may take to finish.
const FINISH_PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
#[command(after_help = "Example:\n  utopia up --data utopia-data")]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: Data,
    /// The configuration; `utopia.toml` in the data folder unless given.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    logging::start("info");
    match up(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => out::failed(&error.to_string()),
    }
}

async fn up(arguments: &Arguments) -> Result<(), HostError> {
    let folder = arguments.data.folder();
    let file = arguments.config.clone().unwrap_or_else(|| host::configuration_file(folder));
    // Signals are caught before anything runs, so that none is lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let provisioned = if arguments.config.is_none() && !file.exists() {
        Some(host::provision_loopback(folder).await?)
    } else {
        None
    };
    let configuration = Configuration::read(&file)?;

    let stream = Stream::new();
    let metrics = Arc::new(Metrics::new());
    stream.observe(metrics.clone());
    stream.observe(Arc::new(event::log::Log::new(log_detail())));
    let host = Host::start(Setup {
        name: configuration.domain.clone(),
        folder: folder.to_owned(),
        configuration,
        network: net::Network::new(),
        stream,
        metrics,
        inherited: Inherited::from_environment(),
    })
    .await?;
    host::notify_ready();
    print!("{}", told(&host, folder, provisioned.as_ref()));

    loop {
        tokio::select! {
            _ = hangup.recv() => reload(&host, &file).await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = host.reload_requested() => reload(&host, &file).await,
        }
    }
    eprintln!("utopia: finishing what was promised, at most {} s", FINISH_PATIENCE.as_secs());
    host::notify_stopping();
    let stop = host.stop(FINISH_PATIENCE);
    tokio::select! {
        finished = stop => if !finished {
            eprintln!("utopia: not everything could be finished in time; what waits is in the queue");
        },
        // A second signal means now.
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
