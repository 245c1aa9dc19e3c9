//! Finding the replies in received bytes, for every framing.

use sutra_wire::{FrameError, Header, Parsed, Status, limits, parse};

use crate::Framing;

/// A reply as it lies in the receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    pub(crate) header: Header,
    /// The key that the reply names, if replies of the protocol name one.
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
    /// Bytes of the whole reply, from the start of the receive buffer.
    pub(crate) used: usize,
    /// Whether it is a refusal in plain words. Refusals of the native wire say so in their header.
    pub(crate) is_refusal: bool,
}

/// Why received bytes are not a reply.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScanError {
    /// A frame of the native wire, or a message of the old protocol, is wrong.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A line of Redis's or memcached's protocol is wrong.
    #[error("a line begins with {line:?}, which is no reply")]
    Line {
        /// The beginning of the line.
        line: String,
    },
}

/// The end of a longer line is not looked for. Values may be longer, but are no lines.
const MAX_LINE: usize = 16 << 10;

/// The reply at the start of `bytes`, if it has arrived as a whole.
pub(crate) fn next_reply(
    framing: Framing,
    bytes: &[u8],
) -> Result<Option<Received<'_>>, ScanError> {
    match framing {
        Framing::Native => Ok(match parse(bytes, limits::MAX_PAYLOAD)? {
            Parsed::Frame(frame, used) => {
                Some(Received { header: frame.header, ..plain(frame.payload, used) })
            }
            Parsed::Partial(_) => None,
        }),
        Framing::Fixed(length) => {
            let Some((payload, number)) = bytes.get(..length).zip(bytes.first_chunk()) else {
                return Ok(None);
            };
            let header = Header { request: u64::from_le_bytes(*number), ..Header::default() };
            Ok(Some(Received { header, ..plain(payload, length) }))
        }
        Framing::Legacy => {
            let Some((prefix, rest)) = bytes.split_first_chunk() else { return Ok(None) };
            let length = u32::from_be_bytes(*prefix);
            if length > limits::MAX_PAYLOAD {
                return Err(
                    FrameError::TooLong { request: 0, length, limit: limits::MAX_PAYLOAD }.into()
                );
            }
            let Some(payload) = rest.get(..length as usize) else { return Ok(None) };
            Ok(Some(plain(payload, 4 + payload.len())))
        }
        Framing::Redis => redis(bytes),
        Framing::Memcached => memcached(bytes),
    }
}

/// A reply without a number: the connection takes it as the answer to its oldest request.
fn plain(payload: &[u8], used: usize) -> Received<'_> {
    Received { header: Header::default(), key: None, payload, used, is_refusal: false }
}

fn missing(used: usize) -> Received<'static> {
    Received {
        header: Header { status: Status::NotFound as u8, ..Header::default() },
        ..plain(&[], used)
    }
}

/// Reads a simple string, an integer, a bulk string or an error. No request of the benchmark is
/// answered by an array.
fn redis(bytes: &[u8]) -> Result<Option<Received<'_>>, ScanError> {
    let Some(line) = first_line(bytes)? else { return Ok(None) };
    let used = line.len() + 2;
    match line.split_first() {
        Some((b'+' | b':', said)) => Ok(Some(plain(said, used))),
        Some((b'-', said)) => Ok(Some(Received { is_refusal: true, ..plain(said, used) })),
        Some((b'$', b"-1")) => Ok(Some(missing(used))),
        Some((b'$', length)) => {
            let length = number(length).ok_or_else(|| unknown(line))?;
            Ok(bulk(bytes, used, length, line)?.map(|value| plain(value, used + value.len() + 2)))
        }
        _ => Err(unknown(line)),
    }
}

/// Reads a reply of the meta protocol: `VA bytes flags` and the value, `EN` for a miss, `HD flags`
/// for a write, or a refusal.
fn memcached(bytes: &[u8]) -> Result<Option<Received<'_>>, ScanError> {
    let Some(line) = first_line(bytes)? else { return Ok(None) };
    let used = line.len() + 2;
    let mut words = line.split(|byte| *byte == b' ');
    Ok(Some(match words.next() {
        Some(b"VA") => {
            let length = words.next().and_then(number).ok_or_else(|| unknown(line))?;
            let Some(value) = bulk(bytes, used, length, line)? else { return Ok(None) };
            Received { key: key(words), ..plain(value, used + value.len() + 2) }
        }
        Some(b"EN") => Received { key: key(words), ..missing(used) },
        Some(code @ b"HD") => Received { key: key(words), ..plain(code, used) },
        Some(b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR" | b"NS") => {
            Received { is_refusal: true, ..plain(line, used) }
        }
        _ => return Err(unknown(line)),
    }))
}

/// The key among a meta reply's flags.
fn key<'a>(mut flags: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    flags.find_map(|flag| flag.strip_prefix(b"k"))
}

/// A value of `length` bytes from `start`, which an end of line must follow.
fn bulk<'a>(
    bytes: &'a [u8],
    start: usize,
    length: u32,
    line: &[u8],
) -> Result<Option<&'a [u8]>, ScanError> {
    if length > limits::MAX_PAYLOAD {
        return Err(FrameError::TooLong { request: 0, length, limit: limits::MAX_PAYLOAD }.into());
    }
    let end = start + length as usize;
    match bytes.get(end..end + 2) {
        Some(b"\r\n") => Ok(Some(&bytes[start..end])),
        Some(_) => Err(unknown(line)),
        None => Ok(None),
    }
}

/// The bytes before the first end of line.
fn first_line(bytes: &[u8]) -> Result<Option<&[u8]>, ScanError> {
    let within = &bytes[..bytes.len().min(MAX_LINE)];
    match within.iter().position(|byte| *byte == b'\r') {
        // The line feed may not have arrived.
        Some(at) if at + 1 == bytes.len() => Ok(None),
        Some(at) if bytes[at + 1] == b'\n' => Ok(Some(&bytes[..at])),
        Some(_) => Err(unknown(bytes)),
        None if within.len() == MAX_LINE => Err(unknown(bytes)),
        None => Ok(None),
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn unknown(line: &[u8]) -> ScanError {
    ScanError::Line { line: String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_messages_carry_their_number_in_the_first_eight_bytes() {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&77u64.to_le_bytes());
        let found =
            next_reply(Framing::Fixed(16), &bytes).expect("no frame, no error").expect("whole");
        assert_eq!((found.header.request, found.payload, found.used), (77, &bytes[..16], 16));
        assert_eq!(next_reply(Framing::Fixed(16), &bytes[..15]), Ok(None));
    }

    /// The whole reply is found with other bytes behind it, and none is found while a byte of it is
    /// missing.
    fn whole_and_cut(
        framing: Framing,
        reply: &str,
        payload: &str,
        status: Status,
        is_refusal: bool,
    ) {
        let mut bytes = reply.as_bytes().to_vec();
        bytes.extend_from_slice(b"+next\r\n");
        let found = next_reply(framing, &bytes).expect("a reply").expect("whole");
        assert_eq!(
            (found.payload, found.used, found.is_refusal),
            (payload.as_bytes(), reply.len(), is_refusal)
        );
        assert_eq!(found.header.status, status as u8);
        for cut in 0..reply.len() {
            assert_eq!(next_reply(framing, &bytes[..cut]), Ok(None), "{reply:?} cut at {cut}");
        }
    }

    #[test]
    fn replies_of_redis_are_found_when_whole() {
        whole_and_cut(Framing::Redis, "+PONG\r\n", "PONG", Status::Ok, false);
        whole_and_cut(Framing::Redis, ":12\r\n", "12", Status::Ok, false);
        whole_and_cut(Framing::Redis, "$4\r\na\r\nb\r\n", "a\r\nb", Status::Ok, false);
        whole_and_cut(Framing::Redis, "$0\r\n\r\n", "", Status::Ok, false);
        whole_and_cut(Framing::Redis, "$-1\r\n", "", Status::NotFound, false);
        whole_and_cut(Framing::Redis, "-OOM no memory\r\n", "OOM no memory", Status::Ok, true);
    }

    #[test]
    fn replies_of_memcached_are_found_when_whole() {
        whole_and_cut(Framing::Memcached, "VA 4 kone\r\na\r\nb\r\n", "a\r\nb", Status::Ok, false);
        whole_and_cut(Framing::Memcached, "VA 0\r\n\r\n", "", Status::Ok, false);
        whole_and_cut(Framing::Memcached, "EN\r\n", "", Status::NotFound, false);
        // Some versions name the key of a miss as well.
        whole_and_cut(Framing::Memcached, "EN kone\r\n", "", Status::NotFound, false);
        whole_and_cut(Framing::Memcached, "HD kone\r\n", "HD", Status::Ok, false);
        whole_and_cut(Framing::Memcached, "NS kone\r\n", "NS kone", Status::Ok, true);
        whole_and_cut(
            Framing::Memcached,
            "SERVER_ERROR full\r\n",
            "SERVER_ERROR full",
            Status::Ok,
            true,
        );
    }

    #[test]
    fn replies_of_memcached_name_their_key() {
        for (reply, key) in [
            ("VA 1 f0 kone t-1\r\na\r\n", Some("one")),
            ("HD\r\n", None),
            ("HD kkey\r\n", Some("key")),
        ] {
            let found =
                next_reply(Framing::Memcached, reply.as_bytes()).expect("a reply").expect("whole");
            assert_eq!(found.key, key.map(str::as_bytes), "{reply:?}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [
            "*1\r\n",
            "$x\r\n",
            "$3\r\nabcdef",
            "hello\r\n",
            "+a\rb\r\n",
            "$99999999999\r\n",
            "$4294967295\r\n",
        ] {
            assert!(next_reply(Framing::Redis, bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        for bytes in [
            "VA\r\n",
            "VA kone\r\n",
            "VA 1 kone\r\nabc",
            "VALUE one 0 1\r\na\r\nEND\r\n",
            "STORED\r\n",
            "+OK\r\n",
        ] {
            assert!(next_reply(Framing::Memcached, bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        assert!(next_reply(Framing::Redis, &[b'+'; MAX_LINE]).is_err());
    }
}
