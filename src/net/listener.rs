//! Listening sockets: one a core on the same address (SO_REUSEPORT), so that the kernel spreads
//! connections without a lock.
//!
//! SO_REUSEPORT would let a second server of the same user join the port silently and take half of
//! the connections. So the address is first bound without it: what is in use is refused by name.
//!
//! A service manager may have opened the socket already (socket activation). It is one socket, held
//! by the manager as well. So every core has a duplicate of it, and what its backlog holds at the
//! end is left to whoever serves it next. Each new connection wakes all cores that sleep, where a
//! socket of a core's own wakes one.
//!
//! Accepted connections inherit what is set here (tcp(7)), so it costs no call for each:
//! TCP_NODELAY, as replies are gathered already and must not wait for the peer's acknowledgements;
//! and keepalive, which finds peers that are gone without a word.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use sutra_runtime::Listener;

/// Pending connections that a listener holds before the kernel turns more away: the kernel's own
/// default maximum.
pub const BACKLOG: i32 = 4096;

/// How long a connection is silent before the kernel asks whether the peer is still there, and how
/// often it asks again: four questions without an answer end it.
const KEEPALIVE: Duration = Duration::from_secs(60);
const PROBES: Duration = Duration::from_secs(15);

/// An address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error(
        "{address} is in use by another process, or by a connection that the system gave this port \
         as its own (ss -tanp shows it); stop that, or listen elsewhere with --listen ADDRESS"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error(
        "can't listen on {address}: {source}; give an address of this host, \
         and a port above 1023 unless the process may use lower ones"
    )]
    Failed {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A socket that was handed over can't be served.
    #[error(
        "the service manager has handed over {what} as a port, which takes a listening TCP socket \
         (systemd.socket: ListenStream= with a port, Accept=no)"
    )]
    Inherited {
        /// What it is instead.
        what: String,
    },
}

/// Two of these addresses that nobody can listen on at the same time: the later one, and the one
/// that has the port. Our own listener would be taken for another process's.
pub fn first_overlap(addresses: &[SocketAddr]) -> Option<(SocketAddr, SocketAddr)> {
    addresses.iter().enumerate().find_map(|(at, address)| {
        let earlier = addresses[..at].iter().find(|earlier| overlap(earlier, address))?;
        Some((*address, *earlier))
    })
}

/// Whether they are the same port of the same address, or of every address. Port 0 is another one
/// each time.
fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    let meet = one.ip() == other.ip()
        || (one.is_ipv4() == other.is_ipv4()
            && (one.ip().is_unspecified() || other.ip().is_unspecified()));
    meet && one.port() == other.port() && one.port() != 0
}

/// Opens `count` listeners on one address. Port 0 picks a free one, the same for all.
pub fn listen(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, ListenError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address },
        _ => ListenError::Failed { address, source },
    };
    // Only asks: held on to, it would keep the real listeners out too. Another server may come in
    // between, but two starts in the same millisecond are not what this is about.
    drop(bind(address, false).map_err(failed)?);
    let first: TcpListener = bind(address, true).and_then(start).map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(bind(bound, true).and_then(start).map_err(failed)?);
    }
    Ok(listeners)
}

/// Makes a socket that somebody else has opened serve `count` cores, with the options of those that
/// [`listen`] opens.
///
/// # Errors
/// It is no listening TCP socket.
pub fn inherit(listener: TcpListener, count: usize) -> Result<Vec<Listener>, ListenError> {
    let socket = Socket::from(listener);
    let wrong = |what: String| ListenError::Inherited { what };
    let is_listening = socket.is_listener();
    if !is_listening.map_err(|error| wrong(format!("a descriptor that is no socket ({error})")))? {
        return Err(wrong("a socket that does not listen".into()));
    }
    let prepared = set_options(&socket).and_then(|()| socket.set_nonblocking(true));
    prepared.map_err(|error| wrong(format!("a socket that is no TCP socket ({error})")))?;
    let listener = TcpListener::from(socket);
    let duplicates = (1..count).map(|_| listener.try_clone()).collect::<io::Result<Vec<_>>>();
    let mut all = duplicates.map_err(|error| {
        wrong(format!("a socket that can't be duplicated for each core ({error})"))
    })?;
    all.push(listener);
    Ok(all.into_iter().map(Listener::shared).collect())
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
    set_options(&socket)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What accepted connections inherit.
fn set_options(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(PROBES).with_retries(4);
    socket.set_tcp_keepalive(&keepalive)
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
    fn accepted_connections_send_at_once_and_are_kept_alive() {
        let listener =
            listen("127.0.0.1:0".parse().expect("an address"), 1).expect("a free port").remove(0);
        let _client =
            std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (accepted, _) = std::iter::repeat_with(|| listener.accept())
            .find_map(Result::ok)
            .expect("a connection");
        let accepted = Socket::from(accepted);
        assert!(
            accepted.tcp_nodelay().expect("an option") && accepted.keepalive().expect("an option")
        );
        assert_eq!(accepted.tcp_keepalive_time().expect("an option"), KEEPALIVE);
    }

    #[test]
    fn an_inherited_socket_serves_every_core_with_the_same_options() {
        let opened = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = opened.local_addr().expect("bound");
        let kept = opened.try_clone().expect("a duplicate");
        let all = inherit(opened, 3).expect("it listens");
        let is_there = |one: &Listener| one.local_addr().expect("bound") == address;
        assert!(all.len() == 3 && all.iter().all(is_there));
        let _client = std::net::TcpStream::connect(address).expect("connected");
        let (accepted, _) =
            std::iter::repeat_with(|| kept.accept()).find_map(Result::ok).expect("a connection");
        assert!(Socket::from(accepted).tcp_nodelay().expect("an option"));
    }

    #[test]
    fn what_does_not_listen_is_refused_as_an_inherited_port() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("two sockets");
        let silent = bind("127.0.0.1:0".parse().expect("an address"), false).expect("a free port");
        for (fd, says) in [
            (std::os::fd::OwnedFd::from(one), "does not listen"),
            (silent.into(), "does not listen"),
            (std::fs::File::open("/dev/null").expect("it is there").into(), "no socket"),
        ] {
            let error = inherit(TcpListener::from(fd), 1).expect_err("no port").to_string();
            assert!(error.contains(says) && error.contains("ListenStream="), "{error}");
        }
    }

    #[test]
    fn an_address_of_another_host_is_refused_with_the_reason() {
        let error =
            listen("192.0.2.1:50050".parse().expect("an address"), 1).expect_err("not ours");
        assert!(error.to_string().starts_with("can't listen on 192.0.2.1:50050: "), "{error}");
    }
}
