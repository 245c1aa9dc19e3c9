//! Making a connection: the socket, its options, Hello, and the driver.

use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use sutra_wire::{FrameBuffer, FrameError, limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::connection::Connection;
use crate::driver::Driver;
use crate::handshake::{self, ServerInfo};
use crate::receive::ReceiveBuffer;
use crate::shared::Shared;
use crate::{ClientError, Endpoint};

/// Silence after which the kernel probes the peer, and the time between probes: a peer that
/// vanished is found within two minutes, and routers are kept from forgetting a connection that is
/// only idle.
const KEEPALIVE: Duration = Duration::from_secs(60);
const PROBES: Duration = Duration::from_secs(15);

/// A connection over which Hello was exchanged.
pub(crate) struct Opened {
    pub(crate) name: Arc<str>,
    pub(crate) stream: TcpStream,
    /// What was received behind the server's Hello.
    pub(crate) buffer: ReceiveBuffer,
    info: ServerInfo,
    core: u16,
}

/// Connects and says Hello, asking for a core where one is wanted. The caller limits the time that
/// it takes.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    wanted_core: Option<u16>,
) -> Result<Connection, ClientError> {
    let Opened { name, stream, buffer, info, core } = open(endpoint, wanted_core).await?;
    let (read, write) = stream.into_split();
    let shared = Arc::new(Shared::new(name, info, write, buffer));
    tokio::spawn(Driver::new(shared.clone(), read));
    Ok(Connection::new(shared, core))
}

/// Opens a connection, handshake included, and gives it no driver.
pub(crate) async fn open(
    endpoint: &Endpoint,
    wanted_core: Option<u16>,
) -> Result<Opened, ClientError> {
    let name: Arc<str> = endpoint.to_string().into();
    let failed = |error| ClientError::connect(&name, error);
    let lost = |error: std::io::Error| ClientError::closed(&name, error.to_string());
    let mut stream = TcpStream::connect(endpoint.host_and_port()).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(PROBES);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(failed)?;

    let mut hello = FrameBuffer::new();
    handshake::hello(&mut hello, wanted_core);
    stream.write_all(&hello).await.map_err(lost)?;
    let mut buffer = ReceiveBuffer::new(limits::MAX_PAYLOAD);
    let reply = loop {
        let count = stream.read(buffer.space()).await.map_err(lost)?;
        if count == 0 {
            return Err(ClientError::closed(
                &name,
                "the server closed it before it answered Hello",
            ));
        }
        buffer.received(count);
        match buffer.next_reply() {
            Ok(Some(reply)) => break reply,
            Ok(None) => {}
            Err(error @ FrameError::Version { .. }) => {
                return Err(ClientError::Incompatible {
                    endpoint: name.to_string(),
                    problem: error.to_string(),
                });
            }
            Err(error) => return Err(ClientError::protocol(&name, error.to_string())),
        }
    };
    let (info, core) = handshake::answer(&name, &reply)?;
    drop(reply);
    if wanted_core.is_some_and(|wanted| wanted != core) {
        tracing::debug!(
            endpoint = &*name,
            ?wanted_core,
            core,
            "served by another core than asked for"
        );
    }
    Ok(Opened { name, stream, buffer, info, core })
}
