//! `grid://HOST:PORT/NODE`: a storage node by its id or name, wherever its agent has started it.

use std::str::FromStr;
use std::time::Duration;

use sutra_wire::grid::{NodeInfo, NodeState};
use tokio::time::sleep;

use crate::deadline::Deadline;
use crate::grid::GridClient;
use crate::{ClientError, Endpoint};

/// What the address of a node begins with.
pub(crate) const SCHEME: &str = "grid://";
/// How often the master is asked for a node that is being started again.
const AGAIN: Duration = Duration::from_millis(100);

/// A node of a grid.
#[derive(Clone, Debug)]
pub(crate) struct GridNode {
    master: GridClient,
    node: String,
}

impl FromStr for GridNode {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let names_no_node = || ClientError::InvalidEndpoint {
            text: text.to_owned(),
            problem: "it names no node: write grid://HOST:PORT/NODE",
        };
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (master, node) = rest.split_once('/').ok_or_else(names_no_node)?;
        if node.is_empty() || node.contains('/') {
            return Err(names_no_node());
        }
        Endpoint::parse(master, super::DEFAULT_PORT)?;
        Ok(GridNode { master: GridClient::new(master), node: node.to_owned() })
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
            problem: "the grid has no node of this id or name; \
                      `sutra grid nodes` lists those that it has"
                .into(),
        }
    }

    fn not_running(&self, info: &NodeInfo) -> ClientError {
        let state = NodeState::from_number(info.report.state).unwrap_or_default();
        let detail = if info.report.detail.is_empty() {
            String::new()
        } else {
            format!(" ({})", info.report.detail)
        };
        let problem = match state {
            NodeState::Running => "its agent has named no address for native clients".to_owned(),
            NodeState::GaveUp => format!("agent {} gave it up{detail}", info.agent_id),
            NodeState::Crashed => format!("it has crashed{detail} on agent {}", info.agent_id),
            state => format!("it is {state}{detail} on agent {}", info.agent_id),
        };
        ClientError::Node { node: self.to_string(), problem }
    }
}
