//! Asks a node for its health, over a connection that is kept while it answers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sutra_client::Client;

use crate::data_folder;

/// One answer may take this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks one node.
pub(crate) struct Health {
    address: SocketAddr,
    data: PathBuf,
    pid: u32,
    /// Whether the folder's lock has named the process: from then on it listens on the port.
    has_opened: bool,
    client: Option<Client>,
}

impl Health {
    pub(crate) fn of(address: SocketAddr, data: &Path, pid: u32) -> Self {
        Self { address, data: data.to_owned(), pid, has_opened: false, client: None }
    }

    /// What the node says is wrong with it, empty where nothing is; or why there is no answer.
    pub(crate) async fn ask(&mut self) -> Result<String, String> {
        let has_folder = data_folder::holder(&self.data) == Some(self.pid);
        self.has_opened |= has_folder;
        // Before that another process may answer on this port.
        if !self.has_opened {
            return Err(match self.data.exists() {
                true => "it has not opened its data folder yet".into(),
                false => format!("its data folder {} is not there", self.data.display()),
            });
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                let connect = Client::connect(self.address.to_string())
                    .with_timeout(PATIENCE)
                    .with_retries(0);
                connect.await.map_err(|error| error.to_string())?
            }
        };
        let health = client.health().await.map_err(|error| error.to_string())?;
        let words = match (health.healthy, has_folder) {
            (false, _) => health.status.to_string(),
            (true, true) => String::new(),
            (true, false) => {
                format!(
                    "its data folder is not {} any more, or its lock is not its own",
                    self.data.display()
                )
            }
        };
        drop(health);
        self.client = Some(client);
        Ok(words)
    }
}
