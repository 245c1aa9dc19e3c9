//! Having agents stop nodes, and asking the old ones how theirs are.

use sutra_compat::grid::GridRequest;
use sutra_net::{Body, Context, Flow, ReplyTo, Request};
use sutra_wire::Status;
use sutra_wire::grid::NodeKey;

use crate::answer::{Answer, What};
use crate::core::{MasterCore, validated};
use crate::errands::{Errands, Waiting};
use crate::forward;
use crate::legacy::NodeOfAgent;
use crate::message::Message;
use crate::registry::StopTarget;

impl Errands {
    pub(crate) fn stop(
        &mut self,
        core: &mut MasterCore,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) -> Flow {
        let Some(key) = validated::<NodeKey>(cx, request) else { return Flow::Taken };
        self.begin_stop(core, cx, request.reply_to, &key.node, None)
    }

    /// The same over the old protocol, whose message names the agent too.
    pub(crate) fn stop_on(
        &mut self,
        core: &mut MasterCore,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) -> Flow {
        let Some(key) = validated::<NodeOfAgent>(cx, request) else { return Flow::Taken };
        self.begin_stop(core, cx, request.reply_to, &key.node, Some(key.agent_id.as_str()))
    }

    fn begin_stop(
        &mut self,
        core: &mut MasterCore,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        node: &str,
        on: Option<&str>,
    ) -> Flow {
        if let Some(flow) = core.hold_back(cx, to) {
            return flow;
        }
        match core.registry.stop(node, on, core.moment(cx)) {
            Ok(StopTarget::Unknown) => cx.reply(to, Status::NotFound, 0, Body::Empty),
            Ok(StopTarget::Done) => core.conclude(cx, Some(Answer { to, what: What::Done })),
            Ok(StopTarget::Ask { agent_id, node_id, contact }) => {
                let request = GridRequest::StopStorageNode {
                    agent_id: agent_id.clone(),
                    node_id: node_id.clone(),
                };
                let waiting = Waiting::Stop { to, agent_id, node_id };
                if !self.send(core, contact.endpoint, request, None, forward::STOP, waiting) {
                    core.too_busy(cx, to);
                }
            }
            Err(refused) => core.refuse(cx, to, &refused),
        }
        Flow::Taken
    }

    /// How a node is, over the old protocol. An old agent is asked, as it reports nothing by
    /// itself; of others the last report is told.
    pub(crate) fn status_on(
        &mut self,
        core: &mut MasterCore,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) {
        let Some(key) = validated::<NodeOfAgent>(cx, request) else { return };
        let to = request.reply_to;
        if let Some((node_id, contact)) = core.registry.old_agent_of(&key.node, core.moment(cx)) {
            let request = GridRequest::GetStorageNodeStatus { node_id: node_id.clone() };
            let waiting = Waiting::Status { to: Some(to), node_id };
            if self.send(core, contact.endpoint, request, None, forward::STATUS, waiting) {
                return;
            }
        }
        core.reply_node(cx, to, &key.node, core.journal.last_sequence());
    }
}
