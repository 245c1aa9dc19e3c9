//! A stream of the grid's events.

use std::collections::VecDeque;

use sutra_wire::grid::GridEvent;
use sutra_wire::{FrameBuffer, Header, Opcode, Status, encode_empty};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::answer::Answer;
use crate::deadline::Deadline;
use crate::dial::{self, Opened};
use crate::grid::GridCall;
use crate::in_flight::Reply;
use crate::{ClientError, Endpoint};

/// The number of the request that is answered without end.
const WATCHING: u64 = 1;
/// The number of the request behind it, whose answer says that the first was taken.
const BEGUN: u64 = 2;

/// What happens in the grid, event after event. Dropping it ends the watching.
pub struct Watch {
    opened: Opened,
    deadline: Deadline,
    /// What came before it was known that the watching has begun.
    first: VecDeque<Reply>,
}

impl Watch {
    pub(crate) async fn open(
        endpoint: &Endpoint,
        call: GridCall,
        deadline: &Deadline,
    ) -> Result<Self, ClientError> {
        let name = endpoint.to_string();
        let mut opened = deadline.limit(&name, dial::open(endpoint, None)).await.flatten()?;
        let mut frames = FrameBuffer::new();
        call.encode(
            &mut frames,
            Header { opcode: call.opcode() as u8, request: WATCHING, ..Header::default() },
        );
        encode_empty(
            &mut frames,
            Header { opcode: Opcode::Health as u8, request: BEGUN, ..Header::default() },
        );
        let sent = deadline.limit(&name, opened.stream.write_all(&frames)).await?;
        sent.map_err(|error| ClientError::closed(&name, error.to_string()))?;
        let mut first = VecDeque::new();
        loop {
            let reply = deadline.limit(&name, receive(&mut opened)).await.flatten()?;
            if reply.header.request == BEGUN {
                return Ok(Self { opened, deadline: *deadline, first });
            }
            if Status::from_number(reply.header.status) != Some(Status::Ok) {
                return Err(Answer::new(&name, deadline, reply).err().unwrap_or_else(|| {
                    ClientError::protocol(
                        &name,
                        "it answers a request to be watched with \"not found\"",
                    )
                }));
            }
            first.push_back(reply);
        }
    }

    /// The next event, whenever it comes; `None` where the master is stopping. An event's number
    /// goes into [`crate::GridClient::watch`] to go on after a lost connection. May be dropped
    /// while it waits: no event is lost by that.
    ///
    /// # Errors
    /// Where the connection is lost, or the master refuses to be watched.
    pub async fn next(&mut self) -> Result<Option<GridEvent>, ClientError> {
        let reply = match self.first.pop_front() {
            Some(reply) => reply,
            None => receive(&mut self.opened).await?,
        };
        match Answer::new(&self.opened.name, &self.deadline, reply) {
            Ok(answer) => Ok(Some(answer.view::<GridEvent>()?.checked().to_owned())),
            Err(ClientError::Refused { status: Status::ShuttingDown, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The next reply. Where this is dropped, nothing was read.
async fn receive(opened: &mut Opened) -> Result<Reply, ClientError> {
    let Opened { name, stream, buffer, .. } = opened;
    loop {
        if let Some(reply) =
            buffer.next_reply().map_err(|error| ClientError::protocol(name, error.to_string()))?
        {
            return Ok(reply);
        }
        let count = stream
            .read(buffer.space())
            .await
            .map_err(|error| ClientError::closed(name, error.to_string()))?;
        if count == 0 {
            return Err(ClientError::closed(name, "the master closed it"));
        }
        buffer.received(count);
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("master", &self.opened.name).finish_non_exhaustive()
    }
}
