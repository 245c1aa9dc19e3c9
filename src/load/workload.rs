//! What is sent and what is expected back.

use sutra_wire::{ConceptId, CoreLayout, FrameBuffer, Status};

/// How the bytes of a connection are divided into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Frames of the native wire, after a Hello each way.
    Native,
    /// Replies of this many bytes (at least 8). The first 8 are the request number, little-endian.
    /// No handshake.
    Fixed(usize),
    /// Messages of the old protocol behind their length. No handshake and no numbers: replies come
    /// in the order of the requests.
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

/// Which connections may carry which requests. If every core of the server has a connection, there
/// is one lane for each core, and requests go straight to their owners. Otherwise there is one
/// lane, and the server passes requests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routes {
    layout: CoreLayout,
}

impl Routes {
    /// One lane for all.
    pub fn single() -> Self {
        Self { layout: CoreLayout::new(1) }
    }

    /// One lane for each core.
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
    /// Of [`Framing::Native`]: the payload, 16-byte aligned. Of [`Framing::Fixed`]: the whole
    /// message. Of [`Framing::Legacy`]: the message without its length. Of [`Framing::Redis`] and
    /// [`Framing::Memcached`]: the value, or the word that answers a write.
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

    /// Called once, when all connections of the thread are open.
    fn open(&mut self, routes: &Routes);

    /// Appends the next request of this lane, numbered `number`, to `out`. Returns what `check`
    /// needs to know about it; `None` when the lane has no more.
    fn write(&mut self, lane: usize, number: u64, out: &mut FrameBuffer) -> Option<u64>;

    /// Fails unless `reply` is the answer to the request for which `write` returned `tag`, and says
    /// how it differs.
    fn check(&mut self, tag: u64, reply: &Reply<'_>) -> Result<(), String>;
}

/// Fails unless the reply is an `Ok` without payload, as writes are answered.
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
