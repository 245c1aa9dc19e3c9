//! Reads every field of an archive in place, as a server or a client does, and holds each byte read
//! to the slice that the archive was validated in.
//!
//! The structs are taken apart without `..`: a field that is added and not walked does not compile.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use rkyv::option::ArchivedOption;
use rkyv::rend::{f32_le, u16_le, u32_le, u64_le};
use rkyv::string::ArchivedString;
use rkyv::vec::ArchivedVec;
use sutra_wire::grid::*;
use sutra_wire::*;

#[macro_use]
#[path = "published.rs"]
mod published;

/// Where reading is allowed, and a digest of what was read.
pub(crate) struct Reach {
    slice: Range<*const u8>,
    digest: DefaultHasher,
}

impl Reach {
    fn read<T: ?Sized>(&mut self, part: &T, value: impl Hash) {
        let start = std::ptr::from_ref(part).cast::<u8>();
        let end = start.wrapping_add(size_of_val(part));
        assert!(
            self.slice.start <= start && end <= self.slice.end,
            "a field reaches outside the validated slice"
        );
        value.hash(&mut self.digest);
    }
}

/// Reads the whole archive; the digest is equal for equal values.
pub(crate) fn walk<T: Payload<Archived: Walk>>(checked: Checked<'_, T>) -> u64 {
    let mut reach = Reach { slice: checked.bytes().as_ptr_range(), digest: DefaultHasher::new() };
    checked.get().walk(&mut reach);
    reach.digest.finish()
}

/// An archived type whose every field can be read.
pub(crate) trait Walk {
    /// Reads all of it.
    fn walk(&self, reach: &mut Reach);
}

macro_rules! walk_numbers {
    ($($number:ty: $value:expr;)*) => {$(
        impl Walk for $number {
            fn walk(&self, reach: &mut Reach) {
                let value: fn(&$number) -> u64 = $value;
                reach.read(self, value(self));
            }
        }
    )*};
}

walk_numbers! {
    u8: |number| (*number).into();
    bool: |flag| (*flag).into();
    u16_le: |number| number.to_native().into();
    u32_le: |number| number.to_native().into();
    u64_le: |number| number.to_native();
    f32_le: |number| number.to_native().to_bits().into();
}

impl<const N: usize> Walk for [u8; N] {
    fn walk(&self, reach: &mut Reach) {
        reach.read(self, self);
    }
}

impl Walk for ArchivedString {
    fn walk(&self, reach: &mut Reach) {
        let text = self.as_str();
        reach.read(text, text);
        // Text is UTF-8: decoding it goes over every character.
        text.chars().count().hash(&mut reach.digest);
    }
}

impl<T: Walk> Walk for ArchivedVec<T> {
    fn walk(&self, reach: &mut Reach) {
        reach.read(self.as_slice(), self.len());
        self.iter().for_each(|element| element.walk(reach));
    }
}

impl<T: Walk> Walk for ArchivedOption<T> {
    fn walk(&self, reach: &mut Reach) {
        reach.read(self, self.is_some());
        if let Some(value) = self.as_ref() {
            value.walk(reach);
        }
    }
}

macro_rules! walk_fields {
    (() $($role:ident { $($of:ident: $archived:ident { $($field:ident),* })* })*) => {$($(
        impl Walk for $archived {
            fn walk(&self, reach: &mut Reach) {
                let Self { $($field),* } = self;
                $($field.walk(reach);)*
            }
        }
    )*)*};
}

published!(walk_fields!());
