//! A concept's neighbours.

use serde_json::{Value, json};
use sutra_admin::{Asked, Refusal};
use sutra_client::{Client, Direction, Neighborhood};
use sutra_wire::ConceptId;

use crate::brief::{brief, briefs};
use crate::concepts::{check_known, cursor, named, told};
use crate::edges;
use crate::refused::refused;

/// Most associations in one answer.
const MOST: u32 = 1_000;

/// `/api/v1/concepts/{concept}/neighbors`
pub(crate) async fn list(client: Client, asked: Asked) -> Result<Value, Refusal> {
    let name = asked.required("concept")?;
    let id = named(name)?;
    let of = Neighborhood::of(id)
        .kinds(edges::kinds(&asked)?)
        .direction(edges::direction(&asked)?)
        .minimum_confidence(asked.number("min_confidence", 0.0, 0.0..=1.0)?)
        .limit(asked.number("limit", 50, 1..=MOST)?)
        .cursor(cursor(&asked)?);
    let page = client.neighbors(of).await.map_err(refused)?;
    let ends = page.neighbors.iter().map(|edge| ConceptId(edge.id));
    let known = briefs(&client, ends.chain([id])).await?;
    if page.neighbors.is_empty() && !brief(&known, id).is_learned() {
        check_known(&client, name, id).await?;
    }
    let neighbors = page.neighbors.iter().map(|edge| {
        let mut fields = brief(&known, ConceptId(edge.id)).fields();
        let is_out = edge.direction == Direction::Out as u8;
        let (kind, confidence) = (edge.kind.to_native(), edge.confidence.to_native());
        fields.extend(edges::fields(kind, is_out, confidence));
        Value::Object(fields)
    });
    Ok(json!({
        "concept": brief(&known, id).json(),
        "neighbors": neighbors.collect::<Vec<_>>(),
        "cursor": told(page.cursor.to_native()),
    }))
}
