//! Replies that outlive the call that received them: a validated archive together with the buffer
//! that it lies in.
//!
//! A client receives into one buffer, hands out views of the frames in it, and gets the buffer back
//! when the last view is dropped. Making a view validates once; reading a field of it costs no
//! allocation and no copy.

use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::{Checked, FrameBuffer, Payload, PayloadError};

/// A part of a receive buffer that several views may hold on to. The bytes never change while it
/// lives.
#[derive(Clone, Debug)]
pub struct SharedBytes {
    buffer: Arc<FrameBuffer>,
    range: Range<usize>,
}

impl SharedBytes {
    /// The bytes `range` of `buffer`; `None` where they reach beyond it.
    pub fn new(buffer: Arc<FrameBuffer>, range: Range<usize>) -> Option<Self> {
        buffer.get(range.clone())?;
        Some(Self { buffer, range })
    }

    /// A buffer of its own.
    pub fn whole(buffer: FrameBuffer) -> Self {
        let range = 0..buffer.len();
        Self { buffer: Arc::new(buffer), range }
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

/// A validated archive of `T` with the buffer that holds it. Reads as `T`'s archived form.
pub struct View<T: Payload> {
    bytes: SharedBytes,
    of: PhantomData<fn() -> T>,
}

impl<T: Payload> View<T> {
    /// Validates the archive, once.
    pub fn new(bytes: SharedBytes) -> Result<Self, PayloadError> {
        Checked::<T>::new(&bytes)?;
        Ok(Self { bytes, of: PhantomData })
    }

    /// The view as a borrowed one.
    pub fn checked(&self) -> Checked<'_, T> {
        // SAFETY: `new` validated exactly these bytes, and bytes behind an `Arc` that is never
        // handed out mutably don't change or move.
        unsafe { Checked::from_validated(&self.bytes) }
    }

    /// The archive's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T: Payload> Deref for View<T> {
    type Target = T::Archived;

    fn deref(&self) -> &T::Archived {
        self.checked().get()
    }
}

impl<T: Payload> Clone for View<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), of: PhantomData }
    }
}

impl<T: Payload<Archived: std::fmt::Debug>> std::fmt::Debug for View<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConceptRecord, Header, Parsed};

    #[test]
    fn a_view_reads_in_place_and_keeps_its_buffer() {
        let record =
            ConceptRecord { id: [3; 16], content: "in place".into(), ..ConceptRecord::default() };
        let mut out = FrameBuffer::new();
        crate::encode_archive(&mut out, Header::default(), &record);
        let Ok(Parsed::Frame(frame, _)) = crate::parse(&out, 1000) else { panic!("a whole frame") };
        let range = 32..32 + frame.payload.len();
        let buffer = Arc::new(out);
        let view =
            View::<ConceptRecord>::new(SharedBytes::new(buffer.clone(), range).expect("inside"))
                .expect("valid");
        assert!(buffer.as_ptr_range().contains(&view.content.as_ptr()));
        drop(buffer);
        assert_eq!((view.content.as_str(), view.checked().to_owned()), ("in place", record));
    }

    #[test]
    fn bytes_beyond_the_buffer_are_refused() {
        assert!(SharedBytes::new(Arc::new(FrameBuffer::new()), 0..1).is_none());
    }
}
