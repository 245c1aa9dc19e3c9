//! All shards hold a namespace to one length, and the last that lets go sets it free.

use std::sync::Arc;

use loom::thread;

use crate::Model;
use crate::shared_dimensions::SharedDimensions;

pub(super) fn models() -> [Model; 1] {
    [Model { name: "shards_hold_a_namespace_to_one_length", interruptions: Some(3), run }]
}

fn run() {
    let dimensions = Arc::new(SharedDimensions::new(1));
    let shards = [3, 5, 3].map(|dimension| {
        let dimensions = Arc::clone(&dimensions);
        thread::spawn(move || match dimensions.hold(0, dimension) {
            Ok(()) => {
                assert_eq!(dimensions.get(0), Some(dimension), "it is held");
                dimensions.release(0);
            }
            Err(held) => assert_eq!(held + dimension, 8, "the other one's"),
        })
    });
    shards.into_iter().for_each(|shard| shard.join().unwrap());
    assert_eq!(dimensions.get(0), None);
}
