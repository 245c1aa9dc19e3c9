//! A server's listening sockets: opened here, by the service manager, or by the server before this
//! one.

use std::net::{SocketAddr, TcpListener};

use serde::{Deserialize, Serialize};
use sutra_net::{ListenError, first_overlap, inherit, listen};
use sutra_runtime::{Listener, ListenerId};

use crate::config::ServerConfig;
use crate::error::ServerError;
use crate::inherited::{Inherited, addresses};

/// Addresses to listen on: far more than a host has reasons for.
const MOST_PORTS: usize = 64;

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Spoken {
    Native,
    /// The old protocol.
    Compat,
}

/// What is known of a port.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct PortFacts {
    pub(crate) spoken: Spoken,
    /// Where the settings say: with the port 0, where the system was to choose.
    pub(crate) asked: SocketAddr,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Whether the service manager has opened it, and keeps it open.
    pub(crate) is_managed: bool,
}

/// Where a port's sockets come from.
enum Source {
    /// One a core.
    Open(Vec<Listener>),
    /// They come from the server before this one, whose port of this place they are.
    Theirs(usize),
}

/// The ports of a server, native ones first.
pub(crate) struct Ports(Vec<(PortFacts, Source)>);

impl Ports {
    /// Opens them, but for those that the service manager or the server before this one (`theirs`)
    /// has open.
    pub(crate) fn open(
        config: &ServerConfig,
        sockets: Inherited,
        theirs: &[PortFacts],
        cores: usize,
    ) -> Result<Self, ServerError> {
        let managed = |spoken| theirs.iter().any(|port| port.spoken == spoken && port.is_managed);
        // What the service manager has opened takes the place of what the settings say.
        let configured = |spoken, addresses: &[SocketAddr], sockets: &[TcpListener]| {
            let is_open = managed(spoken) || !sockets.is_empty();
            if is_open { Vec::new() } else { addresses.to_vec() }
        };
        let native = configured(Spoken::Native, &config.listen, &sockets.native);
        let compat = configured(Spoken::Compat, &config.compat, &sockets.compat);
        let opened =
            [&sockets.native, &sockets.compat].into_iter().map(|sockets| addresses(sockets));
        let opened = opened
            .flatten()
            .chain(theirs.iter().filter(|port| port.is_managed).map(|port| port.address));
        let all: Vec<_> = native.iter().chain(&compat).copied().chain(opened).collect();
        let is_native_open = managed(Spoken::Native) || !addresses(&sockets.native).is_empty();
        if all.len() > MOST_PORTS || native.is_empty() && !is_native_open {
            return Err(ServerError::Ports { count: all.len(), most: MOST_PORTS });
        }
        if let Some((address, earlier)) = first_overlap(&all) {
            return Err(ServerError::ListenTwice { address, earlier });
        }
        let mut ports = Self(Vec::new());
        ports.add(Spoken::Native, &native, sockets.native, theirs, cores)?;
        ports
            .add(Spoken::Compat, &compat, sockets.compat, theirs, cores)
            .map_err(ServerError::Compat)?;
        Ok(ports)
    }

    fn add(
        &mut self,
        spoken: Spoken,
        addresses: &[SocketAddr],
        sockets: Vec<TcpListener>,
        theirs: &[PortFacts],
        cores: usize,
    ) -> Result<(), ListenError> {
        let managed = |port: &PortFacts| port.spoken == spoken && port.is_managed;
        for (place, port) in theirs.iter().enumerate().filter(|(_, port)| managed(port)) {
            self.0.push((port.clone(), Source::Theirs(place)));
        }
        let facts = |asked, address, is_managed| PortFacts { spoken, asked, address, is_managed };
        let address_of = |listeners: &[Listener]| listeners.first()?.local_addr().ok();
        for socket in sockets {
            let listeners = inherit(socket, cores)?;
            if let Some(address) = address_of(&listeners) {
                self.0.push((facts(address, address, true), Source::Open(listeners)));
            }
        }
        for asked in addresses {
            let is_it = |(place, port): &(usize, &PortFacts)| {
                port.spoken == spoken
                    && !port.is_managed
                    && (port.asked == *asked || port.address == *asked)
                    && !self.takes(*place)
            };
            if let Some((place, port)) = theirs.iter().enumerate().find(is_it) {
                self.0.push((facts(*asked, port.address, false), Source::Theirs(place)));
                continue;
            }
            let listeners: Vec<Listener> =
                listen(*asked, cores)?.into_iter().map(Listener::from).collect();
            let address = address_of(&listeners).unwrap_or(*asked);
            self.0.push((facts(*asked, address, false), Source::Open(listeners)));
        }
        Ok(())
    }

    fn takes(&self, theirs: usize) -> bool {
        self.0.iter().any(|(_, source)| matches!(source, Source::Theirs(taken) if *taken == theirs))
    }

    /// What is known of each.
    pub(crate) fn facts(&self) -> Vec<PortFacts> {
        self.0.iter().map(|(facts, _)| facts.clone()).collect()
    }

    /// Where they listen for what is spoken there.
    pub(crate) fn addresses(&self, spoken: Spoken) -> Vec<SocketAddr> {
        let of = self.0.iter().filter(|(facts, _)| facts.spoken == spoken);
        of.map(|(facts, _)| facts.address).collect()
    }

    /// Where they listen for native clients, for whoever finds the folder locked.
    pub(crate) fn listed(&self) -> String {
        let native = self.addresses(Spoken::Native);
        native.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// The number from which on they are of the old protocol.
    pub(crate) fn first_compat(&self) -> ListenerId {
        let native = self.0.iter().filter(|(facts, _)| facts.spoken == Spoken::Native).count();
        ListenerId(u8::try_from(native).expect("MOST_PORTS at most"))
    }

    /// The sockets of each core, each with its port's number. `theirs` are those of the server
    /// before this one, by its ports and cores; what is not wanted of them is closed.
    pub(crate) fn by_core(
        self,
        mut theirs: Vec<Vec<Listener>>,
        cores: usize,
    ) -> Vec<Vec<(ListenerId, Listener)>> {
        let mut by_core: Vec<Vec<_>> = (0..cores).map(|_| Vec::new()).collect();
        for (id, (_, source)) in (0..).map(ListenerId).zip(self.0) {
            let listeners = match source {
                Source::Open(listeners) => listeners,
                Source::Theirs(place) => {
                    theirs.get_mut(place).map(std::mem::take).unwrap_or_default()
                }
            };
            for (core, listener) in by_core.iter_mut().zip(listeners) {
                core.push((id, listener));
            }
        }
        by_core
    }
}
