//! What concepts that an answer gives by their ids are called, and how their contents begin.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sutra_admin::Refusal;
use sutra_client::{Client, ConceptRecord, View};
use sutra_wire::ConceptId;

use crate::refused::refused;

/// Characters of a content that a list shows.
const SHOWN: usize = 300;
/// Records under way at a time: few, as one may have 16 MiB.
const AT_A_TIME: usize = 64;

/// A concept as lists show it. One that is not learned has an id alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Brief {
    pub(crate) id: ConceptId,
    name: String,
    learned: bool,
    content: String,
}

impl Brief {
    pub(crate) fn new(id: ConceptId, record: Option<&View<ConceptRecord>>) -> Self {
        let of = |text: &str| text.chars().take(SHOWN).collect();
        Self {
            id,
            name: record.map(|record| record.name.to_string()).unwrap_or_default(),
            learned: record.is_some(),
            content: record.map(|record| of(&record.content)).unwrap_or_default(),
        }
    }

    pub(crate) fn is_learned(&self) -> bool {
        self.learned
    }

    /// Its fields; an answer may have more beside them.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let fields: [(&str, Value); 4] = [
            ("id", self.id.to_string().into()),
            ("name", self.name.clone().into()),
            ("learned", self.learned.into()),
            ("content", self.content.clone().into()),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    pub(crate) fn json(&self) -> Value {
        Value::Object(self.fields())
    }
}

/// Looks concepts up, each once.
pub(crate) async fn briefs(
    client: &Client,
    ids: impl IntoIterator<Item = ConceptId>,
) -> Result<HashMap<ConceptId, Brief>, Refusal> {
    let mut ids: Vec<ConceptId> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut answers = client.query_many(ids.clone()).in_flight(AT_A_TIME);
    let mut briefs = HashMap::with_capacity(ids.len());
    for id in ids {
        let Some(record) = answers.next().await else { break };
        briefs.insert(id, Brief::new(id, record.map_err(refused)?.as_ref()));
    }
    Ok(briefs)
}

/// One of them. Whoever looked them up asked for it as well.
pub(crate) fn brief(briefs: &HashMap<ConceptId, Brief>, id: ConceptId) -> Brief {
    briefs.get(&id).cloned().unwrap_or_else(|| Brief::new(id, None))
}
