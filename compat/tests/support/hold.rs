//! What must hold for any bytes that are taken for a legacy message. The property tests and the
//! fuzz target share it.

use sutra_compat::{CompatError, Decoded, Dialect, Numbering, Undecodable, encode_error};
use sutra_wire::{
    AssociationKey, AssociationRecord, Checked, ConceptKey, ConceptRecord, ConceptsRequest, IdRule,
    NeighborsRequest, Opcode, PathRequest, Payload, PayloadError, SearchRequest,
};

/// Both numberings and both rules for ids.
pub(crate) const DIALECTS: [Dialect; 2] = [
    Dialect { numbering: Numbering::First, id_rule: IdRule::Md5OrHex },
    Dialect { numbering: Numbering::Later, id_rule: IdRule::Legacy },
];

/// The archive is one; its values may be refused.
fn sound<T: Payload>(archive: &[u8]) {
    match Checked::<T>::new(archive) {
        Ok(_) | Err(PayloadError::Argument { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Judges what came of a message, and the archive beside it. The error, where it is one.
pub(crate) fn judge(decoded: Result<Decoded, Undecodable>, archive: &[u8]) -> Option<CompatError> {
    match decoded {
        Ok(Decoded::Request { opcode, .. }) => match opcode {
            Opcode::Learn => sound::<ConceptRecord>(archive),
            Opcode::Associate => sound::<AssociationRecord>(archive),
            Opcode::Query | Opcode::Delete => sound::<ConceptKey>(archive),
            Opcode::Association => sound::<AssociationKey>(archive),
            Opcode::Concepts => sound::<ConceptsRequest>(archive),
            Opcode::Neighbors => sound::<NeighborsRequest>(archive),
            Opcode::Path => sound::<PathRequest>(archive),
            Opcode::Search => sound::<SearchRequest>(archive),
            Opcode::Stats | Opcode::Flush | Opcode::Health => {
                assert!(archive.is_empty(), "{opcode:?} has no payload");
            }
            other => panic!("no legacy request asks for {other:?}"),
        },
        Ok(Decoded::Refused { .. }) => {}
        Err(error) => {
            let mut reply = Vec::new();
            encode_error(error.manner, &error.to_string(), &mut reply);
            assert!(reply.len() < 2048, "a short answer: {error}");
            return Some(error.error);
        }
    }
    None
}
