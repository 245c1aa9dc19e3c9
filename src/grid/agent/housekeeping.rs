//! What is done now and then: logs are bounded, and the list is written where that has failed.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::logs;
use crate::table::NodeTable;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps house for ever.
pub(crate) async fn keep_house(nodes: &NodeTable) {
    loop {
        sleep(PAUSE).await;
        if nodes.is_unsaved() && nodes.save().await.is_ok() {
            tracing::info!("the list of nodes is on disk again");
        }
        let (root, pids) = (nodes.root().to_owned(), nodes.pids());
        // It panics nowhere.
        let _ = spawn_blocking(move || bound_logs(root, pids)).await;
    }
}

fn bound_logs(root: PathBuf, pids: Vec<(String, Option<u32>)>) {
    for (id, pid) in pids {
        if let Err(error) = logs::keep(&logs::file(&root, &id), pid, logs::MOST) {
            tracing::warn!(node = id, %error, "a log that is too long can't be kept whole");
        }
    }
}
