//! What a reply means: its status, and its payload as a view of the receive buffer.

use sutra_wire::{FrameBuffer, Payload, SharedBytes, Status, View};

use crate::ClientError;
use crate::deadline::Deadline;
use crate::in_flight::Reply;

/// A reply that is no refusal, with what is needed to tell what is wrong with it.
pub(crate) struct Answer<'a> {
    endpoint: &'a str,
    found: bool,
    reply: Reply,
}

impl<'a> Answer<'a> {
    /// Tells answers from refusals.
    pub(crate) fn new(
        endpoint: &'a str,
        deadline: &Deadline,
        reply: Reply,
    ) -> Result<Self, ClientError> {
        match Status::from_number(reply.header.status) {
            Some(Status::Ok) => Ok(Self { endpoint, found: true, reply }),
            Some(Status::NotFound) => Ok(Self { endpoint, found: false, reply }),
            Some(Status::DeadlineExceeded) => Err(deadline.passed(endpoint)),
            Some(status) => Err(ClientError::refused(status, reply.payload)),
            None => Err(ClientError::protocol(
                endpoint,
                format!("a reply of unknown status {}", reply.header.status),
            )),
        }
    }

    /// The sequence of a write.
    pub(crate) fn sequence(self) -> Result<u64, ClientError> {
        self.must_be_found()?;
        Ok(self.reply.header.extra)
    }

    /// What was asked for, if it is there. Validates it, once; copies nothing.
    pub(crate) fn found<T: Payload>(self) -> Result<Option<View<T>>, ClientError> {
        if self.found { self.view().map(Some) } else { Ok(None) }
    }

    /// Whether there was what was asked for.
    pub(crate) fn was_found(self) -> bool {
        self.found
    }

    /// What every server has.
    pub(crate) fn view<T: Payload>(self) -> Result<View<T>, ClientError> {
        self.must_be_found()?;
        let bytes = self.reply.payload.unwrap_or_else(|| SharedBytes::whole(FrameBuffer::new()));
        View::new(bytes).map_err(|error| ClientError::payload(self.endpoint, &error))
    }

    /// The payload as it is, where it is no archive.
    pub(crate) fn bytes(self) -> Result<SharedBytes, ClientError> {
        self.must_be_found()?;
        Ok(self.reply.payload.unwrap_or_else(|| SharedBytes::whole(FrameBuffer::new())))
    }

    fn must_be_found(&self) -> Result<(), ClientError> {
        if self.found {
            return Ok(());
        }
        Err(ClientError::protocol(
            self.endpoint,
            "\"not found\" as the answer to a request that always has one",
        ))
    }
}
