//! All that a server holds, asked for record by record.

use std::collections::BTreeMap;

use sutra_client::blocking::Client;
use sutra_client::{AssociationKind, ConceptId, Direction, Neighborhood};
use sutra_wire::{AssociationRecord, ConceptRecord};

/// The records of a server, by namespace and by what chooses them.
#[derive(Debug, Default, PartialEq)]
pub struct Whole {
    pub concepts: BTreeMap<(String, ConceptId), ConceptRecord>,
    pub associations: BTreeMap<(String, ConceptId, ConceptId, u32), AssociationRecord>,
}

/// Asks for everything.
pub fn whole(client: &Client) -> Whole {
    let mut whole = Whole::default();
    let info = client.store_info().unwrap();
    for namespace in info.namespaces.iter().map(|name| name.as_str()) {
        let client = client.namespace(namespace);
        let ids = |pages: sutra_client::blocking::ConceptPages| {
            let pages = pages.map(|page| page.unwrap().ids.to_vec());
            pages.flatten().map(ConceptId).collect::<Vec<_>>()
        };
        let (learned, others) = (ids(client.concept_pages()), ids(client.unlearned_source_pages()));
        for id in &learned {
            let record = client.query(*id).unwrap().unwrap().checked().to_owned();
            whole.concepts.insert((namespace.to_owned(), *id), record);
        }
        for source in learned.into_iter().chain(others) {
            let outgoing = Neighborhood::of(source).direction(Direction::Out);
            for page in client.neighbor_pages(outgoing) {
                for edge in page.unwrap().neighbors.iter() {
                    let (target, kind) = (ConceptId(edge.id), edge.kind.to_native());
                    let record = client.association(source, target, Some(AssociationKind(kind)));
                    let record = record.unwrap().unwrap().checked().to_owned();
                    assert_eq!(record.confidence, edge.confidence.to_native());
                    let key = (namespace.to_owned(), source, target, kind);
                    whole.associations.insert(key, record);
                }
            }
        }
    }
    whole
}
