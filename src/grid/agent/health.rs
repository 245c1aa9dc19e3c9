//! Whether a node's health answers, over a client that is kept while it does.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sutra_client::Client;

use super::process;

/// One answer may take this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks one node.
pub(super) struct Health {
    address: SocketAddr,
    data: PathBuf,
    pid: u32,
    client: Option<Client>,
}

impl Health {
    pub(super) fn of(address: SocketAddr, data: &Path, pid: u32) -> Self {
        Self { address, data: data.to_owned(), pid, client: None }
    }

    /// What it says that is not well, empty where all is; or why there is no answer.
    pub(super) async fn ask(&mut self) -> Result<String, String> {
        // Somebody else on this port would answer as well.
        if process::holder(&self.data) != Some(self.pid) {
            return Err("it has not opened its data folder yet".into());
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                let connect = Client::connect(self.address.to_string()).with_timeout(PATIENCE).with_retries(0);
                connect.await.map_err(|error| error.to_string())?
            }
        };
        let health = client.health().await.map_err(|error| error.to_string())?;
        let words = if health.healthy { String::new() } else { health.status.to_string() };
        drop(health);
        self.client = Some(client);
        Ok(words)
    }
}
