//! A stream of the grid's events.

use sutra_wire::grid::GridEvent;
use sutra_wire::{FrameBuffer, Header, Status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::answer::Answer;
use crate::connect::{self, Opened};
use crate::deadline::Deadline;
use crate::grid::GridCall;
use crate::{ClientError, Endpoint};

/// The number of the one request.
const NUMBER: u64 = 1;

/// What happens in the grid, event after event. Dropping it ends the watching.
pub struct Watch {
    opened: Opened,
    deadline: Deadline,
}

impl Watch {
    pub(crate) async fn open(endpoint: &Endpoint, call: GridCall, deadline: &Deadline) -> Result<Self, ClientError> {
        let name = endpoint.to_string();
        let mut opened = deadline.limit(&name, connect::open(endpoint, None)).await.flatten()?;
        let mut frame = FrameBuffer::new();
        call.encode(&mut frame, Header { opcode: call.opcode() as u8, request: NUMBER, ..Header::default() });
        let sent = deadline.limit(&name, opened.stream.write_all(&frame)).await?;
        sent.map_err(|error| ClientError::closed(&name, error.to_string()))?;
        Ok(Self { opened, deadline: *deadline })
    }

    /// The next event, whenever it comes; `None` where the master is stopping. An event's number goes into [`crate::GridClient::watch`] to go on
    /// after a lost connection. May be dropped while it waits: no event is lost by that.
    ///
    /// # Errors
    /// Where the connection is lost, or the master refuses to be watched.
    pub async fn next(&mut self) -> Result<Option<GridEvent>, ClientError> {
        let Opened { name, stream, buffer, .. } = &mut self.opened;
        loop {
            if let Some(reply) = buffer.next_reply().map_err(|error| ClientError::protocol(name, error.to_string()))? {
                return match Answer::new(name, &self.deadline, reply) {
                    Ok(answer) => Ok(Some(answer.view::<GridEvent>()?.checked().to_owned())),
                    Err(ClientError::Refused { status: Status::ShuttingDown, .. }) => Ok(None),
                    Err(error) => Err(error),
                };
            }
            // Read or not read: where this is dropped, nothing was.
            let count =
                stream.read(buffer.space()).await.map_err(|error| ClientError::closed(name, error.to_string()))?;
            if count == 0 {
                return Err(ClientError::closed(name, "the master closed it"));
            }
            buffer.received(count);
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("master", &self.opened.name).finish_non_exhaustive()
    }
}
