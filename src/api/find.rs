//! Concepts by a text in their names or contents. No index has these, so all concepts are looked
//! at, one page after the other, a little at a time.
//!
//! One such scan goes on at a time: it keeps a core some percent busy. Another waits for it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sutra_admin::{Asked, Refusal};
use sutra_client::{Client, ConceptRecord, View};
use sutra_wire::ConceptId;
use tokio::sync::Semaphore;

use crate::brief::Brief;
use crate::concepts::{cursor, told};
use crate::refused::refused;

/// How long one answer looks; whoever asked goes on from its cursor.
const LOOK: Duration = Duration::from_millis(200);
/// Concepts in a page. An answer ends with a page, so it may have so many more than its limit.
const PAGE: u32 = 64;
const MOST: usize = 500;
/// Bytes of a content that are looked at.
const BEGINNING: usize = 4 << 10;

/// `/api/v1/find`
pub(crate) async fn containing(client: Client, asked: Asked) -> Result<Value, Refusal> {
    static ONE: Semaphore = Semaphore::const_new(1);
    let text = asked.required("text")?.to_lowercase();
    let limit = asked.number("limit", 20, 1..=MOST)?;
    let mut pages = client.concept_pages().limit(PAGE).cursor(cursor(&asked)?);
    let _alone = ONE.acquire().await.ok();
    let (began, mut found, mut scanned, mut next) = (Instant::now(), Vec::new(), 0, 0);
    while let Some(page) = pages.next().await {
        let page = page.map_err(refused)?;
        next = page.cursor.to_native();
        let ids: Vec<_> = page.ids.iter().map(|id| ConceptId(*id)).collect();
        scanned += ids.len();
        let mut records = client.query_many(ids.clone()).in_flight(PAGE as usize);
        for id in ids {
            let Some(record) = records.next().await else { break };
            let record = record.map_err(refused)?.filter(|record| has(record, &text));
            found.extend(record.map(|record| Brief::new(id, Some(&record)).json()));
        }
        if found.len() >= limit || began.elapsed() >= LOOK {
            break;
        }
    }
    Ok(json!({ "concepts": found, "scanned": scanned, "cursor": told(next) }))
}

fn has(record: &View<ConceptRecord>, text: &str) -> bool {
    let beginning = record.content.floor_char_boundary(BEGINNING);
    let contains = |whole: &str| whole.to_lowercase().contains(text);
    contains(&record.name) || contains(&record.content[..beginning])
}
