//! Remote control of `get` and `seed`: Transmission's RPC while they run.

use super::sharing::SharingArguments;
use super::source;
use crate::out;
use bittorrent_node::Engine;
use bittorrent_node::rpc::{Config, Rpc};
use bittorrent_node::session::Session;
use net::{Network, Shutdown};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the session may take to be kept at the end.
const END_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct RemoteArguments {
    /// Be controlled by transmission-remote and web interfaces, at a loopback address; torrents that are added stay for the next time, and all runs until it is told to end
    #[arg(long, help_heading = "Remote control", value_name = "ADDRESS:PORT")]
    rpc: Option<SocketAddr>,
    /// The name that goes with the password
    #[arg(
        long,
        help_heading = "Remote control",
        value_name = "NAME",
        default_value = "utopia",
        requires = "rpc"
    )]
    rpc_username: String,
    /// A file with the password, for its owner only
    #[arg(long, help_heading = "Remote control", value_name = "FILE", requires = "rpc")]
    rpc_password_file: Option<PathBuf>,
    /// A folder with a web interface for Transmission
    #[arg(long, help_heading = "Remote control", value_name = "DIR", requires = "rpc")]
    rpc_web: Option<PathBuf>,
}

/// Remote control that runs.
pub(super) struct Remote {
    shutdown: Shutdown,
    closing: Shutdown,
}

impl RemoteArguments {
    /// Begins, if it is wanted; torrents that are added lie in `folder`.
    pub(super) async fn start(
        &self,
        engine: &Engine,
        network: Network,
        data: &Path,
        folder: &Path,
        sharing: &SharingArguments,
    ) -> Result<Option<Remote>, String> {
        let Some(address) = self.rpc else { return Ok(None) };
        let config = Config {
            listen: vec![address],
            username: self.rpc_username.clone(),
            password_file: self.rpc_password_file.clone(),
            web_folder: self.rpc_web.clone(),
            ..Config::default()
        };
        config.check().map_err(|error| error.to_string())?;
        let names = source::names();
        let session =
            Session::open(engine.clone(), network.clone(), names.clone(), data, folder, sharing.rules()?)
                .await;
        let mut session = session.map_err(|error| error.to_string())?;
        let settings = sharing.of_session(session.settings());
        if settings != *session.settings() {
            session.set_settings(settings).await?;
        }
        let (shutdown, closing) = (Shutdown::new(), Shutdown::new());
        let rpc = Rpc::new(session, network, names, shutdown.clone(), Some(closing.clone()));
        let prepared = rpc.prepare(&config).map_err(|error| error.to_string())?;
        rpc.carry_out(prepared);
        if self.rpc_password_file.is_none() {
            out::complain(format_args!(
                "anybody on this machine can control it; --rpc-password-file keeps others away"
            ));
        }
        for address in rpc.addresses() {
            out::complain(format_args!("controlled at http://{address}/transmission/rpc"));
        }
        Ok(Some(Remote { shutdown, closing }))
    }
}

impl Remote {
    /// Resolves when a client says that all shall end.
    pub(super) async fn closed(&self) {
        self.closing.requested().await;
    }

    /// Keeps the session, if there is one. The engine is to be stopped after.
    /// Whether a client said that all shall end.
    pub(super) async fn end(remote: Option<Self>) -> bool {
        let Some(remote) = remote else { return false };
        remote.shutdown.request();
        if !remote.shutdown.finish(END_PATIENCE).await {
            out::complain(format_args!("the torrents that were added could not be kept in time"));
        }
        remote.closing.is_requested()
    }
}
