//! What the tests share: requests as native values, replies as messages, and the golden bytes.

#![allow(dead_code, reason = "each test file uses its part")]

use rmp_serde::Serializer;
use serde::Serialize;
use serde_json::Value;
use sutra_compat::{Decoded, Dialect, Manner, decode, encode_reply, message_length};
use sutra_wire::{
    AssociationKey, AssociationRecord, Checked, ConceptId, ConceptKey, ConceptRecord,
    ConceptsRequest, FrameBuffer, NeighborsRequest, Opcode, PathRequest, Payload, SearchRequest,
    Status,
};

/// A native request, read back from its archive.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Native {
    Learn(ConceptRecord),
    Associate(AssociationRecord),
    Query(ConceptKey),
    Delete(ConceptKey),
    Dissociate(AssociationKey),
    Association(AssociationKey),
    Concepts(ConceptsRequest),
    Neighbors(NeighborsRequest),
    Path(PathRequest),
    Search(SearchRequest),
    Stats,
    Flush,
    Health,
}

/// What a message asks for. The archive must hold, values and all.
pub(crate) fn native_of(message: &[u8], dialect: Dialect) -> Result<(Native, Manner), String> {
    let mut out = FrameBuffer::new();
    match decode(message, dialect, &mut out) {
        Ok(Decoded::Request { opcode, manner }) => Ok((read(opcode, &out), manner)),
        Ok(Decoded::Refused { message, .. }) => Err(message),
        Err(error) => Err(error.to_string()),
    }
}

/// What a message asks for, in the default dialect.
pub(crate) fn native(message: &[u8]) -> Result<Native, String> {
    native_of(message, Dialect::default()).map(|(native, _)| native)
}

/// The request in an archive.
pub(crate) fn read(opcode: Opcode, archive: &[u8]) -> Native {
    fn valid<T: Payload>(archive: &[u8]) -> Checked<'_, T> {
        Checked::new(archive).unwrap()
    }
    match opcode {
        Opcode::Learn => Native::Learn(valid::<ConceptRecord>(archive).to_owned()),
        Opcode::Associate => Native::Associate(valid::<AssociationRecord>(archive).to_owned()),
        Opcode::Query => Native::Query(valid::<ConceptKey>(archive).to_owned()),
        Opcode::Delete => Native::Delete(valid::<ConceptKey>(archive).to_owned()),
        Opcode::Dissociate => Native::Dissociate(valid::<AssociationKey>(archive).to_owned()),
        Opcode::Association => Native::Association(valid::<AssociationKey>(archive).to_owned()),
        Opcode::Concepts => Native::Concepts(valid::<ConceptsRequest>(archive).to_owned()),
        Opcode::Neighbors => Native::Neighbors(valid::<NeighborsRequest>(archive).to_owned()),
        Opcode::Path => Native::Path(valid::<PathRequest>(archive).to_owned()),
        Opcode::Search => Native::Search(valid::<SearchRequest>(archive).to_owned()),
        empty => {
            assert!(archive.is_empty(), "{empty:?} has no payload");
            match empty {
                Opcode::Stats => Native::Stats,
                Opcode::Flush => Native::Flush,
                Opcode::Health => Native::Health,
                other => panic!("no legacy request asks for {other:?}"),
            }
        }
    }
}

/// How a request in this message is to be answered.
pub(crate) fn manner(message: &[u8], dialect: Dialect) -> Manner {
    native_of(message, dialect).unwrap().1
}

/// The reply without its prefix, which must be right.
pub(crate) fn reply(manner: Manner, status: Status, sequence: u64, archive: &[u8]) -> Vec<u8> {
    let mut out = b"earlier".to_vec();
    encode_reply(manner, status, sequence, archive, &mut out).unwrap();
    unprefixed(&out[7..])
}

/// A message without its prefix.
pub(crate) fn unprefixed(message: &[u8]) -> Vec<u8> {
    let (prefix, payload) = message.split_first_chunk().unwrap();
    assert_eq!(message_length(*prefix).unwrap() as usize, payload.len());
    payload.to_vec()
}

/// A reply in MessagePack as a JSON value.
pub(crate) fn json_of(payload: &[u8]) -> Value {
    rmp_serde::from_slice(payload).unwrap()
}

/// JSON as MessagePack: maps by name, floats in eight bytes, as Python sends them.
pub(crate) fn msgpack(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::new(&mut out)).unwrap();
    out
}

/// The archive of a native reply.
pub(crate) fn archive<T>(value: &T) -> FrameBuffer
where
    T: for<'a> rkyv::Serialize<
            rkyv::api::high::HighSerializer<
                FrameBuffer,
                rkyv::ser::allocator::ArenaHandle<'a>,
                rkyv::rancor::Error,
            >,
        >,
{
    let mut out = FrameBuffer::new();
    sutra_wire::archive(&mut out, value);
    out
}

/// The id of a name.
pub(crate) fn id(name: &str) -> [u8; 16] {
    ConceptId::from_name(name).unwrap().0
}

/// A message of the golden file: its kind and name, and its bytes in the three encodings.
pub(crate) struct Golden {
    pub(crate) title: &'static str,
    pub(crate) array: Vec<u8>,
    pub(crate) named: Vec<u8>,
    pub(crate) bincode: Vec<u8>,
}

/// Every message of the golden file.
pub(crate) fn golden() -> Vec<Golden> {
    let bytes = |digits: &str| -> Vec<u8> {
        let digits = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    };
    let mut all: Vec<Golden> = Vec::new();
    for line in include_str!("../../tests/golden/compat.txt").lines() {
        if let Some(encoded) = line.strip_prefix("  ") {
            let (encoding, digits) = encoded.split_once(' ').unwrap();
            let message = all.last_mut().unwrap();
            *match encoding {
                "array" => &mut message.array,
                "named" => &mut message.named,
                "bincode" => &mut message.bincode,
                other => panic!("{other}?"),
            } = bytes(digits);
        } else if !line.is_empty() && !line.starts_with('#') {
            all.push(Golden {
                title: line,
                array: Vec::new(),
                named: Vec::new(),
                bincode: Vec::new(),
            });
        }
    }
    all
}
