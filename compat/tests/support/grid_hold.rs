//! What must hold for any bytes that are offered as a message of the old grid. The tests and the
//! fuzz target share it.

use sutra_compat::PREFIX_BYTES;
use sutra_compat::grid::{GridReply, GridRequest};

/// Offers the bytes as a request: an error that can be told, or one that is written and read again
/// as the same.
pub(crate) fn hold_request(message: &[u8]) {
    match GridRequest::read(message) {
        Ok(read) => {
            let mut again = Vec::new();
            read.0.append(read.1.as_ref(), &mut again);
            assert_eq!(
                GridRequest::read(&again[PREFIX_BYTES..]).expect("what was read can be"),
                read
            );
            let claim =
                GridRequest::read_claim(message).expect("what was read can be").unwrap_or_default();
            let mut claimed = Vec::new();
            read.0.append_with_claim(&claim, &mut claimed);
            assert_eq!(
                GridRequest::read(&claimed[PREFIX_BYTES..]).expect("what was read can be").0,
                read.0
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Reads a message as a reply and holds what it reads to its promises.
pub(crate) fn hold_reply(message: &[u8]) {
    match GridReply::read(message) {
        Ok(read) => {
            let mut again = Vec::new();
            read.0.append(read.1.as_ref(), &mut again);
            assert_eq!(
                GridReply::read(&again[PREFIX_BYTES..]).expect("what was read can be"),
                read
            );
            let read = GridReply::read_with_details(message).expect("what was read can be");
            let mut again = Vec::new();
            read.0.append_with_details(read.1.as_ref(), &mut again);
            assert_eq!(
                GridReply::read_with_details(&again[PREFIX_BYTES..]).expect("what was read can be"),
                read
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
