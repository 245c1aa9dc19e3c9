//! What a client is told to connect to: a host, or a storage node of a grid.

use std::fmt;
use std::str::FromStr;

use crate::deadline::Deadline;
use crate::grid::{GridNode, SCHEME};
use crate::{ClientError, Endpoint};

/// Where a client's server is to be found.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Host(Endpoint),
    Node(GridNode),
}

impl Address {
    /// Where the server listens now. The grid's master is asked for a node's.
    pub(crate) async fn locate(&self, deadline: &Deadline) -> Result<Endpoint, ClientError> {
        match self {
            Address::Host(endpoint) => Ok(endpoint.clone()),
            Address::Node(node) => node.locate(deadline).await,
        }
    }
}

impl FromStr for Address {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        if text.starts_with(SCHEME) {
            text.parse().map(Address::Node)
        } else {
            text.parse().map(Address::Host)
        }
    }
}

/// As errors call the server.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Host(endpoint) => endpoint.fmt(f),
            Address::Node(node) => node.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_grid_address_names_a_master_and_a_node_and_others_are_as_they_were() {
        let Address::Node(node) = "grid://master:7001/words".parse().unwrap() else {
            panic!("a grid address")
        };
        assert_eq!(node.to_string(), "grid://master:7001/words");
        assert!(matches!("10.0.0.1:50050".parse().unwrap(), Address::Host(_)));
        for wrong in [
            "grid://",
            "grid://master",
            "grid://master/",
            "grid://master/a/b",
            "grid://:7001/a",
            "http://a",
        ] {
            assert!(
                matches!(wrong.parse::<Address>(), Err(ClientError::InvalidEndpoint { .. })),
                "{wrong}"
            );
        }
    }
}
