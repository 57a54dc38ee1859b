//! `utopia up`: runs the domain until it is told to stop.

use crate::out::{self, Data};
use crate::{capture, logging, status};
use event::metrics::Metrics;
use event::{Detail, Stream};
use host::{Configuration, Host, HostError, Provisioned, Setup};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long what was promised may take to finish.
const FINISH_PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  utopia up\n  utopia up --data second --address 127.0.0.2\n\n\
    While it runs, `utopia reload` or SIGHUP makes it read its configuration again, without dropping a connection; \
    SIGTERM or Ctrl-C ends it.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: Data,
    /// The configuration; without it `utopia.toml` in the data folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The loopback address that the first start sets the domain up on, so that several
    /// domains live side by side; without it 127.0.0.1 and ::1
    #[arg(long, value_name = "IP", conflicts_with = "config")]
    address: Option<IpAddr>,
    /// Write everything on the wire to a file for Wireshark, TLS as ciphertext
    #[arg(long, value_name = "FILE.pcapng")]
    capture: Option<PathBuf>,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    logging::start("info");
    if let Some(address) = arguments.address.filter(|address| !address.is_loopback()) {
        return out::misused(&format!(
            "{address} is no loopback address; `utopia init DOMAIN --address {address}` sets a public domain up"
        ));
    }
    match Box::pin(up(&arguments)).await {
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
        Some(host::provision_loopback(folder, arguments.address).await?)
    } else if let Some(address) = arguments.address {
        return Err(HostError::Refused(format!(
            "the domain is set up already; to move it to {address}, change the addresses in {} and in its zone",
            file.display()
        )));
    } else {
        None
    };
    let configuration = Configuration::read(&file)?;

    let mut network = net::Network::new().inheriting(net::Inherited::from_environment());
    let capture = arguments.capture.as_deref().map(capture::begin).transpose().map_err(HostError::Refused)?;
    if let Some(capture) = &capture {
        network = network.with(capture.interface(&configuration.domain)?);
    }
    let stream = Stream::new();
    let metrics = Arc::new(Metrics::new());
    stream.observe(metrics.clone());
    stream.observe(Arc::new(event::log::Log::new(log_detail())));
    let host = Host::start(Setup {
        name: configuration.domain.clone(),
        folder: folder.to_owned(),
        configuration,
        network,
        stream,
        metrics,
    })
    .await?;
    host::notify_ready();
    out::announce(&told(&host, folder, provisioned.as_ref()));

    loop {
        tokio::select! {
            _ = hangup.recv() => { let _ = Box::pin(reload(&host, &file)).await; }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            outcome = host.reload_requested() => {
                // Who asked may have gone.
                let _ = outcome.send(Box::pin(reload(&host, &file)).await);
            }
        }
    }
    out::complain(format_args!(
        "utopia: finishing what was promised, at most {} s",
        FINISH_PATIENCE.as_secs()
    ));
    host::notify_stopping();
    let stop = host.stop(FINISH_PATIENCE);
    tokio::select! {
        finished = stop => if !finished {
            out::complain("utopia: not everything could be finished in time; what waits is in the queue");
        },
        // A second signal means now.
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    capture.map_or(Ok(()), |capture| Ok(capture.flush()?))
}

/// Reads the configuration again; what is wrong is said, and the old one stays.
/// Returns what else a person should know.
async fn reload(host: &Host, file: &Path) -> Result<Vec<String>, String> {
    host::notify_reloading();
    let reloaded = match Configuration::read(file) {
        Ok(configuration) => Box::pin(host.reload(configuration)).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let reloaded = reloaded.map_err(|error| format!("the configuration stays as it was: {error}"));
    if let Err(reason) = &reloaded {
        out::complain(format_args!("utopia: {reason}"));
    }
    host::notify_ready();
    reloaded
}

/// Single messages are logged only where the log asks for them.
fn log_detail() -> Detail {
    if tracing::enabled!(tracing::Level::DEBUG) { Detail::Message } else { Detail::Summary }
}

/// What a person wants to know when all is up.
fn told(host: &Host, folder: &Path, provisioned: Option<&Provisioned>) -> String {
    use std::fmt::Write;
    let shown = host.status();
    let mut out =
        format!("\n{} is up.\n\n{}", shown.domain.as_deref().unwrap_or_default(), status::table(&shown));
    if let Some(provisioned) = provisioned {
        if !provisioned.moved.is_empty() {
            let moved: Vec<_> = provisioned
                .moved
                .iter()
                .map(|(service, standard, chosen)| format!("{service} {chosen} instead of {standard}"))
                .collect();
            let _ = write!(out, "\nStandard ports that could not be had: {}.\n", moved.join(", "));
        }
        out.push_str("\nUsers, told this once:\n");
        for (address, password) in &provisioned.users {
            let _ = writeln!(out, "  {address}  {password}");
        }
    }
    out.push_str("\nTry it:\n");
    for line in &shown.try_lines {
        let _ = writeln!(out, "  {}\n    {}", line.what, line.line);
    }
    let _ = writeln!(
        out,
        "\nConfiguration: {}. Certificates are signed by {}.\nStop with Ctrl-C.\n",
        host::configuration_file(folder).display(),
        host::ca_file(folder).display()
    );
    out
}
