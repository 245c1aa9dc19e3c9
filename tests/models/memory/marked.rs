//! A mark that is written never promises more than was on stable storage, and never falls.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use crate::Model;
use crate::marks::Position;
use crate::progress::Progress;

pub(super) fn models() -> [Model; 1] {
    [Model { name: "a_mark_covers_only_what_was_synced", interruptions: None, run }]
}

/// A shard, and its log on the disk: by place, whether it was synced.
#[derive(Default)]
struct Log {
    progress: Progress,
    synced: [UnsafeCell<bool>; 2],
}

// SAFETY: loom looks that nobody reads a place while it is synced.
unsafe impl Sync for Log {}

/// Places of two segments, in order.
const PLACES: [Position; 2] =
    [Position { segment: 0, offset: u32::MAX }, Position { segment: 1, offset: 0 }];

impl Log {
    /// What a core does when the syncs up to a place have ended.
    fn sync(&self, place: usize) {
        // SAFETY: loom looks that nobody reads it meanwhile.
        self.synced[place].with_mut(|synced| unsafe { *synced = true });
        self.progress.set_durable(PLACES[place]);
    }

    /// What whoever writes the manifest does, with the mark that was written last.
    fn mark(&self, before: Position) -> Position {
        let mark = self.progress.durable();
        assert!(mark >= before);
        let covered = PLACES.iter().zip(&self.synced).filter(|(place, _)| **place <= mark);
        // SAFETY: loom looks that nobody syncs it meanwhile.
        covered.for_each(|(_, synced)| assert!(synced.with(|synced| unsafe { *synced })));
        mark
    }
}

fn run() {
    let log = Arc::new(Log::default());
    let marked = Arc::clone(&log);
    let manifest = thread::spawn(move || {
        let mark = marked.mark(Position::default());
        let was_uncertain = marked.progress.is_uncertain();
        let is_uncertain = marked.progress.is_uncertain();
        let mark = marked.mark(mark);
        assert!(!was_uncertain || is_uncertain || mark == PLACES[1], "it is written again");
    });
    log.progress.set_landed(PLACES[1]);
    log.sync(0);
    log.progress.give_up_unsynced();
    assert_eq!((log.progress.landed(), log.progress.is_uncertain()), (PLACES[0], true));
    // SAFETY: loom looks that nobody reads it meanwhile.
    log.synced[1].with_mut(|synced| unsafe { *synced = true });
    log.progress.written_again(PLACES[1]);
    manifest.join().unwrap();
    assert_eq!((log.mark(PLACES[0]), log.progress.is_uncertain()), (PLACES[1], false));
}
