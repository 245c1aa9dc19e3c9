//! Whoever sees a region's watermark sees the bytes below it, and they don't change any more.

use std::sync::Arc;

use loom::thread;

use crate::Model;
use crate::region::{Region, RegionSlice, RegionWriter};

pub(super) fn models() -> [Model; 2] {
    let model = |name, most, run| Model { name, interruptions: most, run };
    [
        model("frozen_bytes_are_read_while_others_are_written", Some(4), read_and_write),
        model("a_slice_that_was_passed_on_is_read_while_others_are_written", None, passed_on),
    ]
}

/// Byte by byte, the number of each.
fn write_all(writer: &mut RegionWriter) {
    while writer.frozen() < writer.len() {
        let number = writer.frozen();
        writer.writable()[0] = number as u8;
        writer.freeze(number + 1);
    }
}

fn check(region: &Arc<Region>) {
    let frozen = region.frozen();
    let bytes = region.bytes(0..frozen).expect("the watermark only rises");
    assert!((0..).zip(bytes).all(|(number, byte)| number == *byte));
}

fn read_and_write() {
    let mut writer = RegionWriter::new(2).unwrap();
    let readers = [(); 2].map(|()| {
        let region = Arc::clone(writer.region());
        thread::spawn(move || {
            check(&region);
            check(&region);
        })
    });
    write_all(&mut writer);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

fn passed_on() {
    let mut writer = RegionWriter::new(2).unwrap();
    writer.writable()[0] = 0;
    writer.freeze(1);
    let slice: RegionSlice = writer.region().slice(0..1).unwrap();
    let reader = thread::spawn(move || {
        assert_eq!(*slice, [0]);
        let rest = slice.region().slice(slice.range().end..2);
        assert!(rest.is_none_or(|rest| *rest == [1]));
    });
    write_all(&mut writer);
    reader.join().unwrap();
}
