//! Replies in bincode 1: a variant's number and exactly the fields of the first TCP release, in
//! order. Tuples of borrowed values are what bincode is given: it writes a tuple as its parts, one
//! after the other, like the old enum's variants.

use serde::Serialize;

use crate::answer::{Answer, reconciliations, seconds};
use crate::ids::Hex;
use crate::operation::Numbering;

/// The number of `GetNeighborsOk`, in all releases.
pub(crate) const NEIGHBORS: u32 = 3;

/// A variant's number: the later releases put one in front of those from 6 on.
fn number(first: u32, numbering: Numbering) -> u32 {
    match numbering {
        Numbering::Later if first >= 6 => first + 1,
        _ => first,
    }
}

/// Appends values.
pub(crate) fn put(out: &mut Vec<u8>, values: &impl Serialize) {
    bincode::serialize_into(out, values).expect("writing plain values into memory can't fail");
}

/// Appends a reply.
pub(crate) fn write(answer: Answer<'_>, numbering: Numbering, out: &mut Vec<u8>) {
    let number = |first| number(first, numbering);
    match answer {
        Answer::LearnConceptOk { sequence } => put(out, &(number(0), sequence)),
        Answer::LearnAssociationOk { sequence } => put(out, &(number(1), sequence)),
        Answer::QueryConceptOk(None) => put(out, &(number(2), false, "", "", 0_f32, 0_f32)),
        Answer::QueryConceptOk(Some(concept)) => {
            let (strength, confidence) =
                (concept.strength.to_native(), concept.confidence.to_native());
            put(
                out,
                &(
                    number(2),
                    true,
                    Hex::of(&concept.id).as_str(),
                    concept.content.as_str(),
                    strength,
                    confidence,
                ),
            );
        }
        Answer::FindPathOk(path) => {
            let concepts = path.map_or(&[][..], |path| &path.concepts);
            put(out, &(number(4), path.is_some(), concepts.len() as u64));
            concepts.iter().for_each(|id| put(out, &Hex::of(id).as_str()));
        }
        Answer::VectorSearchOk(hits) => {
            put(out, &(number(5), hits.len() as u64));
            hits.iter()
                .for_each(|hit| put(out, &(Hex::of(&hit.id).as_str(), hit.similarity.to_native())));
        }
        Answer::StatsOk(stats) => {
            let (concepts, edges) = (stats.concepts.to_native(), stats.associations.to_native());
            let (written, dropped, pending) =
                (stats.written.to_native(), 0_u64, stats.pending.to_native());
            let (reconciliations, uptime) =
                (reconciliations(stats), seconds(stats.uptime.to_native()));
            put(
                out,
                &(number(6), concepts, edges, written, dropped, pending, reconciliations, uptime),
            );
        }
        Answer::FlushOk => put(out, &number(7)),
        Answer::HealthCheckOk(health) => {
            put(
                out,
                &(
                    number(8),
                    health.healthy,
                    health.status.as_str(),
                    seconds(health.uptime.to_native()),
                ),
            );
        }
        Answer::Error { message } => put(out, &(number(9), message)),
        Answer::DeleteConceptOk { .. }
        | Answer::DeleteAssociationOk { .. }
        | Answer::GetAssociationOk(_) => {
            unreachable!("no number of bincode's stands for these")
        }
    }
}
