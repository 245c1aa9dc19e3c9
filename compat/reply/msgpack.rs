//! Replies in MessagePack, in the one set of shapes that all clients in the field can read.
//!
//! The two learns are `{"LearnConceptOk": [sequence]}`, since clients index into an array there;
//! every other reply is a map of named fields; one without fields is a bare name. A client that
//! sends `{"type": …}` gets maps everywhere. An error is always `{"Error": {"message": …}}`. Rows
//! of a search are arrays of two.

use rmp::encode;
use sutra_wire::{ArchivedAssociationRecord, ArchivedConceptRecord, ArchivedStats};

use crate::answer::{Answer, reconciliations, seconds};
use crate::ids::Hex;

const INTO_MEMORY: &str = "writing into memory can't fail";

/// Appends values to a message.
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        encode::write_str(self.0, text).expect(INTO_MEMORY);
        self
    }

    fn integer(&mut self, number: u64) -> &mut Self {
        encode::write_uint(self.0, number).expect(INTO_MEMORY);
        self
    }

    fn float(&mut self, number: f32) -> &mut Self {
        encode::write_f32(self.0, number).expect(INTO_MEMORY);
        self
    }

    fn boolean(&mut self, value: bool) -> &mut Self {
        encode::write_bool(self.0, value).expect(INTO_MEMORY);
        self
    }

    pub(crate) fn array(&mut self, length: usize) -> &mut Self {
        let length = u32::try_from(length).expect("a native reply has fewer than 2^32 elements");
        encode::write_array_len(self.0, length).expect(INTO_MEMORY);
        self
    }

    fn map(&mut self, length: u32) -> &mut Self {
        encode::write_map_len(self.0, length).expect(INTO_MEMORY);
        self
    }

    /// `{"name": {` of so many fields.
    pub(crate) fn open(&mut self, name: &str, fields: u32) -> &mut Self {
        self.map(1).text(name).map(fields)
    }

    fn sequence(&mut self, name: &str, sequence: u64, maps: bool) {
        match maps {
            true => self.open(name, 1).text("sequence").integer(sequence),
            false => self.map(1).text(name).array(1).integer(sequence),
        };
    }

    fn concept(&mut self, concept: Option<&ArchivedConceptRecord>) {
        self.open("QueryConceptOk", 5).text("found").boolean(concept.is_some());
        match concept {
            Some(concept) => {
                self.text("concept_id").text(Hex::of(&concept.id).as_str());
                self.text("content").text(&concept.content);
                self.text("strength").float(concept.strength.to_native());
                self.text("confidence").float(concept.confidence.to_native());
            }
            None => {
                self.text("concept_id").text("").text("content").text("");
                self.text("strength").float(0.0).text("confidence").float(0.0);
            }
        }
    }

    fn association(&mut self, association: Option<&ArchivedAssociationRecord>) {
        self.open("GetAssociationOk", 5).text("found").boolean(association.is_some());
        match association {
            Some(association) => {
                self.text("source_id").text(Hex::of(&association.source).as_str());
                self.text("target_id").text(Hex::of(&association.target).as_str());
                self.text("assoc_type").integer(association.kind.to_native().into());
                self.text("confidence").float(association.confidence.to_native());
            }
            None => {
                self.text("source_id").text("").text("target_id").text("");
                self.text("assoc_type").integer(0).text("confidence").float(0.0);
            }
        }
    }

    fn stats(&mut self, stats: &ArchivedStats) {
        let (concepts, associations) = (stats.concepts.to_native(), stats.associations.to_native());
        let written = stats.written.to_native();
        // Both spellings of what consumers read. Nothing is ever dropped here.
        let fields = [
            ("concepts", concepts),
            ("total_concepts", concepts),
            ("edges", associations),
            ("total_edges", associations),
            ("total_associations", associations),
            ("vectors", stats.vectors.to_native()),
            ("written", written),
            ("writes", written),
            ("dropped", 0),
            ("drops", 0),
            ("pending", stats.pending.to_native()),
            ("reconciliations", reconciliations(stats)),
            ("uptime_seconds", seconds(stats.uptime.to_native())),
        ];
        self.open("StatsOk", fields.len() as u32);
        for (name, value) in fields {
            self.text(name).integer(value);
        }
    }
}

/// Appends a reply, all of maps where the client speaks in them.
pub(crate) fn write(answer: Answer<'_>, maps: bool, out: &mut Vec<u8>) {
    let mut out = Writer(out);
    match answer {
        Answer::LearnConceptOk { sequence } => out.sequence("LearnConceptOk", sequence, maps),
        Answer::LearnAssociationOk { sequence } => {
            out.sequence("LearnAssociationOk", sequence, maps);
        }
        Answer::QueryConceptOk(concept) => out.concept(concept),
        Answer::FindPathOk(path) => {
            out.open("FindPathOk", 2).text("found").boolean(path.is_some()).text("path");
            let concepts = path.map_or(&[][..], |path| &path.concepts);
            out.array(concepts.len());
            for id in concepts {
                out.text(Hex::of(id).as_str());
            }
        }
        Answer::VectorSearchOk(hits) => {
            out.open("VectorSearchOk", 1).text("results").array(hits.len());
            for hit in hits {
                out.array(2).text(Hex::of(&hit.id).as_str()).float(hit.similarity.to_native());
            }
        }
        Answer::StatsOk(stats) => out.stats(stats),
        Answer::FlushOk => {
            if maps {
                out.open("FlushOk", 0)
            } else {
                out.text("FlushOk")
            };
        }
        Answer::HealthCheckOk(health) => {
            out.open("HealthCheckOk", 3).text("healthy").boolean(health.healthy);
            out.text("status").text(&health.status);
            out.text("uptime_seconds").integer(seconds(health.uptime.to_native()));
        }
        Answer::GetAssociationOk(association) => out.association(association),
        Answer::DeleteConceptOk { deleted } => {
            out.open("DeleteConceptOk", 1).text("deleted").boolean(deleted);
        }
        Answer::DeleteAssociationOk { deleted } => {
            out.open("DeleteAssociationOk", 1).text("deleted").boolean(deleted);
        }
        Answer::Error { message } => {
            out.open("Error", 1).text("message").text(message);
        }
    }
}
