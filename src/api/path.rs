//! How two concepts are connected.

use serde_json::{Value, json};
use sutra_admin::{Asked, Refusal};
use sutra_client::{Client, PathQuery};
use sutra_wire::{ConceptId, limits};

use crate::brief::{brief, briefs};
use crate::concepts::{check_known, named};
use crate::edges;
use crate::refused::refused;

/// `/api/v1/path`
pub(crate) async fn find(client: Client, asked: Asked) -> Result<Value, Refusal> {
    let names = [asked.required("from")?, asked.required("to")?];
    let (from, to) = (named(names[0])?, named(names[1])?);
    let query = PathQuery::between(from, to)
        .kinds(edges::kinds(&asked)?)
        .direction(edges::direction(&asked)?)
        .max_depth(asked.number("max_depth", PathQuery::DEFAULT_MAX_DEPTH, 0..=u32::MAX)?)
        .alternatives(asked.number("alternatives", 1, 1..=limits::MAX_ALTERNATIVES)?);
    let found = client.path(query).await.map_err(refused)?;
    if found.paths.is_empty() {
        for (name, id) in names.into_iter().zip([from, to]) {
            check_known(&client, name, id).await?;
        }
    }
    let all = found.paths.iter().flat_map(|path| path.concepts.iter());
    let all: Vec<_> = all.map(|id| ConceptId(*id)).collect();
    let known = briefs(&client, all).await?;
    let paths = found.paths.iter().map(|path| {
        let concepts = path.concepts.iter().map(|id| brief(&known, ConceptId(*id)).json());
        let edges = path.edges.iter().map(|edge| {
            let (kind, confidence) = (edge.kind.to_native(), edge.confidence.to_native());
            Value::Object(edges::fields(kind, edge.forward, confidence))
        });
        json!({
            "length": path.edges.len(),
            "concepts": concepts.collect::<Vec<_>>(),
            "associations": edges.collect::<Vec<_>>(),
        })
    });
    let paths: Vec<_> = paths.collect();
    Ok(json!({ "found": !paths.is_empty(), "paths": paths }))
}
