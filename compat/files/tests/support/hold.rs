//! What must hold for any bytes that are taken for a snapshot. The property tests and the fuzz
//! target share it.

use std::io::Cursor;

use sutra_compat_files::{
    Association, Entry, HEADER_BYTES, MAX_CONTENT, ReadError, Reader, Snapshot, Writer, low_bits,
};

/// An error that can be told, or a snapshot: each entry can be read, what they make is in range,
/// and what was read is written again as the same bytes.
pub(crate) fn judge(bytes: &[u8]) -> Option<ReadError> {
    let snapshot = match Snapshot::open(bytes) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            assert!(matches!(error, ReadError::Damaged(_)), "memory is read: {error}");
            assert!(error.to_string().len() < 200, "a short line: {error}");
            return Some(error);
        }
    };
    let mut concepts = snapshot.concepts().expect("it was read before");
    let mut count = 0;
    while let Some(concept) = concepts.next_concept().expect("it was read before") {
        count += 1;
        assert!(snapshot.has(&concept.id));
        assert!(concept.strength.is_finite() && concept.strength >= 0.0);
        assert!((0.0..=1.0).contains(&concept.confidence));
        assert!(concept.embedding.iter().all(|number| number.is_finite()));
        let length = concept.embedding.len();
        assert!(length == 0 || length == snapshot.dimension() as usize);
    }
    assert_eq!(count, snapshot.header().concepts);
    for association in snapshot.associations() {
        assert!((0.0..=1.0).contains(&association.confidence));
    }
    again(bytes);
    None
}

/// Writes what is read; the bytes must be the same, but for contents that are not read.
fn again(bytes: &[u8]) {
    let mut reader = Reader::new(&bytes).expect("it was read before");
    let header = *reader.header();
    let mut writer = Writer::new(Cursor::new(Vec::new()), Cursor::new(Vec::new())).expect("memory");
    let mut edges = Vec::new();
    while let Some(entry) = reader.next_entry().expect("it was read before") {
        match entry {
            Entry::Concept(concept) => {
                let Some(content) = concept.content else {
                    assert!(concept.content_bytes > MAX_CONTENT);
                    return;
                };
                let numbers = [concept.strength, concept.confidence];
                let created = low_bits(u64::from(concept.created));
                writer
                    .concept(&concept.id, content, numbers, concept.accesses, created)
                    .expect("memory");
            }
            Entry::Edge(edge) => edges.push(Association {
                source: edge.source,
                target: edge.target,
                confidence: edge.confidence,
            }),
            Entry::Vector(vector) => {
                let at = usize::try_from(vector.numbers_at).expect("it is in memory");
                let numbers: Vec<f32> = bytes[at..][..vector.count as usize * 4]
                    .chunks_exact(4)
                    .map(|number| f32::from_le_bytes(number.try_into().expect("four bytes")))
                    .collect();
                writer.vector(&vector.id, &numbers).expect("memory");
            }
        }
    }
    let (written, again) = writer.finish(edges, header.flushed).expect("memory");
    assert_eq!(again, header);
    assert_eq!(written.get_ref().len(), bytes.len());
    assert!(written.get_ref() == bytes, "other bytes behind the {HEADER_BYTES} of the header");
}
