//! Concepts: one by its name or id, and all of them page by page.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sutra_admin::{Asked, Code, Refusal};
use sutra_client::{Client, ConceptRef, Neighborhood};
use sutra_wire::ConceptId;

use crate::brief::{Brief, brief, briefs};
use crate::edges::shortest;
use crate::refused::refused;

/// Most concepts in one page.
const MOST: u32 = 1_000;
/// For how long a page is filled. Where few concepts of many are in the namespace, looking for more
/// of them may take long.
const FILLING: Duration = Duration::from_secs(1);
/// Bytes of content that one concept is shown with: what a page can show to a person.
const CONTENT: usize = 64 << 10;

/// A concept that was named.
pub(crate) fn named(name: &str) -> Result<ConceptId, Refusal> {
    ConceptRef::from(name).id().map_err(|error| refused(error.into()))
}

/// Where a list goes on.
pub(crate) fn cursor(asked: &Asked) -> Result<u64, Refusal> {
    Ok(asked.read("cursor")?.unwrap_or(0))
}

/// A cursor as it is told: text, as programs that read JSON round large numbers.
pub(crate) fn told(cursor: u64) -> Value {
    if cursor == 0 { Value::Null } else { cursor.to_string().into() }
}

/// `/api/v1/concepts`
pub(crate) async fn list(client: Client, asked: Asked) -> Result<Value, Refusal> {
    let limit = asked.number("limit", 50, 1..=MOST)?;
    let mut pages = client.concept_pages().cursor(cursor(&asked)?);
    let (mut ids, mut goes_on_at, began) = (Vec::new(), 0, Instant::now());
    // A reply of the server is of one core, and ends with what that one has.
    loop {
        let left = limit - u32::try_from(ids.len()).unwrap_or(limit);
        pages = pages.limit(left);
        let Some(page) = pages.next().await.transpose().map_err(refused)? else { break };
        ids.extend(page.ids.iter().map(|id| ConceptId(*id)));
        goes_on_at = page.cursor.to_native();
        if ids.len() >= limit as usize || goes_on_at == 0 || began.elapsed() > FILLING {
            break;
        }
    }
    let known = briefs(&client, ids.iter().copied()).await?;
    let concepts: Vec<_> = ids.into_iter().map(|id| brief(&known, id).json()).collect();
    Ok(json!({ "concepts": concepts, "cursor": told(goes_on_at) }))
}

/// Refuses a concept that is not learned, and that no association knows.
pub(crate) async fn check_known(client: &Client, name: &str, id: ConceptId) -> Result<(), Refusal> {
    let neighbors = client.neighbors(Neighborhood::of(id).limit(1)).await.map_err(refused)?;
    if !neighbors.neighbors.is_empty() || client.query(id).await.map_err(refused)?.is_some() {
        return Ok(());
    }
    let message = format!("there is no concept {name:?} in this namespace");
    Err(Refusal::new(Code::NotFound, message))
}

/// `/api/v1/concepts/{concept}`
pub(crate) async fn one(client: Client, asked: Asked) -> Result<Value, Refusal> {
    let name = asked.required("concept")?;
    let id = named(name)?;
    let Some(record) = client.query(id).await.map_err(refused)? else {
        check_known(&client, name, id).await?;
        return Ok(Brief::new(id, None).json());
    };
    let cut = record.content.floor_char_boundary(CONTENT);
    Ok(json!({
        "id": id.to_string(),
        "name": record.name.as_str(),
        "learned": true,
        "content": &record.content[..cut],
        "content_bytes": record.content.len(),
        "strength": shortest(record.strength.to_native()),
        "confidence": shortest(record.confidence.to_native()),
        "embedding_numbers": record.embedding.len(),
        "created_us": record.created.to_native(),
        "updated_us": record.updated.to_native(),
    }))
}
