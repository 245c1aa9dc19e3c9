//! A node's process while it lives: what its health says, how it ends, and its last words.
//!
//! Whoever looks is told what is to be seen. What becomes of the node is not decided here.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use crate::health::Health;
use crate::launch::Launcher;
use crate::list::NodeRecord;
use crate::logs;
use crate::process::{Process, ProcessId};

/// No more than this counts between two looks as time in which a node does nothing: the agent may
/// have been stopped, too.
const LOOKED: Duration = Duration::from_secs(10);

/// What a look at a process has shown.
pub(crate) enum Look {
    /// Its health answers: with what is not well, empty where all is.
    Answers(String),
    /// Its health does not answer, for this reason.
    Silent(String),
    /// It has ended: how, and its last words.
    Ended(String),
}

/// A node's process.
pub(crate) struct LiveProcess {
    node_id: String,
    process: Process,
    health: Health,
    log: PathBuf,
    /// Where the process's own words begin in the log.
    log_from: u64,
    idle: Idle,
}

/// How long a process whose health does not answer has done nothing.
struct Idle {
    done: Option<u64>,
    looked: Instant,
    time: Duration,
}

impl Idle {
    fn new() -> Self {
        Self { done: None, looked: Instant::now(), time: Duration::ZERO }
    }

    /// Looks at the process once more.
    fn look(&mut self, process: &Process) -> Duration {
        let (done, now) = (process.done(), Instant::now());
        let passed = now.duration_since(std::mem::replace(&mut self.looked, now)).min(LOOKED);
        let is_idle = done.is_some() && done == std::mem::replace(&mut self.done, done);
        self.time = if is_idle { self.time + passed } else { Duration::ZERO };
        self.time
    }
}

impl LiveProcess {
    /// A process whose log begins at `log_from`.
    pub(crate) fn of(
        process: Process,
        node: &NodeRecord,
        launcher: &Launcher,
        log_from: u64,
    ) -> Self {
        let health = Health::of(launcher.reach(node.port), &launcher.data(node), process.id().pid);
        let (node_id, log) = (node.id.clone(), launcher.log(&node.id));
        Self { node_id, process, health, log, log_from, idle: Idle::new() }
    }

    /// One that was there before: what it has written is not told of.
    pub(crate) fn adopted(process: Process, node: &NodeRecord, launcher: &Launcher) -> Self {
        let log_from = logs::length(&launcher.log(&node.id));
        Self::of(process, node, launcher, log_from)
    }

    pub(crate) fn id(&self) -> &ProcessId {
        self.process.id()
    }

    /// Looks once, after a wait; sooner where the process ends.
    pub(crate) async fn look(&mut self, wait: Duration) -> Look {
        let ask = async {
            sleep(wait).await;
            self.health.ask().await
        };
        tokio::select! {
            ended = self.process.ended() => {
                let words = logs::last_words(&self.log, self.log_from);
                Look::Ended(match words {
                    Some(words) => format!("{ended}: {words}"),
                    None => ended,
                })
            }
            answer = ask => match answer {
                Ok(words) => Look::Answers(words),
                Err(why) => Look::Silent(why),
            },
        }
    }

    /// For how long it has done nothing by now, since [`LiveProcess::reset_idle`].
    pub(crate) fn idle_for(&mut self) -> Duration {
        self.idle.look(&self.process)
    }

    /// It answers, so it does something.
    pub(crate) fn reset_idle(&mut self) {
        self.idle = Idle::new();
    }

    /// Why the start of a node that did not answer has failed.
    pub(crate) fn not_in_time(&self, time: Duration) -> String {
        let words = logs::last_words(&self.log, self.log_from);
        let words = words.map_or_else(String::new, |words| format!("; it said at last: {words}"));
        format!("its health has not answered within {time:?}{words}")
    }

    /// Asks it to end, and kills it if it has not within `drain`. Returns when it is gone.
    pub(crate) async fn terminate(&mut self, drain: Duration) {
        if let Err(error) = self.process.signal(Signal::TERM) {
            tracing::warn!(node = self.node_id, %error, "a node can't be told to end");
        }
        if timeout(drain, self.process.ended()).await.is_ok() {
            return;
        }
        tracing::warn!(node = self.node_id, "a node has not ended within {drain:?}; it is killed");
        self.kill().await;
    }

    /// Kills it, though it be stopped. Returns when it is gone.
    pub(crate) async fn kill(&mut self) {
        if let Err(error) = self.process.signal(Signal::KILL) {
            tracing::warn!(node = self.node_id, %error, "a node can't be killed");
        }
        self.process.ended().await;
    }
}
