//! What the master asks of agents: a connection each, on a thread of its own, since answers take as long as a node's start does.
//!
//! Bounds: [`QUEUE`] errands wait, [`AT_ONCE`] are under way, each for as long as its limit says; an answer is at most [`MAX_ANSWER`] bytes.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use sutra_compat::grid::{GridReply, GridRequest, SpawnOptions, SpawnedDetails};
use sutra_net::Postbox;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::message::Message;

const QUEUE: usize = 256;
const AT_ONCE: usize = 64;
const MAX_ANSWER: u32 = 1 << 20;

/// How long an agent may take to accept a connection: it is on a network that heartbeats just came over.
const CONNECT: Duration = Duration::from_secs(3);

/// One exchange with an agent.
pub(crate) struct Errand {
    /// Given back with the answer.
    pub(crate) number: usize,
    pub(crate) endpoint: String,
    pub(crate) request: GridRequest,
    pub(crate) options: Option<SpawnOptions>,
    /// How long it may take in all.
    pub(crate) limit: Duration,
}

/// The way to the thread, which ends when this is dropped and all errands have.
pub(crate) struct Errands {
    queue: Sender<Errand>,
    _thread: JoinHandle<()>,
}

impl Errands {
    pub(crate) fn start(postbox: Postbox<Message>) -> std::io::Result<Self> {
        let (queue, errands) = channel(QUEUE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = Builder::new().name("errands".into()).spawn(move || runtime.block_on(run(errands, postbox)))?;
        Ok(Self { queue, _thread: thread })
    }

    /// Sends somebody on an errand; `false` where too many wait already.
    pub(crate) fn send(&self, errand: Errand) -> bool {
        self.queue.try_send(errand).is_ok()
    }
}

async fn run(mut errands: Receiver<Errand>, postbox: Postbox<Message>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(errand) = errands.recv().await {
        // Closed by nobody.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let postbox = postbox.clone();
        tokio::spawn(async move {
            let Errand { number, endpoint, request, options, limit } = errand;
            let exchanged = tokio::time::timeout(limit, exchange(&endpoint, &request, options.as_ref())).await;
            let answer = exchanged.unwrap_or_else(|_| Err(format!("the agent at {endpoint} has not answered within {limit:?}")));
            postbox.post(Message::Answered { errand: number, answer });
            drop(place);
        });
    }
}

async fn exchange(
    endpoint: &str,
    request: &GridRequest,
    options: Option<&SpawnOptions>,
) -> Result<(GridReply, Option<SpawnedDetails>), String> {
    let connected = tokio::time::timeout(CONNECT, TcpStream::connect(endpoint)).await;
    let unreachable = |why: String| format!("the agent can't be reached at {endpoint}: {why}; is it running, and is that its address?");
    let mut stream = connected
        .map_err(|_| unreachable(format!("no connection within {CONNECT:?}")))?
        .map_err(|error| unreachable(error.to_string()))?;
    let lost = |error: std::io::Error| format!("the agent at {endpoint} broke the connection off: {error}");
    let mut message = Vec::new();
    request.append(options, &mut message);
    stream.write_all(&message).await.map_err(lost)?;
    let length = stream.read_u32().await.map_err(lost)?;
    if length > MAX_ANSWER {
        return Err(format!("the agent at {endpoint} announces an answer of {length} bytes; is something else listening there?"));
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.map_err(lost)?;
    GridReply::read(&answer).map_err(|error| format!("the answer of the agent at {endpoint} is none: {error}"))
}
