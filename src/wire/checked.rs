//! Typed views of bytes from outside: made only by validation, never validated twice.
//!
//! [`Checked`] borrows an archive that bytecheck has walked (every pointer inside the slice, every
//! string UTF-8, every option one of its values) and whose values make sense ([`Payload::check`]:
//! ids, lengths, finite numbers in range). Cost: one pass over the archive, no allocation, no copy.

use std::marker::PhantomData;
use std::ops::Deref;

use rkyv::api::high::{HighDeserializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::{BoxedError, Error};
use rkyv::rend::{f32_le, u32_le};
use rkyv::string::ArchivedString;
use rkyv::vec::ArchivedVec;
use rkyv::{Archive, Deserialize, Portable};

use crate::{FrameBuffer, PayloadError, limits};

/// A type whose archive travels or is stored.
pub trait Payload:
    Archive<
    Archived: Portable
                  + for<'a> CheckBytes<HighValidator<'a, Error>>
                  + for<'a> CheckBytes<HighValidator<'a, BoxedError>>,
>
{
    /// What messages call it.
    const NAME: &'static str;

    /// Whether a structurally valid archive makes sense.
    fn check(archived: &Self::Archived) -> Result<(), PayloadError>;
}

/// A validated archive of `T`.
pub struct Checked<'a, T: Payload> {
    bytes: &'a [u8],
    archived: &'a T::Archived,
    of: PhantomData<T>,
}

impl<'a, T: Payload> Checked<'a, T> {
    /// Validates `bytes`, which must hold exactly one archive, aligned as its type needs (frames
    /// align every payload to 16 bytes).
    pub fn new(bytes: &'a [u8]) -> Result<Self, PayloadError> {
        let archived =
            rkyv::access::<T::Archived, Error>(bytes).map_err(|_| PayloadError::Archive {
                expected: T::NAME,
                length: bytes.len(),
                detail: fault::<T>(bytes),
            })?;
        T::check(archived)?;
        Ok(Self { bytes, archived, of: PhantomData })
    }

    /// Takes bytes for validated without looking at them again.
    ///
    /// # Safety
    /// These bytes, or bytes that they are a copy of at the same alignment, have passed
    /// [`Checked::new`] of the same `T`, and nothing but the times of a record was changed since.
    pub unsafe fn from_validated(bytes: &'a [u8]) -> Self {
        // SAFETY: the caller promises that validation of these bytes succeeded.
        let archived = unsafe { rkyv::access_unchecked::<T::Archived>(bytes) };
        Self { bytes, archived, of: PhantomData }
    }

    /// The archive's bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The archive, for as long as its bytes are borrowed.
    pub fn get(&self) -> &'a T::Archived {
        self.archived
    }

    /// The value itself, copied out of the archive. Allocates what its strings and lists need.
    pub fn to_owned(&self) -> T
    where
        T::Archived: Deserialize<T, HighDeserializer<Error>>,
    {
        rkyv::deserialize::<T, Error>(self.archived)
            .expect("deserializing a validated archive without shared pointers can't fail")
    }
}

/// A copy of a validated archive with the buffer that holds it, so that it can travel to another
/// core.
pub struct Parcel<T: Payload> {
    buffer: FrameBuffer,
    of: PhantomData<fn() -> T>,
}

impl<T: Payload> Parcel<T> {
    /// The archive.
    pub fn checked(&self) -> Checked<'_, T> {
        // SAFETY: only `Checked::copy_into` makes a parcel: the buffer holds a copy of a validated
        // archive, 16-byte aligned like the original, and is not handed out mutably.
        unsafe { Checked::from_validated(&self.buffer) }
    }

    /// The buffer, to be used again.
    pub fn into_buffer(self) -> FrameBuffer {
        self.buffer
    }
}

impl<T: Payload> Checked<'_, T> {
    /// Copies the archive into `buffer`, replacing what it held.
    pub fn copy_into(&self, mut buffer: FrameBuffer) -> Parcel<T> {
        buffer.clear();
        buffer.extend_from_slice(self.bytes);
        Parcel { buffer, of: PhantomData }
    }
}

impl<T: Payload> Deref for Checked<'_, T> {
    type Target = T::Archived;

    fn deref(&self) -> &T::Archived {
        self.archived
    }
}

impl<T: Payload> Clone for Checked<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Payload> Copy for Checked<'_, T> {}

/// What is wrong with bytes that failed validation. Validated once more for it, as the error of the
/// hot path says nothing in a release build.
///
/// The validator's errors are traces over several lines, with addresses in them: a reply wants one
/// line, and a peer must not learn where this process's memory lies.
fn fault<T: Payload>(bytes: &[u8]) -> String {
    let Err(error) = rkyv::access::<T::Archived, BoxedError>(bytes) else {
        unreachable!("the same bytes were refused a moment ago");
    };
    let text = error.to_string();
    let words =
        text.split_whitespace().map(|word| if word.contains("0x") { "(address)" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

pub(crate) fn check_id(field: &'static str, id: &[u8; 16]) -> Result<(), PayloadError> {
    if *id == [0; 16] {
        return Err(PayloadError::argument(
            field,
            "is empty (16 zero bytes); give the concept's id",
        ));
    }
    Ok(())
}

pub(crate) fn check_length(
    field: &'static str,
    length: usize,
    limit: usize,
    unit: &str,
) -> Result<(), PayloadError> {
    if length > limit {
        return Err(PayloadError::argument(
            field,
            format!("has {length} {unit}, the limit is {limit}"),
        ));
    }
    Ok(())
}

pub(crate) fn check_namespace(namespace: &ArchivedString) -> Result<(), PayloadError> {
    check_length("namespace", namespace.len(), limits::MAX_NAMESPACE, "bytes")
}

pub(crate) fn check_name(name: &ArchivedString) -> Result<(), PayloadError> {
    check_length("name", name.len(), limits::MAX_NAME, "bytes")
}

pub(crate) fn check_vector(
    field: &'static str,
    vector: &ArchivedVec<f32_le>,
) -> Result<(), PayloadError> {
    check_length(field, vector.len(), limits::MAX_DIMENSION, "numbers")?;
    match vector.iter().position(|number| !number.to_native().is_finite()) {
        Some(at) => Err(PayloadError::argument(
            field,
            format!(
                "number {at} of {} is {}; every number must be finite",
                vector.len(),
                vector[at].to_native()
            ),
        )),
        None => Ok(()),
    }
}

pub(crate) fn check_kinds(kinds: &ArchivedVec<u32_le>) -> Result<(), PayloadError> {
    check_length("kinds", kinds.len(), limits::MAX_KINDS, "kinds")
}

pub(crate) fn check_strength(field: &'static str, strength: f32) -> Result<(), PayloadError> {
    if strength.is_finite() && strength >= 0.0 {
        return Ok(());
    }
    Err(PayloadError::argument(field, format!("is {strength}; it must be finite and not negative")))
}

pub(crate) fn check_confidence(field: &'static str, confidence: f32) -> Result<(), PayloadError> {
    if (0.0..=1.0).contains(&confidence) {
        return Ok(());
    }
    Err(PayloadError::argument(field, format!("is {confidence}; it must lie between 0 and 1")))
}

pub(crate) fn check_at_most(
    field: &'static str,
    value: u32,
    limit: u32,
) -> Result<(), PayloadError> {
    if value > limit {
        return Err(PayloadError::argument(field, format!("is {value}, the limit is {limit}")));
    }
    Ok(())
}

pub(crate) fn check_one_of(field: &'static str, value: u8, count: u8) -> Result<(), PayloadError> {
    if value >= count {
        return Err(PayloadError::argument(
            field,
            format!("is {value}; known are 0 to {}", count - 1),
        ));
    }
    Ok(())
}
