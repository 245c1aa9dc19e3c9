//! One connection of a run: its socket, its requests in flight, and the bytes that are on their
//! way.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use sutra_wire::FrameBuffer;

/// A request that has not been answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InFlight {
    /// When it was sent, in ns of the run's clock; in an open loop, when it was due.
    pub(crate) sent: u64,
    /// What [`Workload::check`](crate::Workload::check) needs to know about it.
    pub(crate) tag: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The number of the request in it: the slot's place in the low half, how often the slot was
    /// used in the high half.
    number: u64,
    request: Option<InFlight>,
}

/// A connection and its requests in flight. Allocates nothing while requests come and go.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    /// The connection's number in the run.
    pub(crate) number: usize,
    /// The lane whose requests it carries.
    pub(crate) lane: usize,
    /// Whether the workload has no more requests for it.
    pub(crate) exhausted: bool,
    /// The beginning of a reply whose rest has not arrived.
    pub(crate) partial: FrameBuffer,
    /// Requests that are written and not yet sent, and how many bytes of them the socket has taken.
    pub(crate) out: FrameBuffer,
    taken: usize,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots whose requests are in `out` and have no time yet.
    fresh: Vec<u32>,
    /// Whether epoll reports when the socket takes more.
    pub(crate) is_watched_for_room: bool,
    /// The numbers of the requests in flight, oldest first, where replies carry none.
    in_order: Option<VecDeque<u64>>,
}

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        address: SocketAddr,
        number: usize,
        lane: usize,
        depth: u32,
    ) -> Self {
        Self {
            stream,
            address,
            number,
            lane,
            exhausted: false,
            partial: FrameBuffer::new(),
            out: FrameBuffer::new(),
            taken: 0,
            slots: (0..depth).map(|slot| Slot { number: u64::from(slot), request: None }).collect(),
            free: (0..depth).rev().collect(),
            fresh: Vec::with_capacity(depth as usize),
            is_watched_for_room: false,
            in_order: None,
        }
    }

    /// Makes this a connection whose replies carry no number and come in the order of their
    /// requests.
    pub(crate) fn in_order(mut self) -> Self {
        self.in_order = Some(VecDeque::with_capacity(self.slots.len()));
        self
    }

    /// The number of the request that the next reply answers. Where replies carry numbers it is
    /// `number`.
    pub(crate) fn answered(&mut self, number: u64) -> u64 {
        self.in_order.as_mut().and_then(VecDeque::pop_front).unwrap_or(number)
    }

    /// Requests that have not been answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The number that the next request will have; `None` while `depth` are in flight.
    pub(crate) fn next_number(&self) -> Option<u64> {
        self.free.last().map(|slot| self.slots[*slot as usize].number)
    }

    /// Takes the slot of [`Connection::next_number`] for a request that was appended to `out`. Its
    /// latency counts from `due`, or from when it is stamped.
    pub(crate) fn begin(&mut self, tag: u64, due: Option<u64>) {
        let slot = self.free.pop().expect("next_number gave this slot's number");
        self.slots[slot as usize].request = Some(InFlight { sent: due.unwrap_or(0), tag });
        if let Some(in_order) = &mut self.in_order {
            in_order.push_back(self.slots[slot as usize].number);
        }
        if due.is_none() {
            self.fresh.push(slot);
        }
    }

    /// Gives the requests that are about to be sent the time `now`.
    pub(crate) fn stamp(&mut self, now: u64) {
        for slot in self.fresh.drain(..) {
            if let Some(request) = &mut self.slots[slot as usize].request {
                request.sent = now;
            }
        }
    }

    /// Frees the slot of an answered request; `None` where no request in flight has this number.
    pub(crate) fn complete(&mut self, number: u64) -> Option<InFlight> {
        let place = number as u32;
        let slot = self.slots.get_mut(place as usize).filter(|slot| slot.number == number)?;
        let request = slot.request.take()?;
        slot.number = slot.number.wrapping_add(1 << 32);
        self.free.push(place);
        Some(request)
    }

    /// Whether bytes wait for the socket to take them.
    pub(crate) fn has_unsent(&self) -> bool {
        self.taken < self.out.len()
    }

    /// Sends what the socket takes without waiting, and returns how many bytes that was. One system
    /// call if it takes all.
    pub(crate) fn send(&mut self) -> Result<usize, Errno> {
        let before = self.taken;
        while self.has_unsent() {
            match rustix::net::send(
                &self.stream,
                &self.out[self.taken..],
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(count) => self.taken += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(self.taken - before),
                Err(error) => return Err(error),
            }
        }
        let sent = self.taken - before;
        self.out.clear();
        self.taken = 0;
        Ok(sent)
    }

    /// Receives into `buffer`; `None` when nothing is there. With `wait` it waits up to the
    /// socket's timeout.
    pub(crate) fn receive(&self, buffer: &mut [u8], wait: bool) -> Result<Option<usize>, Errno> {
        let flags = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        loop {
            match rustix::net::recv(&self.stream, &mut *buffer, flags) {
                Ok((_, count)) => return Ok(Some(count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}
