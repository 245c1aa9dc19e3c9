//! What is sent and what is expected back.

use sutra_wire::{ConceptId, CoreLayout, FrameBuffer, Status};

/// How messages are told apart on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Frames of the native wire, after a Hello each way.
    Native,
    /// Replies of so many bytes (at least 8), the request number in the first 8, little-endian; no
    /// handshake.
    Fixed(usize),
    /// Messages of the old protocol behind their length; no handshake, no numbers: replies come in
    /// the order of the requests.
    Legacy,
    /// RESP 2, as Redis speaks it: replies in the order of the requests.
    Redis,
    /// The meta protocol of memcached: replies in the order of the requests.
    Memcached,
}

impl Framing {
    /// Whether replies carry no number and come in the order of their requests.
    pub(crate) fn is_in_order(self) -> bool {
        matches!(self, Framing::Legacy | Framing::Redis | Framing::Memcached)
    }
}

/// Which connections may carry which requests: as many lanes as the server has cores if every core
/// has a connection, so that requests go straight to their owners; else one lane, and the server
/// passes them on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routes {
    layout: CoreLayout,
}

impl Routes {
    /// One lane for all.
    pub fn single() -> Self {
        Self { layout: CoreLayout::new(1) }
    }

    /// A lane a core.
    pub(crate) fn per_core(layout: CoreLayout) -> Self {
        Self { layout }
    }

    /// How many lanes there are, at least one.
    pub fn lanes(&self) -> usize {
        usize::from(self.layout.cores())
    }

    /// The lane that a request about this concept takes.
    pub fn lane_of(&self, id: &ConceptId) -> usize {
        usize::from(self.layout.owner(id))
    }
}

/// An answer: a request that the server did not refuse.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// [`Status::Ok`] or [`Status::NotFound`].
    pub status: Status,
    /// The sequence in the header's `extra`.
    pub sequence: u64,
    /// The key that a reply of [`Framing::Memcached`] names.
    pub key: Option<&'a [u8]>,
    /// The payload, 16-byte aligned. Of [`Framing::Fixed`]: the whole message; of
    /// [`Framing::Legacy`]: all but its length; of [`Framing::Redis`] and [`Framing::Memcached`]:
    /// the value or the word.
    pub payload: &'a [u8],
}

/// One kind of request. A workload belongs to one thread.
pub trait Workload: Send {
    /// The operation's name in reports.
    fn name(&self) -> &'static str;

    /// How its messages are framed.
    fn framing(&self) -> Framing {
        Framing::Native
    }

    /// Told once, when all of the thread's connections stand.
    fn open(&mut self, routes: &Routes);

    /// Appends the next request of this lane, numbered `number`, to `out`, and returns whatever
    /// `check` will need to know about it; `None` when the lane has no more.
    fn write(&mut self, lane: usize, number: u64, out: &mut FrameBuffer) -> Option<u64>;

    /// Whether `reply` is the answer to the request for which `write` returned `tag`; else how it
    /// differs.
    fn check(&mut self, tag: u64, reply: &Reply<'_>) -> Result<(), String>;
}

/// An `Ok` without payload, as writes are answered.
pub(crate) fn expect_bare_ok(reply: &Reply<'_>) -> Result<(), String> {
    expect_ok(reply)?;
    if reply.payload.is_empty() {
        return Ok(());
    }
    Err(format!("expected no payload, got {} bytes", reply.payload.len()))
}

pub(crate) fn expect_ok(reply: &Reply<'_>) -> Result<(), String> {
    if reply.status == Status::Ok {
        return Ok(());
    }
    Err(format!(
        "expected ok, got {}; were the records prepared in this namespace?",
        reply.status.name()
    ))
}

impl<W: Workload + ?Sized> Workload for Box<W> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn framing(&self) -> Framing {
        (**self).framing()
    }

    fn open(&mut self, routes: &Routes) {
        (**self).open(routes);
    }

    fn write(&mut self, lane: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        (**self).write(lane, number, out)
    }

    fn check(&mut self, tag: u64, reply: &Reply<'_>) -> Result<(), String> {
        (**self).check(tag, reply)
    }
}
