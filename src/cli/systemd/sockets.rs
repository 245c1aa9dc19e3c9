//! Listening sockets that the service manager has opened (socket activation).
//!
//! A socket's name says which port it is: `FileDescriptorName=native` or `compat` in its unit.

use listenfd::ListenFd;
use sutra_server::Inherited;

use crate::exit::Failure;

/// Takes the sockets that were handed over to this process; none where there are none.
///
/// To be called before any thread is started: it takes their variables out of the environment, so
/// that no process started from here takes them for its own.
pub(crate) fn take() -> Result<Inherited, Failure> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut sockets = ListenFd::from_env();
    let mut inherited = Inherited::default();
    let mut names = names.split(':');
    for at in 0..sockets.len() {
        let name = names.next().unwrap_or_default();
        let port = match name {
            "native" => &mut inherited.native,
            "compat" => &mut inherited.compat,
            name => return Err(unknown(name)),
        };
        let wrong = |error| {
            Failure::Usage(format!(
                "the socket {name} that the service manager has handed over is no TCP port: \
                 {error}; give its unit ListenStream= with a port"
            ))
        };
        port.extend(sockets.take_tcp_listener(at).map_err(wrong)?);
    }
    Ok(inherited)
}

fn unknown(name: &str) -> Failure {
    Failure::Usage(format!(
        "the service manager has handed over a socket named {name:?}, and this server knows native \
         and compat; set FileDescriptorName= in its unit"
    ))
}
