//! The connections of one thread: opening and watching them, and their failures as errors that name
//! them.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use sutra_wire::{CoreLayout, NO_CORE};

use crate::connection::Connection;
use crate::handshake::{connect, greet};
use crate::{Framing, LoadError, Plan, Routes};

/// The most connections that one wake-up of epoll reports; the others follow with the next.
const EVENTS: usize = 256;
/// How often a sleeping thread checks whether the run is to stop.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// Connections that are ready, by their places, and what each is ready for.
pub(super) type Ready = Vec<(usize, EventFlags)>;

/// One connection, or several that epoll watches.
pub(super) struct Sockets {
    connections: Vec<Connection>,
    epoll: Option<OwnedFd>,
    /// The list that [`Sockets::wait`] fills, kept between calls.
    ready: Ready,
    timeout: Duration,
}

impl Sockets {
    /// Opens the thread's connections and exchanges Hello on each, asking for the cores in turn.
    /// `cores` is how many the server has, as far as is known; each Hello corrects it.
    pub(super) fn open(
        plan: &Plan,
        (thread, threads): (usize, usize),
        framing: Framing,
        cores: &mut u16,
    ) -> Result<(Self, Routes), LoadError> {
        let (count, first) = plan.share(thread, threads);
        let mut streams = Vec::with_capacity(count);
        let mut depth = plan.depth;
        for number in first..first + count {
            let stream = connect(plan.address, plan.timeout)?;
            let mut core = 0;
            if framing == Framing::Native {
                let wanted = u16::try_from(number % usize::from(*cores)).unwrap_or(NO_CORE);
                let greeting = greet(&stream, plan.address, wanted)?;
                (core, *cores) = (greeting.core, greeting.cores.max(1));
                depth = depth.min(greeting.max_in_flight as usize);
            }
            let look = Some(plan.timeout.min(LOOK));
            stream
                .set_read_timeout(look)
                .map_err(|source| LoadError::system("setting a socket option", source))?;
            streams.push((stream, number, core));
        }
        if depth < plan.depth {
            let problem = format!(
                "a depth of {} is over the server's limit of {depth} requests in flight",
                plan.depth
            );
            return Err(LoadError::Plan { problem });
        }
        let cores = *cores;
        let covered = plan.layout_aware
            && (0..cores).all(|core| streams.iter().any(|(.., has)| *has == core));
        let routes =
            if covered { Routes::per_core(CoreLayout::new(cores)) } else { Routes::single() };
        let depth = u32::try_from(depth).expect("the plan was checked");
        let connections = streams.into_iter().map(|(stream, number, core)| {
            let lane = if covered { usize::from(core) } else { 0 };
            let connection = Connection::new(stream, plan.address, number, lane, depth);
            if framing.is_in_order() { connection.in_order() } else { connection }
        });
        let connections: Vec<_> = connections.collect();
        let epoll = if connections.len() > 1 { Some(watch(&connections)?) } else { None };
        let ready = Vec::with_capacity(EVENTS);
        Ok((Self { connections, epoll, ready, timeout: plan.timeout }, routes))
    }

    pub(super) fn count(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is more than one.
    pub(super) fn are_many(&self) -> bool {
        self.epoll.is_some()
    }

    pub(super) fn at(&self, at: usize) -> &Connection {
        &self.connections[at]
    }

    pub(super) fn at_mut(&mut self, at: usize) -> &mut Connection {
        &mut self.connections[at]
    }

    pub(super) fn into_connections(self) -> Vec<Connection> {
        self.connections
    }

    /// Whether the workload has nothing more for any of them.
    pub(super) fn are_exhausted(&self) -> bool {
        self.connections.iter().all(|connection| connection.exhausted)
    }

    /// The place of a connection that has requests in flight.
    pub(super) fn waiting(&self) -> usize {
        self.connections.iter().position(|connection| connection.in_flight() > 0).unwrap_or(0)
    }

    /// Waits at most `patience` until any of several connections is ready. The list goes back with
    /// [`Sockets::give_back`].
    pub(super) fn wait(&mut self, patience: Duration) -> Result<Ready, LoadError> {
        let mut ready = std::mem::take(&mut self.ready);
        let Some(epoll) = &self.epoll else { return Ok(ready) };
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; EVENTS];
        let since = Instant::now();
        while ready.is_empty() {
            match epoll::wait(epoll, &mut events, Some(&timespec(patience))) {
                Ok(([], _)) if since.elapsed() >= patience => break,
                Ok((found, _)) => {
                    let places = found.iter().map(|event| {
                        let (flags, data) = (event.flags, event.data);
                        (data.u64() as usize, flags)
                    });
                    ready.extend(places);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(LoadError::system("epoll_wait", error)),
            }
        }
        Ok(ready)
    }

    pub(super) fn give_back(&mut self, mut ready: Ready) {
        ready.clear();
        self.ready = ready;
    }

    /// Waits at most `patience` until the only connection has bytes, or room for more.
    pub(super) fn poll_only(&self, patience: Duration) -> Result<bool, LoadError> {
        let interest = PollFlags::IN | PollFlags::OUT;
        let mut sockets = [PollFd::new(&self.connections[0].stream, interest)];
        match rustix::event::poll(&mut sockets, Some(&timespec(patience))) {
            Ok(0) => Ok(false),
            Ok(_) | Err(Errno::INTR) => Ok(true),
            Err(error) => Err(LoadError::system("poll", error)),
        }
    }

    /// Receives what is there on a connection; `None` if nothing is.
    pub(super) fn receive(
        &self,
        at: usize,
        into: &mut [u8],
        wait: bool,
    ) -> Result<Option<usize>, Failed> {
        match self.connections[at].receive(into, wait) {
            Ok(Some(0)) | Err(Errno::CONNRESET | Errno::PIPE) => Err(Failed::Closed),
            Ok(received) => Ok(received),
            Err(error) => Err(Failed::Load(LoadError::system("recv", error))),
        }
    }

    /// Sends what is written, as far as the socket takes it. Returns how many bytes.
    pub(super) fn flush(&mut self, at: usize, now: u64) -> Result<usize, Failed> {
        let connection = &mut self.connections[at];
        connection.stamp(now);
        let sent = match connection.send() {
            Ok(sent) => sent,
            Err(Errno::CONNRESET | Errno::PIPE) => return Err(Failed::Closed),
            Err(error) => return Err(Failed::Load(LoadError::system("send", error))),
        };
        let blocks = connection.has_unsent();
        if let Some(epoll) =
            self.epoll.as_ref().filter(|_| connection.is_watched_for_room != blocks)
        {
            connection.is_watched_for_room = blocks;
            let interest = if blocks { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(epoll, &connection.stream, EventData::new_u64(at as u64), interest)
                .map_err(|error| Failed::Load(LoadError::system("epoll_ctl", error)))?;
        }
        Ok(sent)
    }

    /// What ended the exchange on a connection, as an error.
    pub(super) fn error(
        &self,
        at: usize,
        failed: Failed,
        last_refusal: Option<String>,
    ) -> LoadError {
        let connection = &self.connections[at];
        let (address, number, unanswered) =
            (connection.address, connection.number, connection.in_flight());
        match failed {
            Failed::Closed => {
                LoadError::Closed { address, connection: number, unanswered, last_refusal }
            }
            Failed::Silent => {
                LoadError::Silent { address, connection: number, unanswered, waited: self.timeout }
            }
            Failed::Load(error) => error,
        }
    }
}

/// Why the exchange on a connection can't go on.
pub(super) enum Failed {
    /// The server has closed it.
    Closed,
    /// The server has sent nothing for the plan's timeout.
    Silent,
    /// Anything else.
    Load(LoadError),
}

/// An epoll instance that reports each connection by its place in the list.
fn watch(connections: &[Connection]) -> Result<OwnedFd, LoadError> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)
        .map_err(|error| LoadError::system("epoll_create", error))?;
    for (at, connection) in connections.iter().enumerate() {
        epoll::add(&epoll, &connection.stream, EventData::new_u64(at as u64), EventFlags::IN)
            .map_err(|error| LoadError::system("epoll_ctl", error))?;
    }
    Ok(epoll)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}
