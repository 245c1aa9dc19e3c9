//! How a port is set to read, and how a request turned out to be spoken.

use sutra_wire::IdRule;

use crate::operation::{Numbering, Operation};

/// The settings of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Dialect {
    /// The variant numbers of its bincode clients.
    pub numbering: Numbering,
    /// The rule that its store was made with.
    pub id_rule: IdRule,
}

/// The encoding of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Encoding {
    /// Requests are `{"Operation": …}` or a bare name.
    #[default]
    Msgpack,
    /// Requests are `{"type": "Operation", …}`.
    TaggedMsgpack,
    Bincode(Numbering),
}

/// How a request was spoken, so that it is answered in kind. The default is that of a message
/// nothing is known of: MessagePack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Manner {
    encoding: Encoding,
    /// Known as soon as the message has said it.
    operation: Option<Operation>,
}

impl Manner {
    /// That of a message of which nothing but its encoding has been read.
    pub(crate) fn of(message: &[u8], dialect: Dialect) -> Self {
        Self { encoding: encoding(message, dialect), operation: None }
    }

    pub(crate) fn encoding(self) -> Encoding {
        self.encoding
    }

    pub(crate) fn operation(self) -> Option<Operation> {
        self.operation
    }

    /// The message has said what it asks for.
    pub(crate) fn note_operation(&mut self, operation: Operation) {
        self.operation = Some(operation);
    }

    /// The message turned out to be of the other MessagePack kind.
    pub(crate) fn note_tagged(&mut self) {
        self.encoding = Encoding::TaggedMsgpack;
    }

    /// As a number, for who keeps it without knowing what it says.
    pub fn to_bits(self) -> u32 {
        let encoding = match self.encoding {
            Encoding::Msgpack => 0,
            Encoding::TaggedMsgpack => 1,
            Encoding::Bincode(Numbering::First) => 2,
            Encoding::Bincode(Numbering::Later) => 3,
        };
        encoding | self.operation.map_or(0, |operation| operation as u32 + 1) << 8
    }

    /// The manner whose number this is; the default one for a number that is none.
    pub fn from_bits(bits: u32) -> Self {
        let encoding = match bits & 0xff {
            1 => Encoding::TaggedMsgpack,
            2 => Encoding::Bincode(Numbering::First),
            3 => Encoding::Bincode(Numbering::Later),
            _ => Encoding::Msgpack,
        };
        let number = (bits >> 8).checked_sub(1).and_then(|number| usize::try_from(number).ok());
        Self { encoding, operation: number.and_then(|number| Operation::ALL.get(number).copied()) }
    }

    /// The operation that was asked for, as the protocol spells it, for logs and counters.
    pub fn operation_name(self) -> Option<&'static str> {
        self.operation.map(Operation::name)
    }
}

/// The encoding of a message. bincode starts with a small variant index in little-endian `u32`:
/// three zeros after a byte below 0x80, which in MessagePack would be a number and three more.
/// Every MessagePack request starts with a map or a text.
fn encoding(message: &[u8], dialect: Dialect) -> Encoding {
    match message {
        [(..0x80), 0, 0, 0, ..] => Encoding::Bincode(dialect.numbering),
        _ => Encoding::Msgpack,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manner_is_its_number() {
        let encodings = [
            Encoding::Msgpack,
            Encoding::TaggedMsgpack,
            Encoding::Bincode(Numbering::First),
            Encoding::Bincode(Numbering::Later),
        ];
        for encoding in encodings {
            for operation in Operation::ALL.into_iter().map(Some).chain([None]) {
                let manner = Manner { encoding, operation };
                assert_eq!(Manner::from_bits(manner.to_bits()), manner);
            }
        }
        assert_eq!(Manner::from_bits(u32::MAX), Manner::default());
    }
}
