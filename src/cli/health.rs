//! `sutra health`: whether a server can do its work; the exit code says it to scripts.

use std::time::Duration;

use serde_json::json;
use sutra_client::Client;

use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::printable::printable;
use crate::words::duration;

pub(crate) async fn run(client: &Client, output: Output) -> Result<Answer, Failure> {
    let health = client.health().await?;
    let uptime = health.uptime.to_native();
    let value =
        json!({ "healthy": health.healthy, "status": health.status.as_str(), "uptime_us": uptime });
    output.answer(&value, || {
        let word = if health.healthy { "healthy" } else { "unhealthy" };
        let up = duration(Duration::from_micros(uptime));
        format!("{word}: {} (up {up})", printable(&health.status))
    })?;
    Ok(if health.healthy { Answer::Yes } else { Answer::No })
}
