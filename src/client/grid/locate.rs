//! `grid://HOST:PORT/NODE`: a storage node by its id or name, wherever its agent has started it.

use std::str::FromStr;
use std::time::Duration;

use sutra_wire::grid::{NodeInfo, NodeState};
use tokio::time::sleep;

use crate::deadline::Deadline;
use crate::grid::GridClient;
use crate::{ClientError, Endpoint};

const SCHEME: &str = "grid://";
/// How often the master is asked for a node that is being started again.
const AGAIN: Duration = Duration::from_millis(100);

/// Where a client's server is to be found.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Fixed(Endpoint),
    Grid(GridNode),
}

/// A node of a grid.
#[derive(Clone, Debug)]
pub(crate) struct GridNode {
    master: GridClient,
    node: String,
}

impl FromStr for Place {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let Some(rest) = text.strip_prefix(SCHEME) else { return text.parse().map(Place::Fixed) };
        let invalid = |problem| ClientError::InvalidEndpoint { text: text.to_owned(), problem };
        let (master, node) =
            rest.split_once('/').ok_or_else(|| invalid("it names no node: write grid://HOST:PORT/NODE"))?;
        if node.is_empty() || node.contains('/') {
            return Err(invalid("it names no node: write grid://HOST:PORT/NODE"));
        }
        Endpoint::parse(master, super::DEFAULT_PORT)?;
        Ok(Place::Grid(GridNode { master: GridClient::new(master), node: node.to_owned() }))
    }
}

impl std::fmt::Display for GridNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.master.address(), self.node)
    }
}

impl GridNode {
    /// Where the node listens now. One that is being started is waited for, as long as the call may
    /// take.
    pub(crate) async fn locate(&self, deadline: &Deadline) -> Result<Endpoint, ClientError> {
        loop {
            let asked = self.master.clone().with_timeout(deadline.remaining()).with_retries(0);
            let info = asked.node(&self.node).await?.ok_or_else(|| self.unknown())?;
            if info.report.state == NodeState::Running as u8 && !info.report.endpoint.is_empty() {
                return info.report.endpoint.parse();
            }
            let is_coming = matches!(
                NodeState::from_number(info.report.state),
                Some(NodeState::Starting | NodeState::Crashed | NodeState::Stopping)
            );
            if !is_coming || deadline.remaining() <= AGAIN {
                return Err(self.not_running(&info));
            }
            sleep(AGAIN).await;
        }
    }

    fn unknown(&self) -> ClientError {
        ClientError::Node {
            node: self.to_string(),
            problem: "the grid has no node of this id or name; `sutra grid nodes` lists those that it has".into(),
        }
    }

    fn not_running(&self, info: &NodeInfo) -> ClientError {
        let state = NodeState::from_number(info.report.state).unwrap_or_default();
        let detail = if info.report.detail.is_empty() { String::new() } else { format!(" ({})", info.report.detail) };
        let problem = match state {
            NodeState::Running => "its agent has named no address for native clients".to_owned(),
            NodeState::GaveUp => format!("agent {} gave it up{detail}", info.agent_id),
            NodeState::Crashed => format!("it has crashed{detail} on agent {}", info.agent_id),
            state => format!("it is {state}{detail} on agent {}", info.agent_id),
        };
        ClientError::Node { node: self.to_string(), problem }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_grid_address_names_a_master_and_a_node_and_others_are_as_they_were() {
        let Place::Grid(node) = "grid://master:7001/words".parse().unwrap() else { panic!("a grid address") };
        assert_eq!(node.to_string(), "grid://master:7001/words");
        assert!(matches!("10.0.0.1:50050".parse().unwrap(), Place::Fixed(_)));
        for wrong in ["grid://", "grid://master", "grid://master/", "grid://master/a/b", "grid://:7001/a", "http://a"] {
            assert!(matches!(wrong.parse::<Place>(), Err(ClientError::InvalidEndpoint { .. })), "{wrong}");
        }
    }
}
