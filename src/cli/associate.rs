//! `sutra associate`: stores an association, and says what of an earlier version it replaced.

use serde::Serialize;
use sutra_client::{Association, Client};

use crate::args::Associate;
use crate::exit::{Answer, Failure};
use crate::output::{Output, name};

/// The answer for programs.
#[derive(Serialize)]
struct Associated<'a> {
    source: &'a str,
    target: &'a str,
    #[serde(rename = "type")]
    kind: String,
    sequence: u64,
    /// `null` where there was no association of this type between the two.
    replaced: Option<Replaced>,
}

/// What an earlier version had otherwise; what is the same is left out.
#[derive(Clone, Copy, Serialize)]
struct Replaced {
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
}

pub(crate) async fn run(client: &Client, associate: &Associate, output: Output) -> Result<Answer, Failure> {
    let Associate { source, target, kind, confidence, place } = associate;
    let client = client.namespace(&place.namespace);
    let earlier = client.association(source, target, Some(*kind)).await?;
    let replaced = earlier
        .map(|earlier| Replaced { confidence: Some(earlier.confidence.to_native()).filter(|was| was != confidence) });
    let association = Association::between(source, target).kind(*kind).confidence(*confidence);
    let sequence = client.associate(association).await?;
    let value = Associated { source, target, kind: kind.to_string(), sequence, replaced };
    output.answer(&value, || {
        let anew = if replaced.is_some() { " anew" } else { "" };
        let was = replaced.and_then(|replaced| replaced.confidence);
        let was = was.map_or_else(String::new, |was| format!("; its confidence was {was}"));
        format!("{} → {}{anew} ({kind}, sequence {sequence}){was}", name(source), name(target))
    })?;
    Ok(Answer::Yes)
}
