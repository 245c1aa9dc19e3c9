//! Asking agents back, where they say that they are, whether they are who they say.
//!
//! From a thread of its own, so that addresses at which nobody answers hold up nothing else that
//! agents are asked. The registry bounds how many are asked at a time.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use sutra_compat::grid::{AgentClaim, GridReply, GridRequest, ReplyDetails};
use sutra_net::{Context, ReplyTo};
use sutra_wire::grid::AgentRegistration;
use tokio::sync::mpsc::Receiver;

use super::forward::{self, ErrandError, Home, Worker};
use super::registry::{Answered, Ask, Moment};
use super::replies::{Answer, What};
use super::service::{MasterService, Message};

/// An agent that is there answers at once, as it starts nothing for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer: an error in words.
const MOST: usize = 64 << 10;

/// An agent that is being asked back.
pub(crate) struct Asking {
    ask: Ask,
    /// Where it registers in another's place: who waits for it.
    instead: Option<(ReplyTo, Box<AgentRegistration>)>,
}

impl Asking {
    /// Who waits for the answer.
    pub(crate) fn waiting(self) -> Option<ReplyTo> {
        self.instead.map(|(to, _)| to)
    }
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

impl MasterService {
    /// Asks those back that are to be asked.
    pub(crate) fn ask_back(&mut self, at: Moment) {
        for ask in self.registry.take_asks(at) {
            if let Some(unsent) = self.send_ask(ask, None) {
                self.registry.not_asked(&unsent, at);
            }
        }
    }

    /// Asks one back that registers in another's place, and answers it when it has answered.
    pub(crate) fn ask_first(
        &mut self,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        registration: AgentRegistration,
        ask: Ask,
    ) {
        let at = self.moment(cx);
        if let Some(unsent) = self.send_ask(ask, Some((to, Box::new(registration)))) {
            self.registry.not_asked(&unsent, at);
            self.too_busy(cx, to);
        }
    }

    /// Has the thread ask; gives back what it takes no more of.
    fn send_ask(&mut self, ask: Ask, instead: Option<(ReplyTo, Box<AgentRegistration>)>) -> Option<Ask> {
        let number = self.next_errand;
        let proof = Proof {
            number,
            endpoint: ask.endpoint.clone(),
            agent_id: ask.agent_id.clone(),
            incarnation: ask.incarnation,
            nodes: ask.nodes.iter().map(|node| node.node_id.clone()).collect(),
        };
        if !self.proofs.send(proof) {
            return Some(ask);
        }
        self.next_errand += 1;
        self.asking.insert(number, Asking { ask, instead });
        None
    }

    /// One has answered, or has not.
    pub(crate) fn answered(&mut self, cx: &mut Context<'_, Message>, number: u64, answer: Answered) {
        let Some(Asking { ask, instead }) = self.asking.remove(&number) else { return };
        let at = self.moment(cx);
        let Some((to, registration)) = instead else {
            self.registry.answered(ask, answer, at);
            return self.conclude(cx, None);
        };
        match self.registry.replace(&registration, ask, answer, at) {
            Ok(()) => self.conclude(cx, Some(Answer { to, what: What::Registered })),
            Err(refused) => {
                self.conclude(cx, None);
                self.refuse_agent(cx, to, &registration.agent_id, &refused);
            }
        }
    }
}

/// Starts the thread that asks.
pub(crate) fn start(home: Home) -> io::Result<(Worker<Proof>, JoinHandle<()>)> {
    forward::start_worker("proofs", async move |proofs: &mut Receiver<Proof>| {
        while let Some(proof) = proofs.recv().await {
            let home = home.clone();
            tokio::spawn(async move {
                let number = proof.number;
                let answer = match tokio::time::timeout(PATIENCE, prove(proof)).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(error)) => Answered::No(error.to_string()),
                    Err(_) => Answered::No(format!("it has not answered within {PATIENCE:?}")),
                };
                if let Some(home) = home.get() {
                    home.post(Message::Answered { number, answer });
                }
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
            return Ok(Answered::No(format!("the one that answers at {endpoint} is another agent")));
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
        GridReply::GetStorageNodeStatusOk { .. } | GridReply::Error { .. } => Ok(Answered::Nodes(runs)),
        _ => Ok(Answered::No(format!("the one that answers at {endpoint} is no agent"))),
    }
}
