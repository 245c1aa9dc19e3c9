//! What the request path allocates: nothing in steady state.
#![allow(clippy::unwrap_used)]

mod support;

use support::{World, archive, association, concept, folder, id, options};
use sutra_store::NamespaceId;
use sutra_testing::allocations::{Counting, counted};
use sutra_wire::{AssociationRecord, Checked, ConceptId, ConceptRecord, Durability};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One round of writes and its commit, as a core does it but for the disk.
fn round(world: &mut World, concepts: &[impl AsRef<[u8]>], associations: &[impl AsRef<[u8]>]) {
    let shard = &mut world.shards[0];
    for bytes in concepts {
        shard
            .learn(Checked::<ConceptRecord>::new(bytes.as_ref()).unwrap(), NamespaceId::DEFAULT, 0)
            .unwrap();
    }
    for bytes in associations {
        shard
            .associate(
                Checked::<AssociationRecord>::new(bytes.as_ref()).unwrap(),
                NamespaceId::DEFAULT,
                0,
            )
            .unwrap();
    }
    let commit = shard.next_commit().unwrap();
    shard.commit_finished(Ok(()), |entry| assert!(entry.effect.is_ok()));
    drop(commit);
}

#[test]
fn neither_writes_nor_reads_allocate_in_steady_state() {
    let folder = folder();
    let options =
        sutra_store::OpenOptions { segment_bytes: 64 << 20, ..options(1, Durability::Always) };
    let mut world = World::open_with(folder.path(), &options).unwrap();
    let concepts: Vec<_> =
        (0..64).map(|number| archive(&concept(number, "some content"))).collect();
    let associations: Vec<_> =
        (0..63).map(|number| archive(&association(number, number + 1, 0.5))).collect();
    for _ in 0..3 {
        round(&mut world, &concepts, &associations);
        world.work();
    }

    assert!(counted(|| std::hint::black_box(Box::new(1))).1.times > 0, "the counter counts");
    let ((), writes) =
        counted(|| (0..20).for_each(|_| round(&mut world, &concepts, &associations)));
    assert_eq!(writes.times, 0, "writes");
    let shard = &world.shards[0];
    let ((), reads) = counted(|| {
        for number in 0..64 {
            let id = ConceptId(id(number));
            assert!(
                shard.concept(NamespaceId::DEFAULT, &id).is_some_and(|stored| !stored.is_empty())
            );
            assert_eq!(shard.record(NamespaceId::DEFAULT, &id).unwrap().content, "some content");
        }
    });
    assert_eq!(reads.times, 0, "reads");
}
