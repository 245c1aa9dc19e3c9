//! `sutra associate`: stores an association.

use serde_json::json;
use sutra_client::{Association, Client};

use crate::args::Associate;
use crate::exit::{Answer, Failure};
use crate::output::{Output, name};

pub(crate) async fn run(client: &Client, associate: &Associate, output: Output) -> Result<Answer, Failure> {
    let Associate { source, target, kind, confidence, place } = associate;
    let association =
        Association::between(source, target).kind(*kind).confidence(*confidence).namespace(&place.namespace);
    let sequence = client.associate(association).await?;
    let value = json!({ "source": source, "target": target, "type": kind.to_string(), "sequence": sequence });
    output.answer(&value, || format!("{} → {} ({kind}, sequence {sequence})", name(source), name(target)))?;
    Ok(Answer::Yes)
}
