//! `utopia lab`: one scenario told step by step, or the whole small Internet
//! kept running for foreign clients.

mod distribute;
mod swarm;

use crate::screen::Screen;
use crate::{capture, logging, out, status};
use clap::ValueEnum;
use lab::{Internet, PASSWORD, Plan, Scenario, Telling, Topology, run as tell};
use net::Capture;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::signal::unix::{SignalKind, signal};

/// Columns when the terminal does not say.
const WIDTH: usize = 150;

#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    subcommand_value_name = "swarm|distribute",
    subcommand_help_heading = "Scenarios with options of their own",
    after_help = "Examples:\n  utopia lab alice-to-bob\n  utopia lab resolve --json\n  utopia lab up --data lab-data"
)]
pub(crate) struct Arguments {
    /// The scenario, or `up` to keep everything running
    #[arg(value_name = "SCENARIO|up", required = true)]
    what: Option<What>,
    #[command(subcommand)]
    more: Option<More>,
    /// The seed of what varies on the links between the hosts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Write everything on the wire to a file for Wireshark, TLS readable
    #[arg(long, value_name = "FILE.pcapng")]
    capture: Option<PathBuf>,
    /// The folder of the hosts' data, kept; without it a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// With `up`: the port of all name servers; 53, which may need privileges, lets foreign
    /// resolvers follow referrals
    #[arg(long, value_name = "PORT")]
    dns_port: Option<u16>,
}

#[derive(clap::Subcommand)]
enum More {
    /// A file gets from one seed to many peers, in real nodes
    Swarm(swarm::SwarmArguments),
    /// How long it takes to get a file to many, from one server and among peers: the lecture's plot
    Distribute(distribute::DistributeArguments),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A UDP and a TCP service, and their clients
    Sockets,
    /// A client speaks SMTP by hand
    Smtp,
    /// Alice's mail to Bob, step by step, even while his server is down
    AliceToBob,
    /// How a name is looked up, again from the cache, and after it expired
    Resolve,
    /// A start-up registers its name and can be found
    Register,
    /// All of it, to be used
    Up,
}

impl What {
    fn scenario(self) -> Option<Scenario> {
        match self {
            Self::Sockets => Some(Scenario::Sockets),
            Self::Smtp => Some(Scenario::Smtp),
            Self::AliceToBob => Some(Scenario::AliceToBob),
            Self::Resolve => Some(Scenario::Resolve),
            Self::Register => Some(Scenario::Register),
            Self::Up => None,
        }
    }
}

/// What is drawn again in its place while a story is told.
static SCREEN: Mutex<Screen> = Mutex::new(Screen::new());

fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a story is told here.
fn telling(json: bool) -> Telling {
    let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(WIDTH);
    let line = |line: &str| {
        screen().clear();
        out::line(line);
    };
    Telling { json, width, line, draw: |picture| screen().draw(|| picture.to_owned()) }
}

/// Where the hosts have their data.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// The folder that was named, or a temporary one.
fn folder(named: Option<PathBuf>) -> Result<Folder, String> {
    match named {
        Some(path) => Ok(Folder::Kept(path)),
        None => tempfile::tempdir()
            .map(Folder::Temporary)
            .map_err(|error| format!("no temporary folder: {error}; name one with --data")),
    }
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let what = match (arguments.more, arguments.what) {
        (Some(More::Swarm(arguments)), _) => return swarm::run(arguments).await,
        (Some(More::Distribute(arguments)), _) => return distribute::run(arguments).await,
        (None, Some(what)) => what,
        (None, None) => return out::misused("which scenario? See `utopia lab --help`"),
    };
    logging::start(if what == What::Up { "info" } else { "error" });
    let folder = match folder(arguments.data) {
        Ok(folder) => folder,
        Err(reason) => return out::failed(&reason),
    };
    // The lab's secrets are no secrets: with those of TLS all of it can be read.
    let capture = match arguments.capture.as_deref().map(capture::begin).transpose() {
        Ok(capture) => capture.map(Capture::with_tls_secrets),
        Err(reason) => return out::failed(&reason),
    };
    let plan = Topology::read().map(|topology| Plan {
        topology,
        folder: folder.path().to_owned(),
        seed: arguments.seed,
        observers: Vec::new(),
        capture: capture.clone(),
    });
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return out::failed(&error.to_string()),
    };
    let code = match what.scenario() {
        Some(_) if arguments.dns_port.is_some() => out::misused(
            "--dns-port goes with `utopia lab up` only; scenarios use the ports of their topology",
        ),
        Some(scenario) => match Box::pin(tell(scenario, telling(arguments.json), plan, &out::UNREAD)).await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => out::failed(&error.to_string()),
        },
        None => match up(plan, arguments.dns_port).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => out::failed(&reason),
        },
    };
    match capture.as_ref().map(Capture::flush) {
        Some(Err(error)) => out::failed(&format!("the capture could not be written: {error}")),
        _ => code,
    }
}

/// Keeps the whole Internet running until a signal comes.
async fn up(mut plan: Plan, dns_port: Option<u16>) -> Result<(), String> {
    plan.topology.ports.dns = dns_port.unwrap_or(plan.topology.ports.dns);
    plan.observers.push(Arc::new(event::log::Log::new(event::Detail::Summary)));
    let folder = &plan.folder.clone();
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let (internet, mut arrows) = Internet::start(plan).await.map_err(|error| error.to_string())?;
    let shown = internet.status();
    let shutdown = net::Shutdown::new();
    let answer = shown.clone();
    host::control::serve(folder, &shutdown, move |request| {
        let reply = match request {
            host::control::Request::Status => {
                serde_json::to_value(&answer).map_err(|error| error.to_string())
            }
            _ => Err("the lab only tells its status; stop it with Ctrl-C".to_owned()),
        };
        async move { reply }
    })
    .map_err(|error| format!("{}: {error}", folder.display()))?;
    let ports = internet.topology().ports;
    let resolver = internet.address("resolver.utopia.test");
    let mail = internet.address("mail.utopia.test");
    out::announce(&format!(
        "\nThe small Internet is up; its folder is {}.\n\n{}\nTry it:\n  \
         dig @{resolver} -p {} mail.crepes.test\n  \
         utopia dns query gaia.cs.university.edu --trace --root {}:{} --port {}\n  \
         swaks --server {mail} --port {} --tls --auth PLAIN --auth-user alice@utopia.test --auth-password {PASSWORD} \
         --from alice@utopia.test --to bob@crepes.test\n\n\
         The users alice@utopia.test and bob@crepes.test have the password {PASSWORD}; the CA is {}.\n\
         Stop with Ctrl-C.\n\n",
        folder.display(),
        status::table(&shown),
        ports.dns,
        internet.address("a.root-servers.net"),
        ports.dns,
        ports.dns,
        ports.submission,
        folder.join("ca.pem").display()
    ));
    loop {
        tokio::select! {
            // Nobody draws them here; they must not pile up.
            Some(_) = arrows.recv() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    internet.stop().await;
    shutdown.finish(std::time::Duration::from_secs(5)).await;
    Ok(())
}
