//! The life of one node: it is started, looked after, started again when it has ended by itself,
//! and stopped when that is asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use sutra_wire::grid::NodeState;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::error::AgentError;
use crate::folder::LOGS;
use crate::health::Health;
use crate::list::{NodeRecord, Wanted};
use crate::mounts::Mounts;
use crate::node::{Keeper, Node};
use crate::process::Process;
use crate::supervisor::Supervisor;
use crate::{host, logs, paths, ports, room};

/// Between two looks at the health of a node that is starting.
const SOON: Duration = Duration::from_millis(50);
/// Health answers that stay away before a node is not called running any more.
const MISSES: u32 = 3;
/// The pause before a node is started again that has ended while its disk was full.
const FULL: Duration = Duration::from_secs(1);
/// No more than this counts between two looks as time in which a node does nothing: the agent may
/// have been stopped, too.
const LOOKED: Duration = Duration::from_secs(10);

/// What a task needs to keep a node.
pub(crate) struct Life {
    supervisor: Arc<Supervisor>,
    id: String,
    stop: watch::Receiver<bool>,
    /// Dropped with the task: says that it has ended.
    _done: watch::Sender<()>,
}

/// Why a process is looked after no more.
pub(crate) enum End {
    /// It is to be stopped.
    Told,
    /// It neither answers nor does anything.
    Hung,
    /// It has ended; how, and its last words.
    Ended(String),
}

/// A process, and where its log began.
pub(crate) struct Started {
    pub(crate) process: Process,
    health: Health,
    log: PathBuf,
    log_from: u64,
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

impl Started {
    /// Why the start of a node that did not answer has failed.
    pub(crate) fn not_in_time(&self, time: Duration) -> String {
        let words = logs::last_words(&self.log, self.log_from);
        let words = words.map_or_else(String::new, |words| format!("; it said at last: {words}"));
        format!("its health has not answered within {time:?}{words}")
    }
}

impl Life {
    /// What a task needs, and the way to it.
    pub(crate) fn of(supervisor: &Arc<Supervisor>, id: &str) -> (Keeper, Self) {
        let (stop, told) = watch::channel(false);
        let (finished, done) = watch::channel(());
        let life = Self { supervisor: Arc::clone(supervisor), id: id.into(), stop: told, _done: finished };
        (Keeper { stop, done }, life)
    }

    fn record(&self) -> Result<NodeRecord, String> {
        let record = self.supervisor.with(&self.id, |node| node.record.clone());
        record.ok_or_else(|| "it is not on the list any more".into())
    }

    /// Starts the node's process and notes it. Whether the note is on disk is told apart.
    pub(crate) async fn start(&self) -> Result<(Started, Result<(), AgentError>), String> {
        self.find_ports()?;
        let record = self.record()?;
        let supervisor = &self.supervisor;
        self.check_folder(&record)?;
        let group = supervisor.memory.group(&record.id, record.memory_limit_mb);
        let group = group.map_err(|error| format!("its memory limit can't be set: {error}"))?;
        let log = logs::file(&supervisor.folder.root, &record.id);
        let log_from = logs::length(&log);
        let process = supervisor.launcher.launch(&record, &log, group.as_ref()).map_err(|error| {
            let program = supervisor.launcher.program.display();
            format!("{program} can't be started: {error}")
        })?;
        supervisor.change(&self.id, |node| {
            node.record.process = Some(process.id.clone());
            node.record.started = host::now();
            node.record.memory = supervisor.memory.words(record.memory_limit_mb);
            node.state = NodeState::Starting;
            node.unanswered = Some(Instant::now());
        });
        tracing::info!(node = record.id, pid = process.id.pid, port = record.port, "started a node");
        let started = self.held(process, &record, log_from);
        Ok((started, supervisor.save().await))
    }

    /// A node's folder is its own at each start, not only when it was given.
    fn check_folder(&self, record: &NodeRecord) -> Result<(), String> {
        let root = &self.supervisor.folder.root;
        paths::check_again(root, &record.path, &record.id)?;
        let nodes = self.supervisor.nodes();
        let mounts = Mounts::now();
        let is_in_the_way = |node: &&Node| {
            let is_other = node.is_active() && node.record.id != record.id;
            is_other && mounts.overlap(&root.join(&node.record.path), &root.join(&record.path))
        };
        match nodes.iter().find(is_in_the_way) {
            None => Ok(()),
            Some(other) => Err(format!("its folder is node {}'s as well, or lies in or around it", other.record.id)),
        }
    }

    fn held(&self, process: Process, record: &NodeRecord, log_from: u64) -> Started {
        let launcher = &self.supervisor.launcher;
        let health = Health::of(launcher.reach(record.port), &launcher.data(record), process.id.pid);
        Started { process, health, log: logs::file(&launcher.root, &record.id), log_from }
    }

    /// Gives the node other ports where nobody asked for its own and somebody else has them by now.
    fn find_ports(&self) -> Result<(), String> {
        let ip = self.supervisor.launcher.ip;
        let mut nodes = self.supervisor.nodes();
        let mut taken = ports::of(nodes.iter().filter(|node| node.is_active() && node.record.id != self.id));
        let Some(node) = nodes.iter_mut().find(|node| node.record.id == self.id) else { return Ok(()) };
        let record = &mut node.record;
        if !record.asked_port {
            taken.insert(record.compat_port);
            record.port = ports::choose(ip, 0, record.port, &taken).map_err(|error| error.to_string())?;
        }
        if !record.asked_compat_port {
            taken.remove(&record.compat_port);
            taken.insert(record.port);
            record.compat_port = ports::choose(ip, 0, record.compat_port, &taken).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Looks once, after a wait: what the health says, or why there is nothing more to look at.
    pub(crate) async fn look(&mut self, started: &mut Started, wait: Duration) -> Result<Result<String, String>, End> {
        let Started { process, health, log, log_from } = started;
        let ask = async {
            sleep(wait).await;
            health.ask().await
        };
        tokio::select! {
            ended = process.ended() => {
                let words = logs::last_words(log, *log_from);
                Err(End::Ended(words.map_or_else(|| ended.clone(), |words| format!("{ended}: {words}"))))
            }
            () = told(&mut self.stop) => Err(End::Told),
            answer = ask => Ok(answer),
        }
    }

    /// The health has answered: with these words of what is not well.
    pub(crate) fn is_running(&self, words: String) {
        let is_news =
            self.supervisor.with(&self.id, |node| node.state != NodeState::Running || node.record.detail != words);
        if is_news == Some(true) {
            self.supervisor.change(&self.id, |node| {
                node.state = NodeState::Running;
                node.record.detail = words;
                node.unanswered = None;
            });
        }
    }

    /// Looks after a process until its end, or until it is to be stopped.
    async fn watch(&mut self, started: &mut Started) -> End {
        let (mut misses, mut wait, mut idle) = (0, Duration::ZERO, Idle::new());
        loop {
            match self.look(started, wait).await {
                Err(end) => return end,
                Ok(Ok(words)) => {
                    (misses, idle) = (0, Idle::new());
                    wait = self.supervisor.timings.health;
                    self.is_running(words);
                }
                Ok(Err(words)) => {
                    misses += 1;
                    if idle.look(&started.process) >= self.supervisor.timings.hung {
                        return End::Hung;
                    }
                    wait = SOON.saturating_mul(1 << misses.min(6)).min(self.supervisor.timings.health);
                    if misses == MISSES {
                        tracing::warn!(node = self.id, problem = words, "a node's health does not answer");
                        self.supervisor.change(&self.id, |node| {
                            node.state = NodeState::Starting;
                            node.record.detail = format!("its health does not answer: {words}");
                            node.unanswered.get_or_insert_with(Instant::now);
                        });
                    }
                }
            }
        }
    }

    /// Waits until the health answers.
    pub(crate) async fn first_answer(&mut self, started: &mut Started) -> Result<(), End> {
        loop {
            if let Ok(words) = self.look(started, SOON).await? {
                self.is_running(words);
                return Ok(());
            }
        }
    }

    /// Asks the process to end, and ends it if it does not. Returns when it is gone.
    pub(crate) async fn terminate(&self, process: &mut Process, drain: Duration) {
        self.supervisor.change(&self.id, |node| node.state = NodeState::Stopping);
        if let Err(error) = process.signal(Signal::TERM) {
            tracing::warn!(node = self.id, %error, "a node can't be told to end");
        }
        if timeout(drain, process.ended()).await.is_ok() {
            return;
        }
        tracing::warn!(node = self.id, "a node has not ended within {drain:?}; it is killed");
        if let Err(error) = process.signal(Signal::KILL) {
            tracing::warn!(node = self.id, %error, "a node can't be killed");
        }
        process.ended().await;
    }

    /// Ends a process that does nothing, a stopped one too. Returns how it was once it is gone, or
    /// that the node is to be stopped.
    async fn end_hung(&mut self, process: &mut Process) -> End {
        let time = self.supervisor.timings.hung;
        tracing::warn!(node = self.id, "a node neither answers nor does anything; it is killed");
        if let Err(error) = process.signal(Signal::KILL) {
            tracing::warn!(node = self.id, %error, "a node can't be killed");
        }
        tokio::select! {
            _ = process.ended() => {
                End::Ended(format!("its health did not answer, it did nothing for {time:?}, and it was killed"))
            }
            () = told(&mut self.stop) => End::Told,
        }
    }

    /// Keeps the node: `held` is its process, where there is one already; `died` says that it had
    /// one, which has ended while nobody looked.
    pub(crate) async fn keep(self, held: Option<Process>, died: Option<String>) {
        let started = held.and_then(|process| {
            let record = self.record().ok()?;
            let log_from = logs::length(&logs::file(&self.supervisor.folder.root, &record.id));
            Some(self.held(process, &record, log_from))
        });
        self.keep_on(started, died).await;
    }

    /// The same for a process that was started just now.
    pub(crate) async fn keep_started(self, started: Started) {
        self.keep_on(Some(started), None).await;
    }

    async fn keep_on(mut self, mut held: Option<Started>, mut died: Option<String>) {
        let timings = self.supervisor.timings.clone();
        loop {
            let ended = match held.take() {
                Some(mut started) => {
                    let end = match self.watch(&mut started).await {
                        End::Hung => self.end_hung(&mut started.process).await,
                        end => end,
                    };
                    match end {
                        End::Ended(words) => words,
                        End::Told | End::Hung => {
                            self.terminate(&mut started.process, timings.drain).await;
                            return self.stopped().await;
                        }
                    }
                }
                None if died.is_some() => died.take().unwrap_or_default(),
                None => match self.start_again().await {
                    Ok(started) => {
                        held = Some(started);
                        continue;
                    }
                    Err(words) => words,
                },
            };
            let is_full = self.is_disk_full();
            let ended = if is_full {
                format!("{ended} (its disk is full: it is tried again until there is room)")
            } else {
                ended
            };
            let next = |node: &mut Node| if is_full { Some(FULL) } else { node.record.recent.next(&timings) };
            let pause = self.supervisor.with(&self.id, next).flatten();
            let Some(pause) = pause else { return self.give_up(ended).await };
            tracing::warn!(
                node = self.id,
                reason = ended,
                "a node has ended by itself; it is started again in {pause:?}"
            );
            self.supervisor.change(&self.id, |node| {
                node.state = NodeState::Crashed;
                node.record.process = None;
                node.record.detail = ended;
            });
            self.supervisor.save_or_warn().await;
            tokio::select! {
                () = sleep(pause) => {}
                () = told(&mut self.stop) => return self.stopped().await,
            }
        }
    }

    /// Whether what a node needs to start lies on a disk without room.
    fn is_disk_full(&self) -> bool {
        let root = &self.supervisor.folder.root;
        let data = self.record().map(|record| root.join(record.path));
        data.is_ok_and(|data| room::is_full(&data)) || room::is_full(&root.join(LOGS))
    }

    async fn start_again(&self) -> Result<Started, String> {
        self.supervisor.with(&self.id, |node| node.record.restarts = node.record.restarts.saturating_add(1));
        let (started, saved) = self.start().await?;
        if let Err(error) = saved {
            // An agent that comes back finds the process by its command line and folder.
            tracing::warn!(%error, "the list of nodes is not on disk as it should be; it is tried again");
        }
        Ok(started)
    }

    async fn stopped(self) {
        tracing::info!(node = self.id, "stopped a node");
        self.supervisor.change(&self.id, |node| {
            node.state = NodeState::Stopped;
            node.keeper = None;
            node.record.process = None;
            let is_wanted = node.record.wanted == Wanted::Running;
            node.record.detail = if is_wanted { "stopped with its agent".into() } else { String::new() };
        });
        self.supervisor.memory.remove(&self.id);
        self.supervisor.save_or_warn().await;
    }

    async fn give_up(self, ended: String) {
        let (most, window) = (self.supervisor.timings.restarts, self.supervisor.timings.restart_window);
        let detail =
            format!("it was started again {most} times within {window:?} and has ended each time; at last {ended}");
        tracing::error!(node = self.id, reason = detail, "gave a node up");
        self.supervisor.with(&self.id, |node| {
            node.record.wanted = Wanted::GivenUp;
            node.record.process = None;
            node.record.detail = detail;
        });
        self.supervisor.memory.remove(&self.id);
        // On disk before it is told.
        self.supervisor.save_or_warn().await;
        self.supervisor.change(&self.id, |node| {
            node.state = NodeState::GaveUp;
            node.keeper = None;
        });
    }
}

/// Waits until the node is to be stopped.
async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|told| *told).await.is_err() {
        // Nobody can tell it any more: its node is off the list.
        std::future::pending::<()>().await;
    }
}
