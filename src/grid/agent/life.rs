//! The life of one node: it is started, looked after, started again when it has ended by itself,
//! and stopped when that is asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::core::AgentCore;
use crate::error::AgentError;
use crate::folder::LOGS;
use crate::list::NodeRecord;
use crate::live_process::{LiveProcess, Look};
use crate::orders::{NodeTask, Orders, orders};
use crate::process::Process;
use crate::{data_folder, disk_space, logs, paths};

/// Between two looks at the health of a node that is starting.
const SOON: Duration = Duration::from_millis(50);
/// Health answers that stay away before a node is not called running any more.
const MISSES: u32 = 3;
/// The pause before a node is started again that has ended while its disk was full.
const FULL: Duration = Duration::from_secs(1);

/// What a task needs to look after a node.
pub(crate) struct Life {
    core: Arc<AgentCore>,
    id: String,
    orders: Orders,
}

/// Why a process is looked after no more.
pub(crate) enum End {
    /// The agent was told to stop it.
    Told,
    /// The process neither answers nor does anything.
    Hung,
    /// It has ended; how, and its last words.
    Ended(String),
}

impl Life {
    /// What a task needs, and the way to it.
    pub(crate) fn of(core: &Arc<AgentCore>, id: &str) -> (NodeTask, Self) {
        let (task, orders) = orders();
        (task, Self { core: Arc::clone(core), id: id.into(), orders })
    }

    fn record(&self) -> Result<NodeRecord, String> {
        let record = self.core.nodes().look(&self.id, |node| node.record().clone());
        record.ok_or_else(|| "it is not on the list any more".into())
    }

    /// Starts the node's process and notes it. Whether the note is on disk is told apart.
    pub(crate) async fn start(&self) -> Result<(LiveProcess, Result<(), AgentError>), String> {
        let (nodes, launcher) = (self.core.nodes(), self.core.launcher());
        nodes
            .renew_ports(&self.id, launcher.ip(), launcher.admin_ip())
            .map_err(|refusal| refusal.to_string())?;
        let record = self.record()?;
        self.check_folder(&record)?;
        let log_from = logs::length(&launcher.log(&record.id));
        let process = launcher.launch(&record)?;
        let (id, memory) = (process.id().clone(), launcher.memory_words(record.memory_limit_mb));
        tracing::info!(node = record.id, pid = id.pid, port = record.port, "started a node");
        nodes.change(&self.id, |node| node.started(id, memory));
        Ok((LiveProcess::of(process, &record, launcher, log_from), nodes.save().await))
    }

    /// A node's folder is its own at each start, not only when it was given.
    fn check_folder(&self, record: &NodeRecord) -> Result<(), String> {
        paths::check_again(self.core.nodes().root(), &record.path, &record.id)?;
        match self.core.nodes().in_the_way(record) {
            None => Ok(()),
            Some(other) => {
                Err(format!("its folder is node {other}'s as well, or lies in or around it"))
            }
        }
    }

    /// Looks once, after a wait: what the health says or why it does not answer; or why there is
    /// nothing more to look at.
    async fn look(
        &mut self,
        live: &mut LiveProcess,
        wait: Duration,
    ) -> Result<Result<String, String>, End> {
        tokio::select! {
            look = live.look(wait) => match look {
                Look::Answers(words) => Ok(Ok(words)),
                Look::Silent(why) => Ok(Err(why)),
                Look::Ended(words) => Err(End::Ended(words)),
            },
            () = self.orders.stop() => Err(End::Told),
        }
    }

    /// The health has answered: with these words of what is not well.
    fn answered(&self, words: String) {
        let nodes = self.core.nodes();
        if nodes.look(&self.id, |node| node.is_news(&words)) == Some(true) {
            nodes.change(&self.id, |node| node.answered(words));
        }
    }

    /// Waits until the health answers.
    pub(crate) async fn first_answer(&mut self, live: &mut LiveProcess) -> Result<(), End> {
        loop {
            if let Ok(words) = self.look(live, SOON).await? {
                self.answered(words);
                return Ok(());
            }
        }
    }

    /// Looks after a process until its end, or until it is to be ended.
    async fn watch(&mut self, live: &mut LiveProcess) -> End {
        let (mut misses, mut wait) = (0, Duration::ZERO);
        live.reset_idle();
        loop {
            match self.look(live, wait).await {
                Err(end) => return end,
                Ok(Ok(words)) => {
                    misses = 0;
                    live.reset_idle();
                    wait = self.core.timings().health;
                    self.answered(words);
                }
                Ok(Err(why)) => {
                    misses += 1;
                    if live.idle_for() >= self.core.timings().hung {
                        return End::Hung;
                    }
                    wait = SOON.saturating_mul(1 << misses.min(6)).min(self.core.timings().health);
                    if misses == MISSES {
                        tracing::warn!(
                            node = self.id,
                            problem = why,
                            "a node's health does not answer"
                        );
                        self.core.nodes().change(&self.id, |node| node.fell_silent(&why));
                    }
                }
            }
        }
    }

    /// Asks the process to end, and kills it if it does not. Returns when it is gone.
    pub(crate) async fn terminate(&self, live: &mut LiveProcess, drain: Duration) {
        self.core.nodes().change(&self.id, |node| node.stopping());
        live.terminate(drain).await;
    }

    /// Kills a process that does nothing, a stopped one too. How it ended, or that the node is to
    /// be stopped meanwhile.
    async fn end_hung(&mut self, live: &mut LiveProcess) -> End {
        let time = self.core.timings().hung;
        tracing::warn!(node = self.id, "a node neither answers nor does anything; it is killed");
        tokio::select! {
            () = live.kill() => End::Ended(format!(
                "its health did not answer, it did nothing for {time:?}, and it was killed"
            )),
            () = self.orders.stop() => End::Told,
        }
    }

    /// Looks after the node as long as it is wanted. `live` is its process, where there is one
    /// already; `died` says that it had one, which has ended while nobody looked.
    pub(crate) async fn keep(mut self, mut live: Option<LiveProcess>, mut died: Option<String>) {
        loop {
            let ended = match live.take() {
                Some(mut process) => {
                    let end = match self.watch(&mut process).await {
                        End::Hung => self.end_hung(&mut process).await,
                        end => end,
                    };
                    match end {
                        End::Ended(words) => match self.follow().await {
                            Some(next) => {
                                live = Some(next);
                                continue;
                            }
                            None => words,
                        },
                        End::Told | End::Hung => {
                            self.terminate(&mut process, self.core.timings().drain).await;
                            return self.stopped().await;
                        }
                    }
                }
                None if died.is_some() => died.take().unwrap_or_default(),
                None => match self.start_again().await {
                    Ok(process) => {
                        live = Some(process);
                        continue;
                    }
                    Err(words) => words,
                },
            };
            let is_full = self.is_disk_full();
            let Some(pause) = self.pause(is_full) else { return self.give_up(ended).await };
            self.crashed(ended, is_full, pause).await;
            tokio::select! {
                () = sleep(pause) => {}
                () = self.orders.stop() => return self.stopped().await,
            }
        }
    }

    /// The process that has taken over from the node's own, which the data folder's lock names;
    /// where there is one, that one is the node's from here on.
    async fn follow(&self) -> Option<LiveProcess> {
        let (nodes, launcher) = (self.core.nodes(), self.core.launcher());
        let record = self.record().ok()?;
        let data = launcher.data(&record);
        let process = Process::adopt(data_folder::holder(&data)?, None, &data)?;
        let id = process.id().clone();
        tracing::info!(node = self.id, pid = id.pid, "a node was taken over by another process");
        nodes.change(&self.id, |node| node.adopt(id));
        nodes.save_or_warn().await;
        Some(LiveProcess::adopted(process, &record, launcher))
    }

    /// After what pause a node that has ended by itself is started again; `None` where that was too
    /// often.
    fn pause(&self, is_full: bool) -> Option<Duration> {
        if is_full {
            // That is not the node's doing, so it does not count.
            return self.record().is_ok().then_some(FULL);
        }
        self.core.nodes().note(&self.id, |node| node.next_restart(self.core.timings())).flatten()
    }

    /// Whether what a node needs to start lies on a disk without room.
    fn is_disk_full(&self) -> bool {
        let root = self.core.nodes().root();
        let data = self.record().map(|record| root.join(record.path));
        data.is_ok_and(|data| disk_space::is_full(&data)) || disk_space::is_full(&root.join(LOGS))
    }

    async fn crashed(&self, ended: String, is_full: bool, pause: Duration) {
        let why = if is_full {
            format!("{ended} (its disk is full: it is tried again until there is room)")
        } else {
            ended
        };
        tracing::warn!(
            node = self.id,
            reason = why,
            "a node has ended by itself; it is started again in {pause:?}"
        );
        self.core.nodes().change(&self.id, |node| node.crashed(why));
        self.core.nodes().save_or_warn().await;
    }

    async fn start_again(&self) -> Result<LiveProcess, String> {
        self.core.nodes().note(&self.id, |node| node.count_restart());
        let (live, saved) = self.start().await?;
        if let Err(error) = saved {
            // An agent that comes back finds the process by its command line and folder.
            tracing::warn!(
                %error,
                "the list of nodes is not on disk as it should be; it is tried again"
            );
        }
        Ok(live)
    }

    async fn stopped(self) {
        tracing::info!(node = self.id, "stopped a node");
        self.core.nodes().change(&self.id, |node| node.stopped());
        self.core.launcher().clear(&self.id);
        self.core.nodes().save_or_warn().await;
    }

    async fn give_up(self, ended: String) {
        let (most, window) = (self.core.timings().restarts, self.core.timings().restart_window);
        let why = format!(
            "it was started again {most} times within {window:?} and has ended each time; \
             at last {ended}"
        );
        tracing::error!(node = self.id, reason = why, "gave a node up");
        self.core.nodes().note(&self.id, |node| node.give_up(why));
        self.core.launcher().clear(&self.id);
        // On disk before it is told.
        self.core.nodes().save_or_warn().await;
        self.core.nodes().change(&self.id, |node| node.given_up());
    }
}
