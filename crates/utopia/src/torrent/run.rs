//! `utopia torrent get` and `seed`: one torrent, by itself.

use super::create::{Which, tiers};
use super::finding::PeerArguments;
use super::mutable::{FollowArguments, Follower, Publication, PublishArguments};
use super::remote::{Remote, RemoteArguments};
use super::source;
use super::view::{Bar, picture};
use crate::screen::Screen;
use crate::{logging, out};
use bittorrent::encryption::Policy;
use bittorrent::metainfo::FileSelection;
use bittorrent::torrent::SeedingGoal;
use bittorrent_node::stream::Streaming;
use bittorrent_node::{
    Data, Engine, Handle, Limits, Making, Options, PortMapping, Progress, Settings, Stage, What, octets,
    read_ip_filter,
};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use storage::Allocation;
use tokio::signal::unix::{SignalKind, signal};

/// Octets of blocks in memory.
const MEMORY_OCTETS_MAX: usize = 24 * 1024 * 1024;

/// What `get` and `seed` have in common.
#[derive(Debug, clap::Args)]
struct Shared {
    /// Where peers connect to
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:6881")]
    listen: Vec<SocketAddr>,
    /// A peer to begin with; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT")]
    peer: Vec<SocketAddr>,
    /// The folder for what is remembered between runs
    #[arg(long, value_name = "DIR", default_value = "utopia-data", env = "UTOPIA_DATA")]
    data: PathBuf,
    /// Octets a second from peers at most
    #[arg(long, value_name = "OCTETS")]
    download_limit: Option<u64>,
    /// Octets a second to peers at most
    #[arg(long, value_name = "OCTETS")]
    upload_limit: Option<u64>,
    /// A list of addresses not to speak with: ipfilter.dat, .p2p or CIDR lines
    #[arg(long, value_name = "FILE")]
    ip_filter: Option<PathBuf>,
    /// Connections at once
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    connections_max: usize,
    /// What is encrypted
    #[arg(long, value_enum, default_value_t = Encryption::Allowed)]
    encryption: Encryption,
    #[command(flatten)]
    peers: PeerArguments,
    /// Open all connections through this SOCKS5 proxy, socks5://NAME:PASSWORD@HOST:PORT; what is UDP (uTP, the hash table, neighbours, trackers over UDP) is not used then
    #[arg(long, value_name = "URL", env = "UTOPIA_PROXY", hide_env_values = true)]
    proxy: Option<net::Proxy>,
    /// Do not ask the router to hand on what comes to our ports (UPnP)
    #[arg(long)]
    no_port_mapping: bool,
    /// Where the router is asked, in place of all that are near
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "no_port_mapping")]
    gateway: Option<SocketAddr>,
    /// Check all pieces, whatever an earlier run left
    #[arg(long)]
    recheck: bool,
    /// Print the progress as one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// What is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Encryption {
    /// Nothing
    Disabled,
    /// What peers ask for
    Allowed,
    /// All, where peers can
    Preferred,
    /// All, or no connection
    Required,
}

impl From<Encryption> for Policy {
    fn from(encryption: Encryption) -> Self {
        match encryption {
            Encryption::Disabled => Policy::Disabled,
            Encryption::Allowed => Policy::Allowed,
            Encryption::Preferred => Policy::Preferred,
            Encryption::Required => Policy::Required,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct GetArguments {
    /// A torrent file, a magnet link or the address of a torrent file
    source: String,
    /// The folder for its files
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Pieces in their order, for a player
    #[arg(long)]
    sequential: bool,
    /// Serve the files over HTTP while they come, for a player, at http://ADDRESS:PORT/ until told to end; the system chooses a port where none is given
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1:0"
    )]
    stream: Option<SocketAddr>,
    /// Only these files, by their numbers in `info`, e.g. 0,2-4
    #[arg(long, value_name = "FILES")]
    files: Option<String>,
    /// Seed until so many times its size was sent; without it `get` ends when all is here
    #[arg(long, value_name = "RATIO")]
    seed_ratio: Option<f64>,
    /// Send nothing to peers, who will choke you for it
    #[arg(long, conflicts_with = "seed_ratio")]
    no_upload: bool,
    /// Take the room of all files at once
    #[arg(long)]
    allocate: bool,
    #[command(flatten)]
    follow: FollowArguments,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SeedArguments {
    /// The file or folder
    path: PathBuf,
    /// Its torrent file; without it a torrent is made
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tracker", "web_seed", "format"])]
    torrent: Option<PathBuf>,
    /// A tracker for the torrent that is made
    #[arg(long, value_name = "URL")]
    tracker: Vec<String>,
    /// A web server that has the same files, for the torrent that is made (BEP 19)
    #[arg(long, value_name = "URL")]
    web_seed: Vec<String>,
    /// Which version of the protocol the torrent that is made is for
    #[arg(long, value_enum, default_value_t = Which::Hybrid)]
    format: Which,
    /// Show pieces one by one, so that each is sent once (BEP 16)
    #[arg(long)]
    super_seeding: bool,
    #[command(flatten)]
    publish: PublishArguments,
    #[command(flatten)]
    shared: Shared,
}

/// Ends when a signal comes.
pub(super) async fn until_told() {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

impl Shared {
    async fn start(&self) -> Result<Engine, String> {
        let settings = Settings {
            listen: self.listen.clone(),
            data: self.data.clone(),
            memory_octets_max: MEMORY_OCTETS_MAX,
            encryption: self.encryption.into(),
            protocols: self.peers.protocols(),
            discovery: self.peers.discovery(&self.listen),
            limits: Limits {
                connections_max: self.connections_max.max(Limits::default().connections_max),
                ..Limits::default()
            },
            names: source::names(),
        };
        let filter = match self.ip_filter.clone() {
            Some(file) => {
                let read = tokio::task::spawn_blocking(move || read_ip_filter(&file));
                let read = read.await.map_err(|error| error.to_string())?;
                Some(read.map_err(|error| error.to_string())?.0)
            }
            None => None,
        };
        let started = Engine::start(settings, self.network(), net::Shutdown::new()).await;
        let engine = started.map_err(|error| error.to_string())?;
        if let Some(filter) = filter {
            engine.set_ip_filter(Arc::new(filter)).await.map_err(|error| error.to_string())?;
        }
        Ok(engine)
    }

    /// The network as the engine shall see it.
    fn network(&self) -> net::Network {
        let network = source::network(&self.listen);
        match &self.proxy {
            Some(proxy) => network.through(proxy.clone()),
            None => network,
        }
    }

    /// Asks the router for our ports. Behind a proxy that would tell who we are.
    fn map_ports(&self, engine: &Engine) -> Option<PortMapping> {
        if self.no_port_mapping || self.proxy.is_some() {
            return None;
        }
        PortMapping::start(engine, self.gateway.unwrap_or(net::GATEWAY_SEARCH))
    }

    async fn remote(&self, engine: &Engine, folder: &Path) -> Result<Option<Remote>, String> {
        self.remote.start(engine, self.network(), &self.data, folder).await
    }

    fn options(&self, folder: &Path) -> Options {
        Options {
            folder: folder.to_owned(),
            allocation: Allocation::Sparse,
            rules: bittorrent::torrent::Settings::default(),
            recheck: self.recheck,
            download_per_second: self.download_limit,
            upload_per_second: self.upload_limit,
            connections_max: self.connections_max,
            peers: self.peer.clone(),
            selection: None,
            priorities: Vec::new(),
            halted: false,
            sealed: None,
        }
    }
}

pub(crate) async fn get(arguments: GetArguments) -> ExitCode {
    logging::start("warn");
    match run_get(&arguments).await {
        Ok(code) => code,
        Err(reason) => out::failed(&reason),
    }
}

async fn run_get(arguments: &GetArguments) -> Result<ExitCode, String> {
    let what = source::find(&arguments.source, &arguments.shared.network()).await?;
    let mut options = arguments.shared.options(&arguments.out);
    options.rules.sequential = arguments.sequential;
    if arguments.no_upload {
        options.rules = options.rules.without_upload();
    }
    if arguments.allocate {
        options.allocation = Allocation::Full;
    }
    options.selection = arguments.files.as_deref().map(selection).transpose()?;
    if let What::Magnet(magnet) = &what {
        let peers =
            magnet.peers.iter().filter_map(|(host, port)| Some(SocketAddr::new(host.parse().ok()?, *port)));
        options.peers.extend(peers);
        if options.selection.is_none() {
            options.selection.clone_from(&magnet.selection);
        }
    }
    options.rules.seeding_goal = SeedingGoal { share_ratio: arguments.seed_ratio, ..SeedingGoal::default() };
    let engine = arguments.shared.start().await?;
    let mapping = arguments.shared.map_ports(&engine);
    let mut follower = Follower::new(&arguments.follow, &what, &engine)?;
    let mut what = tokio::select! {
        first = follower.first(what) => first?,
        () = until_told() => {
            end(mapping, engine).await;
            return Err("stopped before the hash table told which torrent stands under the key".to_owned());
        }
    };
    let streaming = arguments.streaming()?;
    let seeds = arguments.seed_ratio.is_some() || follower.goes_on() || streaming.is_some();
    let mut remote = None;
    let ends = |progress: &Progress| match progress.stage {
        Stage::Done => streaming.is_none(),
        Stage::Seeding => !seeds,
        _ => false,
    };
    let last = loop {
        let handle = engine.add(what, options.clone()).await.map_err(|error| error.to_string())?;
        if let Some(streaming) = &streaming {
            streaming.show(handle.clone());
        }
        if remote.is_none() {
            remote = arguments.shared.remote(&engine, &arguments.out).await?;
        }
        what = tokio::select! {
            last = watch(&handle, arguments.shared.json, remote.as_ref(), ends) => break last,
            next = follower.next() => next?,
        };
        // Its files stay; some may be those of the next one.
        handle.remove(Data::Keep).await.map_err(|error| error.to_string())?;
    };
    let closed = Remote::end(remote).await;
    end(mapping, engine).await;
    if closed {
        // As it was told, however far it is.
        return Ok(ExitCode::SUCCESS);
    }
    match last.stage {
        Stage::Paused(why) => Err(format!("{}: {why}", last.name)),
        Stage::Seeding | Stage::Done => {
            if !arguments.shared.json {
                out::line(format_args!(
                    "{} is here: {} in {}",
                    last.name,
                    octets(last.have_octets),
                    arguments.out.display()
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(format!(
            "{}: stopped with {} of {} pieces; the same command goes on from here",
            last.name, last.have_pieces, last.pieces
        )),
    }
}

impl GetArguments {
    /// Begins to serve the files over HTTP, if that is wanted.
    fn streaming(&self) -> Result<Option<Streaming>, String> {
        let Some(address) = self.stream else { return Ok(None) };
        let network = source::network(&[address]);
        let streaming = Streaming::start(&network, address, net::Shutdown::new());
        let streaming = streaming.map_err(|error| error.to_string())?;
        if self.shared.json {
            out::line(serde_json::json!({ "stream": streaming.url() }));
        } else {
            out::line(format_args!("play {}", streaming.url()));
        }
        Ok(Some(streaming))
    }
}

/// Ends an engine; the router forgets us.
async fn end(mapping: Option<PortMapping>, engine: Engine) {
    if let Some(mapping) = mapping {
        mapping.end().await;
    }
    engine.stop().await;
}

/// Files by their numbers, e.g. `0,2-4`.
fn selection(text: &str) -> Result<FileSelection, String> {
    let wrong = || format!("--files {text}: write numbers and ranges, e.g. 0,2-4");
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Ok(first.trim().parse::<u32>().map_err(|_| wrong())?..=last.trim().parse().map_err(|_| wrong())?)
    };
    let ranges = text.split(',').map(range).collect::<Result<Vec<_>, String>>()?;
    FileSelection::new(ranges).map_err(|error| format!("--files {text}: {error}"))
}

pub(crate) async fn seed(arguments: SeedArguments) -> ExitCode {
    logging::start("warn");
    match run_seed(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => out::failed(&reason),
    }
}

async fn run_seed(arguments: &SeedArguments) -> Result<(), String> {
    let metainfo = if let Some(file) = &arguments.torrent {
        source::read_file(file)?
    } else {
        let making = Making {
            trackers: tiers(&arguments.tracker)?,
            web_seeds: arguments.web_seed.clone(),
            ..Making::new(arguments.format.into())
        };
        let path = arguments.path.clone();
        let mut bar = Bar::new("hashing");
        let made = tokio::task::spawn_blocking(move || {
            let made = source::make(&path, making, |done, total| bar.show(done, total, ""));
            bar.clear();
            made
        });
        made.await.map_err(|error| error.to_string())??
    };
    let whole =
        arguments.path.canonicalize().map_err(|error| format!("{}: {error}", arguments.path.display()))?;
    let name = whole.file_name().unwrap_or_default();
    if name != metainfo.info.name() {
        return Err(format!(
            "the torrent is of {}, not of {}; rename the file or choose its torrent",
            metainfo.info.name(),
            name.display()
        ));
    }
    let folder = whole.parent().unwrap_or(Path::new("/")).to_owned();
    let mut options = arguments.shared.options(&folder);
    options.rules.super_seeding = arguments.super_seeding;
    let magnet = metainfo.magnet();
    let publication = Publication::new(&arguments.publish, &metainfo)?;
    let engine = arguments.shared.start().await?;
    let mapping = arguments.shared.map_ports(&engine);
    let addresses = engine.addresses().to_vec();
    let handle =
        engine.add(What::Metainfo(Arc::new(metainfo)), options).await.map_err(|error| error.to_string())?;
    if !arguments.shared.json {
        for address in addresses {
            out::line(format_args!("peers connect to {address}"));
        }
        out::line(&magnet);
        if let Some(publication) = &publication {
            out::line(publication.link());
        }
    }
    if let Some(publication) = publication {
        let dht = engine.dht().ok_or("--key: the hash table is needed: drop --dht off")?.clone();
        tokio::spawn(publication.run(dht, arguments.shared.json));
    }
    let remote = arguments.shared.remote(&engine, &folder).await?;
    let last = watch(&handle, arguments.shared.json, remote.as_ref(), |_| false).await;
    let closed = Remote::end(remote).await;
    end(mapping, engine).await;
    if closed {
        return Ok(());
    }
    match last.stage {
        Stage::Paused(why) => Err(format!("{}: {why}", last.name)),
        Stage::Downloading => Err(format!(
            "{}: {} of {} pieces are here: the files are not what the torrent says",
            last.name, last.have_pieces, last.pieces
        )),
        _ => Ok(()),
    }
}

/// Shows a torrent until it `ends`, cannot go on, or a signal comes. Who controls
/// it from elsewhere says when it ends.
async fn watch(
    handle: &Handle,
    json: bool,
    remote: Option<&Remote>,
    ends: impl Fn(&Progress) -> bool,
) -> Progress {
    let mut changes = handle.progress();
    let mut screen = Screen::new();
    let mut removed = false;
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return changes.borrow().clone() };
    loop {
        let now = changes.borrow_and_update().clone();
        if json {
            out::line(serde_json::to_string(&now).unwrap_or_default());
        } else {
            screen.draw(|| picture(&now));
        }
        if remote.is_none() && (ends(&now) || matches!(now.stage, Stage::Paused(_))) {
            screen.clear();
            return now;
        }
        tokio::select! {
            changed = changes.changed(), if !removed => match (changed, remote) {
                (Ok(()), _) => {}
                // Others go on.
                (Err(_), Some(_)) => removed = true,
                (Err(_), None) => break,
            },
            () = closed(remote) => break,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // Nobody reads what it says any more.
            () = out::UNREAD.requested() => break,
        }
    }
    screen.clear();
    changes.borrow().clone()
}

async fn closed(remote: Option<&Remote>) {
    match remote {
        Some(remote) => remote.closed().await,
        None => std::future::pending().await,
    }
}
