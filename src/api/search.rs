//! The concepts that are most like something.

use serde_json::{Value, json};
use sutra_admin::{Asked, Code, Refusal};
use sutra_client::{Client, SearchQuery};
use sutra_wire::{ConceptId, limits};

use crate::brief::{brief, briefs};
use crate::concepts::named;
use crate::edges::shortest;
use crate::refused::refused;

/// `/api/v1/search`
pub(crate) async fn find(client: Client, asked: Asked) -> Result<Value, Refusal> {
    let (vector, without) = like(&client, &asked).await?;
    let k = asked.number("k", SearchQuery::DEFAULT_K, 1..=limits::MAX_RESULTS - 1)?;
    let mut query = SearchQuery::like(vector)
        // One more than is told, as the concept itself is found as well, and left out.
        .k(k + u32::from(without.is_some()))
        .minimum_strength(asked.number("min_strength", 0.0, 0.0..=f32::MAX)?)
        .minimum_confidence(asked.number("min_confidence", 0.0, 0.0..=1.0)?);
    if let Some(near) = asked.text("near") {
        query = query.near(named(near)?, asked.number("within", 1, 0..=u32::MAX)?);
    } else if asked.text("within").is_some() {
        return Err(bad("within says how far from a concept: give near, too"));
    }
    if asked.flag("exact")? {
        query = query.exact();
    }
    let found = client.search(query).await.map_err(refused)?;
    let hits = found.hits.iter().map(|hit| (ConceptId(hit.id), hit.similarity.to_native()));
    let hits: Vec<_> = hits.filter(|(id, _)| Some(*id) != without).take(k as usize).collect();
    let known = briefs(&client, hits.iter().map(|(id, _)| *id)).await?;
    let results = hits.into_iter().map(|(id, similarity)| {
        let mut fields = brief(&known, id).fields();
        fields.insert("similarity".into(), shortest(similarity));
        Value::Object(fields)
    });
    let results: Vec<_> = results.collect();
    Ok(json!({ "found": !results.is_empty(), "results": results }))
}

/// What is searched for, and the concept that is not to be found itself.
async fn like(client: &Client, asked: &Asked) -> Result<(Vec<f32>, Option<ConceptId>), Refusal> {
    let name = match (asked.text("like"), asked.text("vector")) {
        (Some(name), None) => name,
        (None, Some(_)) => return Ok((asked.list("vector")?, None)),
        _ => return Err(bad("give like, a concept, or vector, its numbers; one of them")),
    };
    let id = named(name)?;
    let Some(record) = client.query(id).await.map_err(refused)? else {
        let message = format!("there is no learned concept {name:?} in this namespace");
        return Err(Refusal::new(Code::NotFound, message));
    };
    if record.embedding.is_empty() {
        let message = format!("{name:?} has no embedding to search by");
        return Err(Refusal::new(Code::Refused, message));
    }
    Ok((record.embedding.iter().map(|number| number.to_native()).collect(), Some(id)))
}

fn bad(message: &str) -> Refusal {
    Refusal::new(Code::BadRequest, message)
}
