//! How `get` and `seed` find peers beside trackers, and what carries connections.

use super::dht::Entrance;
use bittorrent_node::{DhtSettings, Discovery, LsdSettings, Protocols};
use std::net::SocketAddr;

/// Over what and by what means peers are reached.
#[derive(Debug, clap::Args)]
pub(super) struct PeerArguments {
    /// What carries connections, in both directions
    #[arg(long, help_heading = "Finding peers", value_enum, value_name = "PROTOCOLS", default_value_t = Carriers::TcpFirst)]
    transport: Carriers,
    /// Whether peers are found in the distributed hash table
    #[arg(long, help_heading = "Finding peers", value_enum, default_value_t = Dht::On)]
    dht: Dht,
    #[command(flatten)]
    entrance: Entrance,
    /// Do not tell neighbours what runs here, and do not hear them
    #[arg(long, help_heading = "Finding peers")]
    no_lsd: bool,
    /// A multicast group for the neighbours, in place of the usual one of its family; needed where only loopback is listened on
    #[arg(long, help_heading = "Finding peers", value_name = "ADDRESS:PORT", conflicts_with = "no_lsd")]
    lsd_group: Vec<SocketAddr>,
}

/// What carries connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Carriers {
    /// TCP, and uTP with those who are not reached so
    TcpFirst,
    /// uTP, which gives way to other traffic, and TCP with those who are not reached so
    UtpFirst,
    /// TCP only
    Tcp,
    /// uTP only
    Utp,
}

impl From<Carriers> for Protocols {
    fn from(carriers: Carriers) -> Self {
        match carriers {
            Carriers::TcpFirst => Protocols::TcpFirst,
            Carriers::UtpFirst => Protocols::UtpFirst,
            Carriers::Tcp => Protocols::Tcp,
            Carriers::Utp => Protocols::Utp,
        }
    }
}

/// What is done in the distributed hash table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Dht {
    /// We ask and answer
    On,
    /// We ask only: for who cannot be reached (BEP 43)
    ReadOnly,
    /// Nothing
    Off,
}

impl PeerArguments {
    /// What carries connections.
    pub(super) fn protocols(&self) -> Protocols {
        self.transport.into()
    }

    /// How peers are found, for who listens at these addresses.
    pub(super) fn discovery(&self, listen: &[SocketAddr]) -> Discovery {
        let inside = listen.iter().all(|address| address.ip().is_loopback());
        let dht = DhtSettings {
            routers: self.entrance.routers(listen),
            nodes: self.entrance.nodes(),
            read_only: self.dht == Dht::ReadOnly,
        };
        let has_neighbours = !inside || !self.lsd_group.is_empty();
        Discovery {
            dht: (self.dht != Dht::Off).then_some(dht),
            lsd: (!self.no_lsd && has_neighbours).then(|| LsdSettings::at(&self.lsd_group)),
        }
    }
}
