//! Which protocol the bytes are: what every frame begins with.

/// First two bytes of every frame: `RT` read as a little-endian number, unlike the first bytes of
/// TLS, HTTP, msgpack maps and small length prefixes.
pub const MAGIC: u16 = 0x5452;
/// The version of the frame and its schema that this build speaks.
pub const VERSION: u8 = 1;
