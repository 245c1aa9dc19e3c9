//! Reading MessagePack where it lies.
//!
//! Markers, lengths and numbers are rmp's. What rmp does not have is here: borrowed text from `str` and `bin`, and
//! stepping over a value within bounds (rmp's own measure of a value panics on extension types, and rmp-serde's
//! visitors can neither borrow a vector nor take `{"type": …}` in any order without copying it). A claimed length is
//! held against what is left of the message before anything is done with it; nothing here allocates but an error's
//! text.

use rmp::Marker;
use rmp::decode;

use crate::error::CompatError;

/// How deep maps and arrays may lie in each other. Requests go three deep, and old clients' options hold a list or two.
pub(crate) const MAX_DEPTH: usize = 16;

/// A number of any of the format's types.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Unsigned(u64),
    Negative(i64),
    Single(f32),
    Double(f64),
}

impl Number {
    /// The nearest float; what is beyond its range is infinite, and refused as that later.
    pub(crate) fn to_f32(self) -> f32 {
        match self {
            Number::Unsigned(number) => number as f32,
            Number::Negative(number) => number as f32,
            Number::Single(number) => number,
            Number::Double(number) => number as f32,
        }
    }
}

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// What the next value is.
    pub(crate) fn peek(&self, inside: &'static str) -> Result<Marker, CompatError> {
        self.rest.first().map(|byte| Marker::from_u8(*byte)).ok_or(CompatError::Truncated { inside })
    }

    fn take(&mut self, length: u32, inside: &'static str) -> Result<&'a [u8], CompatError> {
        let (taken, rest) = self.rest.split_at_checked(length as usize).ok_or(CompatError::Truncated { inside })?;
        self.rest = rest;
        Ok(taken)
    }

    /// One of rmp's readers, after `peek` has shown that the value is of its type: it can fail only where the bytes
    /// end.
    fn with<T, E>(
        &mut self,
        inside: &'static str,
        read: impl FnOnce(&mut &'a [u8]) -> Result<T, E>,
    ) -> Result<T, CompatError> {
        read(&mut self.rest).map_err(|_| CompatError::Truncated { inside })
    }

    /// Steps over nil, if that is what comes next.
    pub(crate) fn nil(&mut self, place: &'static str) -> Result<bool, CompatError> {
        let nil = self.peek(place)? == Marker::Null;
        if nil {
            self.rest = &self.rest[1..];
        }
        Ok(nil)
    }

    /// The bytes of a text: `str`, or `bin` as old Python clients send for `bytes`. `None`, and nothing read, where it
    /// is neither.
    pub(crate) fn text_bytes(&mut self, place: &'static str) -> Result<Option<&'a [u8]>, CompatError> {
        let length = match self.peek(place)? {
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                self.with(place, decode::read_str_len)?
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => self.with(place, decode::read_bin_len)?,
            _ => return Ok(None),
        };
        self.take(length, place).map(Some)
    }

    /// A text.
    pub(crate) fn text(&mut self, place: &'static str) -> Result<&'a str, CompatError> {
        let found = self.peek(place)?;
        let bytes = self.text_bytes(place)?.ok_or_else(|| wrong(place, "text", found))?;
        str::from_utf8(bytes).map_err(|error| CompatError::Value {
            place,
            problem: format!("is not UTF-8 from byte {} on", error.valid_up_to()),
        })
    }

    /// A number of any type.
    #[inline]
    pub(crate) fn number(&mut self, place: &'static str) -> Result<Number, CompatError> {
        match self.peek(place)? {
            Marker::F32 => self.with(place, decode::read_f32).map(Number::Single),
            Marker::F64 => self.with(place, decode::read_f64).map(Number::Double),
            Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => {
                self.with(place, decode::read_int::<u64, _>).map(Number::Unsigned)
            }
            Marker::FixNeg(_) | Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => {
                let number: i64 = self.with(place, decode::read_int)?;
                Ok(u64::try_from(number).map_or(Number::Negative(number), Number::Unsigned))
            }
            other => Err(wrong(place, "a number", other)),
        }
    }

    /// A whole number that fits.
    pub(crate) fn integer(&mut self, place: &'static str) -> Result<u32, CompatError> {
        let found = self.peek(place)?;
        match self.number(place)? {
            Number::Unsigned(number) => u32::try_from(number)
                .map_err(|_| CompatError::Value { place, problem: format!("is {number}, the limit is {}", u32::MAX) }),
            Number::Negative(number) => {
                Err(CompatError::Value { place, problem: format!("is {number}; it must not be negative") })
            }
            Number::Single(_) | Number::Double(_) => Err(wrong(place, "a whole number", found)),
        }
    }

    /// The head of an array: how many elements follow. `None`, and nothing read, where it is none.
    pub(crate) fn array(&mut self, place: &'static str) -> Result<Option<u32>, CompatError> {
        match self.peek(place)? {
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                self.with(place, decode::read_array_len).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The head of a map: how many pairs follow. `None`, and nothing read, where it is none.
    pub(crate) fn map(&mut self, place: &'static str) -> Result<Option<u32>, CompatError> {
        match self.peek(place)? {
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => self.with(place, decode::read_map_len).map(Some),
            _ => Ok(None),
        }
    }

    /// The bytes of a `bin` or of an extension of any type. `None`, and nothing read, where it is neither.
    pub(crate) fn raw(&mut self, place: &'static str) -> Result<Option<&'a [u8]>, CompatError> {
        let length = match self.peek(place)? {
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => self.with(place, decode::read_bin_len)?,
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32 => self.with(place, decode::read_ext_meta)?.size,
            _ => return Ok(None),
        };
        self.take(length, place).map(Some)
    }

    /// Steps over one value that lies `depth` maps and arrays deep.
    pub(crate) fn skip(&mut self, place: &'static str, depth: usize) -> Result<(), CompatError> {
        if self.text_bytes(place)?.is_some() || self.raw(place)?.is_some() {
            return Ok(());
        }
        let inner = if let Some(elements) = self.array(place)? {
            u64::from(elements)
        } else if let Some(pairs) = self.map(place)? {
            2 * u64::from(pairs)
        } else if matches!(self.peek(place)?, Marker::Null | Marker::True | Marker::False) {
            self.rest = &self.rest[1..];
            return Ok(());
        } else {
            return self.number(place).map(drop);
        };
        if depth >= MAX_DEPTH {
            return Err(CompatError::TooDeep { limit: MAX_DEPTH });
        }
        // Every element takes a byte at least, so the message's end bounds the loop.
        (0..inner).try_for_each(|_| self.skip(place, depth + 1))
    }
}

/// A value of the wrong type.
pub(crate) fn wrong(place: &'static str, expected: &'static str, found: Marker) -> CompatError {
    CompatError::Type { place, expected, found: described(found) }
}

fn described(marker: Marker) -> &'static str {
    match marker {
        Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => "a whole number",
        Marker::FixNeg(_) | Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => "a signed number",
        Marker::F32 | Marker::F64 => "a float",
        Marker::Null => "nil",
        Marker::True | Marker::False => "a boolean",
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => "text",
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => "bytes",
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => "an array",
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => "a map",
        Marker::Reserved => "a byte that MessagePack never uses",
        _ => "an extension",
    }
}
