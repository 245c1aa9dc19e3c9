//! Listening sockets: one a core on the same address (SO_REUSEPORT), so that the kernel spreads connections without a lock.
//!
//! SO_REUSEPORT would let a second server of the same user join the port silently and take half of the connections, so the
//! address is first bound without it: what is in use is refused by name.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Pending connections that a listener holds before the kernel turns more away: the kernel's own default maximum.
const BACKLOG: i32 = 4096;

/// An address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("{address} is in use by another process; stop it, or listen elsewhere with --listen ADDRESS")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("can't listen on {address}: {source}; give an address of this host, and a port above 1023 unless the process may use lower ones")]
    Failed {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Opens `count` listeners on one address. Port 0 picks a free one, the same for all.
pub fn listen(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, ListenError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address },
        _ => ListenError::Failed { address, source },
    };
    // Held until the real listeners stand, except that bound without SO_REUSEPORT it would keep them out too: so it only
    // asks, and is closed again.
    drop(bind(address, false).map_err(failed)?);
    let first: TcpListener = bind(address, true).and_then(start).map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(bind(bound, true).and_then(start).map_err(failed)?);
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier run in TIME_WAIT must not keep a restarted server from its port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn start(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cores_share_one_port_and_a_stranger_is_refused_it() {
        let listeners = listen("127.0.0.1:0".parse().expect("an address"), 3).expect("a free port");
        let address = listeners[0].local_addr().expect("bound");
        assert!(listeners.iter().all(|listener| listener.local_addr().expect("bound") == address));
        assert!(matches!(listen(address, 1), Err(ListenError::InUse { .. })));
    }

    #[test]
    fn an_address_of_another_host_is_refused_with_the_reason() {
        let error = listen("192.0.2.1:50050".parse().expect("an address"), 1).expect_err("not ours");
        assert!(error.to_string().starts_with("can't listen on 192.0.2.1:50050: "), "{error}");
    }
}
