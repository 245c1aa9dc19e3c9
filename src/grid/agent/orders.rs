//! The way between the agent and the task that looks after a node: one end gives orders, the other
//! takes them.

use std::future::pending;

use tokio::sync::watch;

/// The agent's end.
#[derive(Clone, Debug)]
pub(crate) struct NodeTask {
    stop: watch::Sender<bool>,
    /// Closed when the task has ended.
    done: watch::Receiver<()>,
}

/// The task's end. Dropped with the task.
#[derive(Debug)]
pub(crate) struct Orders {
    stop: watch::Receiver<bool>,
    _done: watch::Sender<()>,
}

/// Both ends.
pub(crate) fn orders() -> (NodeTask, Orders) {
    let (stop, told) = watch::channel(false);
    let (finished, done) = watch::channel(());
    (NodeTask { stop, done }, Orders { stop: told, _done: finished })
}

impl NodeTask {
    /// Tells the task to stop its node.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the task's end.
    pub(crate) async fn ended(mut self) {
        while self.done.changed().await.is_ok() {}
    }
}

impl Orders {
    /// Waits until the node is to be stopped.
    pub(crate) async fn stop(&mut self) {
        if self.stop.wait_for(|told| *told).await.is_err() {
            // Nobody can tell it any more: its node is off the list.
            pending::<()>().await;
        }
    }
}
