//! Reading MessagePack where it lies.
//!
//! What a byte means is rmp's to say ([`Marker`]). What stands behind it is read here: rmp reads
//! through `std::io::Read` and so can lend neither a text nor a vector. Its measure of a value
//! panics on extension types. And rmp-serde's visitors can't take `{"type": …}` in any order
//! without copying what comes before it. A claimed length is held against what is left of the
//! message before anything is done with it; nothing here allocates but an error's text.

use rmp::Marker;

use crate::error::CompatError;

/// How deep maps and arrays may lie in each other. Requests go three deep, and old clients' options
/// hold a list or two.
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
        self.rest
            .first()
            .map(|byte| Marker::from_u8(*byte))
            .ok_or(CompatError::Truncated { inside })
    }

    fn take(&mut self, length: u32, inside: &'static str) -> Result<&'a [u8], CompatError> {
        let (taken, rest) =
            self.rest.split_at_checked(length as usize).ok_or(CompatError::Truncated { inside })?;
        self.rest = rest;
        Ok(taken)
    }

    /// The marker that comes next, and so many bytes behind it as a big-endian number takes.
    #[inline]
    fn fixed<const N: usize>(&mut self, inside: &'static str) -> Result<[u8; N], CompatError> {
        let behind = self.rest.get(1..).unwrap_or_default();
        let (bytes, rest) = behind.split_first_chunk().ok_or(CompatError::Truncated { inside })?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// A marker that says all by itself.
    fn bare<T>(&mut self, value: T) -> T {
        self.rest = self.rest.get(1..).unwrap_or_default();
        value
    }

    fn length8(&mut self, inside: &'static str) -> Result<u32, CompatError> {
        self.fixed::<1>(inside).map(|[length]| u32::from(length))
    }

    fn length16(&mut self, inside: &'static str) -> Result<u32, CompatError> {
        self.fixed(inside).map(|bytes| u32::from(u16::from_be_bytes(bytes)))
    }

    fn length32(&mut self, inside: &'static str) -> Result<u32, CompatError> {
        self.fixed(inside).map(u32::from_be_bytes)
    }

    /// Takes `count` values of `N` bytes each, if all of them have this marker. `None`, and nothing
    /// read, where one has not.
    pub(crate) fn uniform<const N: usize>(
        &mut self,
        marker: Marker,
        count: usize,
    ) -> Option<&'a [[u8; N]]> {
        let (values, rest) = self.rest.split_at_checked(count * N)?;
        let (values, _) = values.as_chunks();
        let marker = marker.to_u8();
        // Without a way out in the loop, so that many are looked at in a step.
        let uniform = values.iter().fold(true, |uniform, value| uniform & (value[0] == marker));
        uniform.then(|| {
            self.rest = rest;
            values
        })
    }

    /// Steps over nil, if that is what comes next.
    pub(crate) fn nil(&mut self, place: &'static str) -> Result<bool, CompatError> {
        match self.peek(place)? {
            Marker::Null => Ok(self.bare(true)),
            _ => Ok(false),
        }
    }

    /// The bytes of a text: `str`, or `bin` as old Python clients send for `bytes`. `None`, and
    /// nothing read, where it is neither.
    pub(crate) fn text_bytes(
        &mut self,
        place: &'static str,
    ) -> Result<Option<&'a [u8]>, CompatError> {
        let length = match self.peek(place)? {
            Marker::FixStr(length) => self.bare(u32::from(length)),
            Marker::Str8 | Marker::Bin8 => self.length8(place)?,
            Marker::Str16 | Marker::Bin16 => self.length16(place)?,
            Marker::Str32 | Marker::Bin32 => self.length32(place)?,
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
        let signed =
            |number: i64| u64::try_from(number).map_or(Number::Negative(number), Number::Unsigned);
        match self.peek(place)? {
            Marker::F64 => self.fixed(place).map(|bytes| Number::Double(f64::from_be_bytes(bytes))),
            Marker::F32 => self.fixed(place).map(|bytes| Number::Single(f32::from_be_bytes(bytes))),
            Marker::FixPos(number) => Ok(self.bare(Number::Unsigned(number.into()))),
            Marker::FixNeg(number) => Ok(self.bare(Number::Negative(number.into()))),
            Marker::U8 => self.fixed::<1>(place).map(|[number]| Number::Unsigned(number.into())),
            Marker::U16 => {
                self.fixed(place).map(|bytes| Number::Unsigned(u16::from_be_bytes(bytes).into()))
            }
            Marker::U32 => {
                self.fixed(place).map(|bytes| Number::Unsigned(u32::from_be_bytes(bytes).into()))
            }
            Marker::U64 => {
                self.fixed(place).map(|bytes| Number::Unsigned(u64::from_be_bytes(bytes)))
            }
            Marker::I8 => self.fixed(place).map(|bytes| signed(i8::from_be_bytes(bytes).into())),
            Marker::I16 => self.fixed(place).map(|bytes| signed(i16::from_be_bytes(bytes).into())),
            Marker::I32 => self.fixed(place).map(|bytes| signed(i32::from_be_bytes(bytes).into())),
            Marker::I64 => self.fixed(place).map(|bytes| signed(i64::from_be_bytes(bytes))),
            other => Err(wrong(place, "a number", other)),
        }
    }

    /// A whole number that fits.
    pub(crate) fn integer(&mut self, place: &'static str) -> Result<u32, CompatError> {
        let found = self.peek(place)?;
        match self.number(place)? {
            Number::Unsigned(number) => u32::try_from(number).map_err(|_| CompatError::Value {
                place,
                problem: format!("is {number}, the limit is {}", u32::MAX),
            }),
            Number::Negative(number) => Err(CompatError::Value {
                place,
                problem: format!("is {number}; it must not be negative"),
            }),
            Number::Single(_) | Number::Double(_) => Err(wrong(place, "a whole number", found)),
        }
    }

    /// The head of an array: how many elements follow. `None`, and nothing read, where it is none.
    pub(crate) fn array(&mut self, place: &'static str) -> Result<Option<u32>, CompatError> {
        match self.peek(place)? {
            Marker::FixArray(length) => Ok(Some(self.bare(length.into()))),
            Marker::Array16 => self.length16(place).map(Some),
            Marker::Array32 => self.length32(place).map(Some),
            _ => Ok(None),
        }
    }

    /// The head of a map: how many pairs follow. `None`, and nothing read, where it is none.
    pub(crate) fn map(&mut self, place: &'static str) -> Result<Option<u32>, CompatError> {
        match self.peek(place)? {
            Marker::FixMap(length) => Ok(Some(self.bare(length.into()))),
            Marker::Map16 => self.length16(place).map(Some),
            Marker::Map32 => self.length32(place).map(Some),
            _ => Ok(None),
        }
    }

    /// The bytes of a `bin` or of an extension of any type. `None`, and nothing read, where it is
    /// neither.
    pub(crate) fn raw(&mut self, place: &'static str) -> Result<Option<&'a [u8]>, CompatError> {
        // An extension's type is one byte more, whatever it says.
        let length = match self.peek(place)? {
            Marker::Bin8 => self.length8(place)?,
            Marker::Bin16 => self.length16(place)?,
            Marker::Bin32 => self.length32(place)?,
            Marker::FixExt1 => self.fixed::<1>(place).map(|_| 1)?,
            Marker::FixExt2 => self.fixed::<1>(place).map(|_| 2)?,
            Marker::FixExt4 => self.fixed::<1>(place).map(|_| 4)?,
            Marker::FixExt8 => self.fixed::<1>(place).map(|_| 8)?,
            Marker::FixExt16 => self.fixed::<1>(place).map(|_| 16)?,
            Marker::Ext8 => self.fixed::<2>(place).map(|[length, _]| length.into())?,
            Marker::Ext16 => {
                self.fixed::<3>(place).map(|[a, b, _]| u16::from_be_bytes([a, b]).into())?
            }
            Marker::Ext32 => {
                self.fixed::<5>(place).map(|[a, b, c, d, _]| u32::from_be_bytes([a, b, c, d]))?
            }
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
            self.rest = self.rest.get(1..).unwrap_or_default();
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
        Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => {
            "a whole number"
        }
        Marker::FixNeg(_) | Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => {
            "a signed number"
        }
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
