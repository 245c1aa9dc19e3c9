//! What most commands name alike: a server, a namespace of it, a concept there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use sutra_wire::AssociationKind;

use crate::admin_port::{AdminAddress, DEFAULT_ADMIN};
use crate::values::{field, some_duration};

/// The native port of a server that was not told otherwise.
pub(crate) const DEFAULT_SERVER: &str = "127.0.0.1:50050";

/// How long a client waits that was not told otherwise: as long as the client library's own
/// default.
pub(crate) const DEFAULT_TIMEOUT: &str = "10";

/// What help puts above the flags that many commands have, in the order of their `display_order`:
/// a command's own stand before them.
pub(crate) const COMMON: &str = "Common options";

/// Where the server is, and how long it may take.
#[derive(Args, Clone, Debug)]
pub(crate) struct Server {
    /// The server
    #[arg(
        long = "server",
        env = "SUTRA_SERVER",
        value_name = "ADDRESS",
        default_value = DEFAULT_SERVER,
        help_heading = COMMON,
        display_order = 102
    )]
    pub(crate) address: String,
    /// How long an answer may take in all, connecting and repeating included (10, 500ms, 1m)
    #[arg(
        long,
        env = "SUTRA_TIMEOUT",
        value_name = "SECONDS",
        default_value = DEFAULT_TIMEOUT,
        value_parser = some_duration,
        allow_hyphen_values = true,
        help_heading = COMMON,
        display_order = 103
    )]
    pub(crate) timeout: Duration,
}

/// An association, by its ends and its type.
#[derive(Args, Clone, Debug)]
pub(crate) struct NamedAssociation {
    /// The concept that it leads from: name or id
    pub(crate) source: String,
    /// The concept that it leads to: name or id
    pub(crate) target: String,
    /// What it means: semantic, causal, temporal, hierarchical, compositional, or a number
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "semantic",
        value_parser = field::<AssociationKind>,
        allow_hyphen_values = true
    )]
    pub(crate) kind: AssociationKind,
}

/// Where the admin port is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Admin {
    /// The server's admin port
    #[arg(
        long = "admin",
        env = "SUTRA_ADMIN",
        value_name = "ADDRESS",
        default_value = DEFAULT_ADMIN,
        help_heading = COMMON,
        display_order = 102
    )]
    pub(crate) address: AdminAddress,
}

/// Where records are: on which server, in which namespace of it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The namespace; the empty one is the default
    #[arg(
        long = "namespace",
        env = "SUTRA_NAMESPACE",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true,
        help_heading = COMMON,
        display_order = 101
    )]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Which concept is meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct Named {
    /// The concept's name, or its id as 32 hexadecimal digits
    #[arg(value_name = "NAME")]
    pub(crate) concept: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

impl Named {
    pub(crate) fn server(&self) -> &Server {
        &self.place.server
    }
}

/// Where a client on this host reaches a server that listens here; nowhere where that is nothing.
pub(crate) fn reachable(listening: Option<SocketAddr>) -> SocketAddr {
    let mut address = listening.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    if address.ip().is_unspecified() {
        address.set_ip(match address.is_ipv4() {
            true => IpAddr::V4(Ipv4Addr::LOCALHOST),
            false => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_reached_on_the_loopback() {
        let reached = |text: &str| reachable(text.parse().ok()).to_string();
        assert_eq!(reached("0.0.0.0:7"), "127.0.0.1:7");
        assert_eq!(reached("[::]:7"), "[::1]:7");
        assert_eq!(reached("10.0.0.1:7"), "10.0.0.1:7");
    }
}
