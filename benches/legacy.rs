//! The kind of server that Sutra replaces, as a plain and fair contender. It runs on tokio, with a
//! task for each connection. Messages are MessagePack behind a four-byte length. Maps lie behind a
//! lock. Each write is appended to a log before it is answered, and with [`Sync::Always`] the log
//! is synced.
//!
//! It is kinder than the original where that costs nothing. Replies to pipelined requests leave in
//! one write. A sync does not hold up reads of other connections, as it runs on tokio's blocking
//! threads. There is one sync for each write, as in the original.

mod grid;
pub(crate) mod messages;
mod store;

use std::net::TcpListener;
use std::sync::Arc;

use clap::ValueEnum;
use core_affinity::CoreId;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;

use crate::Outcome;
use messages::{Request, Response};
use store::Store;

/// When a write is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sync {
    /// When it is on disk.
    Always,
    /// When it is in the log's file, which is never synced.
    Off,
}

/// The old protocol's bound on a message.
const MAX_MESSAGE: usize = 16 << 20;

/// Serves storage until the process is killed. The log lies on the disk of the build output.
pub(crate) fn serve(listener: TcpListener, cpu: usize, sync: Sync) -> Outcome {
    let folder = crate::process::folder()?;
    let store = Arc::new(Store::create(&folder.path().join("wal.log"), sync == Sync::Always)?);
    accept(listener, cpu, move |message| {
        let store = Arc::clone(&store);
        async move { answer(store, message).await }
    })
}

/// Serves the old grid master's heartbeats until the process is killed.
pub(crate) fn serve_grid(listener: TcpListener, cpu: usize) -> Outcome {
    let agents = Arc::new(grid::Agents::default());
    accept(listener, cpu, move |message| {
        let agents = Arc::clone(&agents);
        async move { agents.answer(&message) }
    })
}

/// The answer to one message, encoded. Bytes that are not a message are answered by an error, as on
/// the compat port.
async fn answer(store: Arc<Store>, message: Vec<u8>) -> Vec<u8> {
    let response = match rmp_serde::from_slice::<Request>(&message) {
        Ok(request) if request.is_write() && store.is_synced() => {
            let done = tokio::task::spawn_blocking(move || store.answer(request, &message)).await;
            done.unwrap_or_else(|error| Response::Error { message: error.to_string() })
        }
        Ok(request) => store.answer(request, &message),
        Err(error) => Response::Error { message: error.to_string() },
    };
    rmp_serde::to_vec_named(&response).unwrap_or_default()
}

/// Accepts connections on one CPU until the process is killed. Each gets a task.
fn accept<F, A>(listener: TcpListener, cpu: usize, answer: F) -> Outcome
where
    F: Fn(Vec<u8>) -> A + Clone + Send + std::marker::Sync + 'static,
    A: Future<Output = Vec<u8>> + Send + 'static,
{
    if !core_affinity::set_for_current(CoreId { id: cpu }) {
        return Err(format!("could not pin to CPU {cpu}").into());
    }
    // As many workers as tokio starts by itself where the process may use one CPU.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    listener.set_nonblocking(true)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(connection(stream, answer.clone()));
        }
    })
}

/// Answers one message after the other. An error ends the connection.
async fn connection<F, A>(stream: TcpStream, answer: F) -> std::io::Result<()>
where
    F: Fn(Vec<u8>) -> A,
    A: Future<Output = Vec<u8>>,
{
    let (reader, writer) = stream.into_split();
    let (mut reader, mut writer) = (BufReader::new(reader), BufWriter::new(writer));
    loop {
        let length = reader.read_u32().await? as usize;
        if length > MAX_MESSAGE {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let mut message = vec![0; length];
        reader.read_exact(&mut message).await?;
        let reply = answer(message).await;
        let length = u32::try_from(reply.len()).map_err(|_| std::io::ErrorKind::InvalidData)?;
        writer.write_u32(length).await?;
        writer.write_all(&reply).await?;
        if reader.buffer().is_empty() {
            writer.flush().await?;
        }
    }
}
