//! The old server's own snapshot: what it has, and that it is written again byte for byte.

use sutra_compat_files::{Association, Concept, Findings, Header, Snapshot};

use crate::support::{SAMPLE, hold, id};

#[test]
fn the_old_servers_own_snapshot_reads_as_what_was_written_to_it() {
    let snapshot = Snapshot::open(SAMPLE).unwrap();
    let flushed = 0x0006_60ed_c1cd_1f56;
    assert_eq!(*snapshot.header(), Header { concepts: 8, edges: 5, vectors: 3, flushed });
    assert_eq!(snapshot.dimension(), 4);
    assert_eq!(
        *snapshot.findings(),
        Findings {
            other_lengths: 1,
            padded: 1,
            padded_example: Some(id("deadbeef000000000000000000000000")),
            ..Findings::default()
        }
    );
    let mut concepts = snapshot.concepts().unwrap();
    let first = concepts.next_concept().unwrap().unwrap();
    assert_eq!(
        first,
        Concept {
            at: 64,
            id: id("842283af5df8327202adcf1d0a9c5bbf"),
            content: Some("with embedding".into()),
            content_bytes: 14,
            embedding: vec![0.5, -0.25, 0.125, 1.0],
            strength: 1.0,
            confidence: 0.9,
            created: 0x0006_60ed_c1c6_b080,
        }
    );
    let mut contents = Vec::new();
    while let Some(concept) = concepts.next_concept().unwrap() {
        contents.push((concept.content.unwrap(), concept.embedding.len()));
    }
    assert_eq!(contents[5], ("ünïcødé 日本語 🙂".to_owned(), 0));
    assert_eq!(contents[6], ("3-dim embedding in a 4-dim server".to_owned(), 0));
    let association = |source, target, confidence| Association {
        source: id(source),
        target: id(target),
        confidence,
    };
    assert_eq!(
        snapshot.associations(),
        [
            association(
                "2c1743a391305fbf367df8e4f069f9f9",
                "987bcab01b929eb2c07877b224215c92",
                0.8
            ),
            association(
                "842283af5df8327202adcf1d0a9c5bbf",
                "987bcab01b929eb2c07877b224215c92",
                0.6
            ),
            association(
                "882a857729a033e1eb4a306481f48a4f",
                "e15e361f13568bacfda25718f16208d0",
                0.9
            ),
        ]
    );
}

#[test]
fn what_is_read_is_written_again_byte_for_byte() {
    assert!(hold::judge(SAMPLE).is_none());
}
