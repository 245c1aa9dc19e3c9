//! `sutra flush`: makes everything written so far durable.

use serde_json::json;
use sutra_client::Client;

use crate::exit::{Answer, Failure};
use crate::output::Output;

pub(crate) async fn run(client: &Client, output: Output) -> Result<Answer, Failure> {
    client.flush().await?;
    output.answer(&json!({ "flushed": true }), || {
        "everything written so far is on stable storage".into()
    })?;
    Ok(Answer::Yes)
}
