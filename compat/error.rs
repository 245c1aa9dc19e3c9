//! What can be wrong with a legacy message or with a reply that one is to be made of. Every text is
//! what the client is told.

use sutra_wire::PayloadError;

/// Why there is no request, or no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompatError {
    /// The prefix announces more than a message may have.
    #[error(
        "message of {length} bytes is over the limit of {limit}; \
         split the request or shorten its content"
    )]
    TooLong {
        /// What the prefix says.
        length: u32,
        /// [`crate::MAX_MESSAGE`].
        limit: u32,
    },
    /// The native request is over the limit, though the message was not.
    #[error(
        "the request takes {length} bytes as the server keeps it, the limit is {limit}; \
         shorten its content"
    )]
    RequestTooLong {
        /// What it takes.
        length: usize,
        /// [`crate::MAX_MESSAGE`].
        limit: u32,
    },
    /// A message without a byte.
    #[error("the message is empty; send a request")]
    Empty,
    /// The text of a JSON client.
    #[error("this is JSON; the port speaks MessagePack and bincode 1")]
    Json,
    /// The bytes end too early.
    #[error("the message ends inside {inside}")]
    Truncated {
        /// What was being read.
        inside: &'static str,
    },
    /// Maps and arrays within each other without end.
    #[error("maps and arrays are nested deeper than {limit}")]
    TooDeep {
        /// The most that is followed.
        limit: usize,
    },
    /// A value of another type than its place needs.
    #[error("{place}: expected {expected}, found {found}")]
    Type {
        /// The field, or what stands for it.
        place: &'static str,
        /// In words.
        expected: &'static str,
        /// In words.
        found: &'static str,
    },
    /// A value of the right type that its place can't take.
    #[error("{place}: {problem}")]
    Value {
        /// The field.
        place: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// No operation of the protocol has this name or number.
    #[error("unknown operation {name}")]
    UnknownOperation {
        /// As it was given, shortened.
        name: String,
    },
    /// A map that is neither `{"Operation": …}` nor has a `type`.
    #[error(
        "a map of {entries} entries without a \"type\" names no operation; \
         send {{\"Operation\": {{…}}}}"
    )]
    NoOperation {
        /// How many it has.
        entries: u32,
    },
    /// A field that the operation can't do without.
    #[error("{operation}: missing field {field}")]
    MissingField {
        /// The operation.
        operation: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The same field twice: which of them is meant can't be known.
    #[error("{operation}: field {field} is given twice")]
    DuplicateField {
        /// The operation.
        operation: &'static str,
        /// The field.
        field: &'static str,
    },
    /// More values in an array than the operation has fields.
    #[error("{operation}: an array of {found} values, it has {known} fields")]
    TooManyFields {
        /// The operation.
        operation: &'static str,
        /// Values in the array.
        found: u32,
        /// Fields that are known by their place.
        known: usize,
    },
    /// The reply comes in parts: the caller goes on with a [`crate::Listing`], or tells this to the
    /// client.
    #[error(
        "there are more ids than one reply of the server holds; \
         ask for them through the native port"
    )]
    Partial,
    /// The reply does not fit into a message.
    #[error(
        "the reply of {length} bytes is over this protocol's limit of {limit}; \
         ask through the native port"
    )]
    ReplyTooLong {
        /// What it would have.
        length: usize,
        /// [`crate::MAX_MESSAGE`].
        limit: u32,
    },
    /// What the server answered is no valid reply: a bug in the server.
    #[error("internal error, the server's own reply can't be read: {0}")]
    Reply(#[from] PayloadError),
}

/// The beginning of a text from outside, quoted for a message. Takes no more memory than that.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    let start = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]);
    format!("{start:?}{}", if text.len() > LONGEST { "…" } else { "" })
}
