//! The link to the master: registers, says by heartbeats that the agent is there, and reports nodes
//! that have changed.
//!
//! A master that is away or refuses is asked again for ever, with growing pauses. The nodes do not
//! notice. After a call that failed the agent registers anew, which tells the master everything
//! that may have been lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_client::ClientError;
use sutra_client::grid::GridClient;
use sutra_runtime::available_cpus;
use sutra_wire::Status;
use sutra_wire::grid::{
    AdminPorts, AgentHeartbeat, AgentRegistered, AgentRegistration, AgentReport,
};
use tokio::time::{sleep, timeout};

use crate::backoff::{self, jittered};
use crate::core::AgentCore;
use crate::host;
use crate::identity::AgentIdentity;
use crate::standing::Standing;

/// How long to wait after a refusal, which only a person can resolve.
const REFUSED: Duration = Duration::from_secs(10);
/// The same trouble is logged this often.
const REMINDER: Duration = Duration::from_secs(60);
/// Changes that come within this are reported together.
const TOGETHER: Duration = Duration::from_millis(10);
/// Each heartbeat is early or late by up to this share of the period.
const JITTER: f64 = 0.1;
/// What a master may name as the period between two.
const PERIODS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(20)..=Duration::from_secs(60);

/// The agent's end of the link.
pub(crate) struct Link {
    client: GridClient,
    who: Arc<AgentIdentity>,
    hostname: String,
    patience: Duration,
    core: Arc<AgentCore>,
    standing: Arc<Standing>,
    trouble: Trouble,
}

/// Why the agent has to register again.
enum Lost {
    Unknown,
    Error(ClientError),
}

impl Link {
    pub(crate) fn new(
        who: Arc<AgentIdentity>,
        core: Arc<AgentCore>,
        standing: Arc<Standing>,
    ) -> Self {
        let patience = core.timings().master;
        // No retries: after a failure a whole registration is sent, not the call that failed.
        let client = GridClient::new(&who.master).with_timeout(patience).with_retries(0);
        Self {
            client,
            who,
            hostname: host::name(),
            patience,
            core,
            standing,
            trouble: Trouble::default(),
        }
    }

    /// Keeps the link for ever.
    pub(crate) async fn run(&mut self) {
        let mut failures = 0;
        loop {
            match self.client.register_agent(&self.registration()).await {
                Ok(terms) => {
                    failures = 0;
                    self.trouble = Trouble::default();
                    tracing::info!(
                        master = self.who.master,
                        version = terms.master_version,
                        "registered"
                    );
                    self.standing.registered();
                    match self.stay(&terms).await {
                        Lost::Unknown => {
                            self.standing.not_registered("it does not know this agent".into());
                            tracing::info!(
                                master = self.who.master,
                                "the master does not know this agent; registering again"
                            );
                        }
                        Lost::Error(error) => {
                            self.standing.not_registered(error.to_string());
                            tracing::warn!(
                                master = self.who.master,
                                %error,
                                "lost the master; the nodes go on, and it is tried again"
                            );
                        }
                    }
                    sleep(backoff::delay(1)).await;
                }
                Err(error) => {
                    failures += 1;
                    self.standing.not_registered(error.to_string());
                    let is_refused = matches!(
                        &error,
                        ClientError::Refused { status, .. } if !status.is_transient()
                    );
                    self.trouble.tell(&self.who.master, &error, is_refused);
                    let wait =
                        if is_refused { jittered(REFUSED, 0.25) } else { backoff::delay(failures) };
                    sleep(wait).await;
                }
            }
        }
    }

    /// Takes leave of the master, if it knows this agent.
    pub(crate) async fn unregister(&self) {
        let leave = self.client.leave(&self.who.id, self.who.incarnation);
        match timeout(self.patience, leave).await {
            Ok(Ok(false)) => {
                tracing::info!(master = self.who.master, "the master does not know this agent");
            }
            Ok(Ok(true)) => tracing::info!(master = self.who.master, "unregistered"),
            Ok(Err(error)) => {
                tracing::warn!(master = self.who.master, %error, "could not unregister");
            }
            Err(_) => tracing::warn!(master = self.who.master, "could not unregister in time"),
        }
    }

    /// Sends heartbeats, and reports what changes, until the agent has to register again.
    async fn stay(&self, terms: &AgentRegistered) -> Lost {
        let period = Duration::from_millis(u64::from(terms.heartbeat_ms))
            .clamp(*PERIODS.start(), *PERIODS.end());
        let mut revision = self.core.nodes().revision();
        let mut reported = *revision.borrow_and_update();
        // A change between the registration and now is found by the first heartbeat.
        let mut beat = Instant::now() + jittered(period, 1.0).min(period);
        let mut ports = None;
        loop {
            let told = tokio::select! {
                () = tokio::time::sleep_until(beat.into()) => {
                    beat = Instant::now() + jittered(period, JITTER);
                    self.heartbeat(&mut reported).await
                }
                changed = revision.changed() => {
                    if changed.is_err() {
                        std::future::pending::<()>().await;
                    }
                    sleep(TOGETHER).await;
                    let newest = *revision.borrow_and_update();
                    if newest == reported { Ok(true) } else { self.report(&mut reported).await }
                }
            };
            let told = match told {
                Ok(true) => self.tell_ports(&mut ports).await,
                other => other,
            };
            match told {
                Ok(true) => {}
                Ok(false) => return Lost::Unknown,
                Err(error) => return Lost::Error(error),
            }
        }
    }

    /// Tells where the agent and its nodes serve HTTP, where that is news. `told` is what the
    /// master has heard last.
    async fn tell_ports(&self, told: &mut Option<AdminPorts>) -> Result<bool, ClientError> {
        let ports = AdminPorts {
            agent_id: self.who.id.clone(),
            incarnation: self.who.incarnation,
            admin: self.who.admin.clone().unwrap_or_default(),
            nodes: self.core.nodes().admin_ports(),
        };
        if told.as_ref() == Some(&ports) {
            return Ok(true);
        }
        match self.client.report_admin_ports(&ports).await {
            Ok(false) => return Ok(false),
            // The master has not asked this agent back yet: with the next heartbeat it may have.
            Err(ClientError::Refused { status: Status::Busy, .. }) => return Ok(true),
            // An older master knows nothing of it.
            Ok(true) | Err(ClientError::Refused { status: Status::UnknownOpcode, .. }) => {}
            Err(error) => return Err(error),
        }
        *told = Some(ports);
        Ok(true)
    }

    async fn heartbeat(&self, reported: &mut u64) -> Result<bool, ClientError> {
        let (agent_id, incarnation) = (self.who.id.clone(), self.who.incarnation);
        let revision = *self.core.nodes().revision().borrow();
        let heartbeat = AgentHeartbeat { agent_id, incarnation, revision, sent: host::now() };
        match self.client.heartbeat(&heartbeat).await? {
            None => Ok(false),
            Some(ack) if ack.wants_report => self.report(reported).await,
            Some(_) => Ok(true),
        }
    }

    async fn report(&self, reported: &mut u64) -> Result<bool, ClientError> {
        let (revision, nodes) = self.core.nodes().report();
        let (agent_id, incarnation) = (self.who.id.clone(), self.who.incarnation);
        match self
            .client
            .report_nodes(&AgentReport { agent_id, incarnation, revision, nodes })
            .await
        {
            Ok(known) => {
                *reported = revision;
                Ok(known)
            }
            // A master whose disk is full still hears heartbeats, and asks for the report again
            // with each.
            Err(
                error @ ClientError::Refused {
                    status: Status::StorageFull | Status::StorageFailed,
                    ..
                },
            ) => {
                tracing::warn!(
                    master = self.who.master,
                    %error,
                    "the master can't take a report; it is sent again"
                );
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    fn registration(&self) -> AgentRegistration {
        let (revision, nodes) = self.core.nodes().report();
        AgentRegistration {
            agent_id: self.who.id.clone(),
            hostname: self.hostname.clone(),
            platform: host::platform(),
            version: env!("CARGO_PKG_VERSION").into(),
            endpoint: self.who.endpoint.clone(),
            incarnation: self.who.incarnation,
            revision,
            memory_mb: host::memory_mb(),
            max_nodes: self.who.max_nodes,
            cores: u32::try_from(available_cpus().len()).unwrap_or(u32::MAX),
            nodes,
        }
    }
}

/// What keeps the agent from registering: logged when it changes, and now and then.
#[derive(Default)]
struct Trouble {
    said: Option<(String, Instant)>,
}

impl Trouble {
    fn tell(&mut self, master: &str, error: &ClientError, is_refused: bool) {
        let words = error.to_string();
        let is_old =
            self.said.as_ref().is_some_and(|(said, at)| *said == words && at.elapsed() < REMINDER);
        if is_old {
            return;
        }
        if is_refused {
            tracing::error!(
                master,
                error = words,
                "the master refuses this agent; it is asked again every {REFUSED:?}"
            );
        } else {
            tracing::warn!(
                master,
                error = words,
                "can't register with the master; it is tried again until it is there"
            );
        }
        self.said = Some((words, Instant::now()));
    }
}
