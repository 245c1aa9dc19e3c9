//! What must hold for any bytes that are offered as an archive, whatever they are. The property
//! tests and the fuzz targets share it.

use rkyv::api::high::{HighDeserializer, HighSerializer};
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Deserialize, Serialize};
use sutra_wire::{Checked, FrameBuffer, Payload};

use crate::walk::{Walk, walk};

/// Everything that the wire's payload types can do.
pub(crate) trait Probed:
    Sized
    + Payload<Archived: Walk + Deserialize<Self, HighDeserializer<Error>>>
    + for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Error>>
{
}

impl<T> Probed for T where
    T: Payload<Archived: Walk + Deserialize<T, HighDeserializer<Error>>>
        + for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Error>>
{
}

/// The bytes in an allocation of exactly their length, so that a sanitizer sees a read of one byte
/// more.
pub(crate) fn exact(bytes: &[u8]) -> FrameBuffer {
    let mut buffer = FrameBuffer::with_capacity(bytes.len());
    buffer.extend_from_slice(bytes);
    buffer
}

/// Offers the bytes as an archive of `T`. Either they are refused, or every field can be read where
/// it lies, copied out, and archived anew to something that is accepted and reads the same. Says
/// whether they were accepted.
pub(crate) fn probe<T: Probed>(bytes: &[u8]) -> bool {
    let buffer = exact(bytes);
    let Ok(checked) = Checked::<T>::new(&buffer) else { return false };
    let read = walk(checked);
    let again = rkyv::to_bytes::<Error>(&checked.to_owned())
        .expect("a value that was read can be archived");
    let again = Checked::<T>::new(&again).expect("an accepted value stays acceptable");
    assert_eq!(walk(again), read, "{} reads differently once copied out and archived", T::NAME);
    true
}
