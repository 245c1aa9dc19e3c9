//! Errands to agents: what is asked of them goes from a thread of its own, over a connection of its
//! own, within a time of its own.
//!
//! Bounded: errands that wait, errands under way, bytes of an answer. An agent that hangs holds one
//! of the connections until its time is over.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use sutra_compat::grid::{GridReply, GridRequest, ReplyDetails, SpawnOptions};
use sutra_compat::{CompatError, PREFIX_BYTES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// Errands that wait for their turn; with more, whoever asks is told that there is too much to do.
const QUEUE: usize = 256;
/// Errands under way at a time, each a connection.
const AT_A_TIME: usize = 64;
/// The longest answer: an error in words, or a node's id and its addresses.
const MOST: usize = 64 << 10;
/// The agent answers when the node's health does, after its recovery.
pub(crate) const SPAWN: Duration = Duration::from_secs(30);
/// The agent answers when the node has ended: TERM, drain, KILL.
pub(crate) const STOP: Duration = Duration::from_secs(15);
/// The agent knows it.
pub(crate) const STATUS: Duration = Duration::from_secs(5);

/// Something to ask an agent.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) number: u64,
    pub(crate) endpoint: String,
    pub(crate) request: GridRequest,
    pub(crate) options: Option<SpawnOptions>,
    pub(crate) timeout: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) number: u64,
    pub(crate) result: Result<(GridReply, Option<ReplyDetails>), ErrandError>,
}

/// Why an agent has not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErrandError {
    #[error(
        "can't reach it at {endpoint}: {source}; \
         is it running, and is that its address as the master's host sees it?"
    )]
    Unreachable { endpoint: String, source: io::Error },
    #[error(
        "the connection to {endpoint} broke off: {source}; \
         whether it did what was asked shows in `sutra grid nodes`"
    )]
    BrokenOff { endpoint: String, source: io::Error },
    #[error(
        "{endpoint} has not answered within {:.0} s; \
         whether it did what was asked shows in `sutra grid nodes`",
        .timeout.as_secs_f64()
    )]
    TimedOut { endpoint: String, timeout: Duration },
    #[error(
        "{endpoint} gave an answer of {length} bytes, more than any agent does; \
         is an agent listening there?"
    )]
    TooLong { endpoint: String, length: usize },
    #[error("what {endpoint} answered can't be read: {source}; is an agent listening there?")]
    Unreadable { endpoint: String, source: CompatError },
}

impl ErrandError {
    /// Whether the agent has certainly done nothing.
    pub(crate) fn is_certain(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// The way to a thread that does one thing after the other, many at a time. Ends it when dropped,
/// whatever is under way.
pub(crate) struct Worker<T> {
    queue: Sender<T>,
    /// Dropped with it: ends the thread.
    _alive: oneshot::Sender<()>,
}

impl<T: Send + 'static> Worker<T> {
    /// Sends something on its way; `false` where too many wait.
    pub(crate) fn send(&self, errand: T) -> bool {
        self.queue.try_send(errand).is_ok()
    }
}

/// Starts a thread that works through a queue. To be called before the calling thread is pinned:
/// the new one inherits its mask.
pub(crate) fn start_worker<T: Send + 'static>(
    name: &str,
    work: impl AsyncFnOnce(&mut Receiver<T>) + Send + 'static,
) -> io::Result<(Worker<T>, JoinHandle<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (errands, mut queue) = channel(QUEUE);
    let (alive, ended) = oneshot::channel();
    let thread = Builder::new().name(name.into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = work(&mut queue) => {}
                _ = ended => {}
            }
        });
        // A name that is being looked up can't be interrupted.
        runtime.shutdown_background();
    })?;
    Ok((Worker { queue: errands, _alive: alive }, thread))
}

/// Starts the thread that runs errands, and tells what came of each.
pub(crate) fn start(
    tell: impl Fn(Done) + Clone + Send + 'static,
) -> io::Result<(Worker<Errand>, JoinHandle<()>)> {
    start_worker("errands", async move |queue: &mut Receiver<Errand>| work(queue, &tell).await)
}

async fn work(queue: &mut Receiver<Errand>, tell: &(impl Fn(Done) + Clone + Send + 'static)) {
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let Some(errand) = queue.recv().await else { return };
        let tell = tell.clone();
        tokio::spawn(async move {
            let Errand { number, endpoint, request, options, timeout } = errand;
            let mut message = Vec::new();
            request.append(options.as_ref(), &mut message);
            let asked = tokio::time::timeout(timeout, exchange(&endpoint, message, MOST)).await;
            let result = asked.unwrap_or(Err(ErrandError::TimedOut { endpoint, timeout }));
            tell(Done { number, result });
            drop(permit);
        });
    }
}

/// One message to an agent and its answer, of `most` bytes, on a connection of their own.
pub(crate) async fn exchange(
    endpoint: &str,
    mut message: Vec<u8>,
    most: usize,
) -> Result<(GridReply, Option<ReplyDetails>), ErrandError> {
    let to = || endpoint.to_owned();
    let mut stream = TcpStream::connect(endpoint)
        .await
        .map_err(|source| ErrandError::Unreachable { endpoint: to(), source })?;
    let broken_off = |source| ErrandError::BrokenOff { endpoint: to(), source };
    stream.write_all(&message).await.map_err(broken_off)?;
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await.map_err(broken_off)?;
    let length = u32::from_be_bytes(prefix) as usize;
    if length > most {
        return Err(ErrandError::TooLong { endpoint: to(), length });
    }
    message.clear();
    message.resize(length, 0);
    stream.read_exact(&mut message).await.map_err(broken_off)?;
    GridReply::read_with_details(&message)
        .map_err(|source| ErrandError::Unreadable { endpoint: to(), source })
}
