//! `sutra learn`: stores a concept.

use serde_json::json;
use sutra_client::{Client, Concept};
use sutra_wire::ConceptId;

use crate::args::{Learn, Named};
use crate::exit::{Answer, Failure};
use crate::output::{Output, name};
use crate::vector::vector;

pub(crate) async fn run(client: &Client, learn: &Learn, output: Output) -> Result<Answer, Failure> {
    let embedding = learn.embedding.as_deref().map_or(Ok(Vec::new()), |text| vector("--embedding", text))?;
    let Named { concept: called, place } = &learn.named;
    let concept = Concept::new(called)
        .content(&learn.content)
        .embedding(embedding)
        .strength(learn.strength)
        .confidence(learn.confidence)
        .namespace(&place.namespace);
    let sequence = client.learn(concept).await?;
    let id = ConceptId::from_name(called).map(|id| id.to_string()).unwrap_or_default();
    output.answer(&json!({ "name": called, "id": id, "sequence": sequence }), || {
        format!("learned {} (id {id}, sequence {sequence})", name(called))
    })?;
    Ok(Answer::Yes)
}
