//! Asks agents back at their endpoints whether they are who they say.
//!
//! From a thread of its own, so that addresses at which nobody answers hold up nothing else that
//! agents are asked. The registry bounds how many are asked at a time.

use std::collections::BTreeMap;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use sutra_compat::grid::{AgentClaim, GridReply, GridRequest, ReplyDetails};
use sutra_net::{Context, ReplyTo};
use sutra_wire::Status;
use sutra_wire::grid::AgentRegistration;
use tokio::sync::mpsc::Receiver;

use crate::answer::{Answer, What};
use crate::core::MasterCore;
use crate::forward::{self, ErrandError, Worker};
use crate::message::Message;
use crate::registry::{Answered, Ask, Moment, Registry};

/// An agent that is there answers at once, as it starts nothing for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer: an error in words.
const MOST: usize = 64 << 10;

/// An agent that is being asked back.
struct Asking {
    ask: Ask,
    /// Who waits, where it registers in place of another agent.
    instead: Option<(ReplyTo, Box<AgentRegistration>)>,
}

/// The agents that are being asked back.
pub(crate) struct Proofs {
    worker: Worker<Proof>,
    /// By the number of the asking.
    asking: BTreeMap<u64, Asking>,
    next: u64,
}

/// What the thread is asked.
#[derive(Debug)]
pub(crate) struct Proof {
    number: u64,
    endpoint: String,
    agent_id: String,
    incarnation: u64,
    nodes: Vec<String>,
}

impl Proofs {
    pub(crate) fn new(worker: Worker<Proof>) -> Self {
        Self { worker, asking: BTreeMap::new(), next: 0 }
    }

    /// Asks those back that are to be asked. To be called at the end of each turn.
    pub(crate) fn ask_back(&mut self, registry: &mut Registry, at: Moment) {
        for ask in registry.take_asks(at) {
            if let Some(unsent) = self.send(ask, None) {
                registry.not_asked(&unsent, at);
            }
        }
    }

    /// Asks one back that registers in another's place, and answers it when it has answered.
    pub(crate) fn ask_first(
        &mut self,
        core: &mut MasterCore,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        registration: AgentRegistration,
        ask: Ask,
    ) {
        let at = core.moment(cx);
        if let Some(unsent) = self.send(ask, Some((to, Box::new(registration)))) {
            core.registry.not_asked(&unsent, at);
            core.too_busy(cx, to);
        }
    }

    /// Has the thread ask; gives the question back where too many wait.
    fn send(
        &mut self,
        ask: Ask,
        instead: Option<(ReplyTo, Box<AgentRegistration>)>,
    ) -> Option<Ask> {
        let number = self.next;
        let proof = Proof {
            number,
            endpoint: ask.endpoint.clone(),
            agent_id: ask.agent_id.clone(),
            incarnation: ask.incarnation,
            nodes: ask.nodes.iter().map(|node| node.node_id.clone()).collect(),
        };
        if !self.worker.send(proof) {
            return Some(ask);
        }
        self.next += 1;
        self.asking.insert(number, Asking { ask, instead });
        None
    }

    /// One has answered, or has not.
    pub(crate) fn answered(
        &mut self,
        core: &mut MasterCore,
        cx: &mut Context<'_, Message>,
        number: u64,
        answer: Answered,
    ) {
        let Some(Asking { ask, instead }) = self.asking.remove(&number) else { return };
        let at = core.moment(cx);
        let Some((to, registration)) = instead else {
            core.registry.answered(ask, answer, at);
            return core.conclude(cx, None);
        };
        match core.registry.replace(&registration, ask, answer, at) {
            Ok(()) => core.conclude(cx, Some(Answer { to, what: What::Registered })),
            Err(refused) => {
                core.conclude(cx, None);
                core.refuse_agent(cx, to, &registration.agent_id, &refused);
            }
        }
    }

    /// The master is stopping: it waits for nobody.
    pub(crate) fn abandon(&mut self, cx: &mut Context<'_, Message>) {
        for (_, asking) in std::mem::take(&mut self.asking) {
            if let Some((to, _)) = asking.instead {
                cx.refuse(
                    to,
                    Status::ShuttingDown,
                    "this master is stopping; register again when it is back",
                );
            }
        }
    }
}

/// Starts the thread that asks, and tells which asking has had which answer.
pub(crate) fn start(
    tell: impl Fn(u64, Answered) + Clone + Send + 'static,
) -> io::Result<(Worker<Proof>, JoinHandle<()>)> {
    forward::start_worker("proofs", async move |proofs: &mut Receiver<Proof>| {
        while let Some(proof) = proofs.recv().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let number = proof.number;
                let answer = match tokio::time::timeout(PATIENCE, prove(proof)).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(error)) => Answered::No(error.to_string()),
                    Err(_) => Answered::No(format!("it has not answered within {PATIENCE:?}")),
                };
                tell(number, answer);
            });
        }
    })
}

async fn prove(proof: Proof) -> Result<Answered, ErrandError> {
    let Proof { endpoint, agent_id, incarnation, nodes, .. } = proof;
    let claim = AgentClaim { agent_id: agent_id.clone(), incarnation };
    let ask = async |node_id: &str| {
        let mut message = Vec::new();
        let request = GridRequest::GetStorageNodeStatus { node_id: node_id.to_owned() };
        if incarnation == 0 {
            request.append(None, &mut message);
        } else {
            request.append_with_claim(&claim, &mut message);
        }
        forward::exchange(&endpoint, message, MOST).await
    };
    // Any id will do where it has no nodes: whether it has that one does not matter.
    let first = nodes.first().unwrap_or(&agent_id);
    let (mut reply, details) = ask(first).await?;
    match details {
        Some(ReplyDetails::Agent { is_it: true }) => return Ok(Answered::Itself),
        Some(ReplyDetails::Agent { is_it: false }) => {
            return Ok(Answered::No(format!(
                "the one that answers at {endpoint} is another agent"
            )));
        }
        _ => {}
    }
    let mut runs = Vec::new();
    for (at, asked) in nodes.iter().enumerate() {
        if at > 0 {
            reply = ask(asked).await?.0;
        }
        if matches!(&reply, GridReply::GetStorageNodeStatusOk { node_id, .. } if node_id == asked) {
            runs.push(asked.clone());
        }
    }
    match reply {
        GridReply::GetStorageNodeStatusOk { .. } | GridReply::Error { .. } => {
            Ok(Answered::Nodes(runs))
        }
        _ => Ok(Answered::No(format!("the one that answers at {endpoint} is no agent"))),
    }
}
