//! What a server built on this layer provides: the storage service is one, the grid's master
//! another.

use std::io;

use sutra_runtime::Next;
use sutra_wire::Header;

use crate::context::Context;
use crate::handshake::Identity;
use crate::in_flight::ReplyTo;
use crate::names::ServiceMessage;

/// A request whose frame has been checked. Its payload is still bytes: the service knows the type.
pub struct Request<'a> {
    /// Where the reply goes.
    pub reply_to: ReplyTo,
    /// The frame's header.
    pub header: Header,
    /// The payload, 16-byte aligned where it is not empty, valid for the call.
    pub payload: &'a [u8],
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// It was answered, or will be.
    Taken,
    /// There is no room for it right now: its connection waits, reading no further, until
    /// [`Context::resume`], and the request is offered again.
    Wait,
}

/// What a service's writes are for.
pub type Token<S> = <<S as Service>::Message as ServiceMessage>::Token;
/// What a service's timers are for.
pub type Timer<S> = <<S as Service>::Message as ServiceMessage>::Timer;

/// A service on one core. Everything runs on that core's thread; nothing may block.
pub trait Service: Sized + 'static {
    /// What its cores send each other, with the names of its writes and timers.
    type Message: ServiceMessage;

    /// What the handshake says.
    fn identity(&self) -> &Identity;

    /// A request arrived.
    fn request(&mut self, cx: &mut Context<'_, Self::Message>, request: &Request<'_>) -> Flow;

    /// Another core, or a background job of this one, sent something.
    fn message(&mut self, cx: &mut Context<'_, Self::Message>, from: usize, message: Self::Message);

    /// A write or sync that the service started with [`Context::write`] or [`Context::sync`] ended.
    fn written(
        &mut self,
        cx: &mut Context<'_, Self::Message>,
        token: Token<Self>,
        result: io::Result<()>,
    );

    /// The time that the service asked for with [`Context::wake_in`] has come.
    fn timer(&mut self, cx: &mut Context<'_, Self::Message>, timer: Timer<Self>);

    /// Everything that had arrived was handed over: start what was gathered.
    fn turn_end(&mut self, cx: &mut Context<'_, Self::Message>) -> Next;

    /// Whether nothing is under way: asked while draining, when this core has no connection left.
    fn is_idle(&self) -> bool;

    /// Why its connections can't be passed on to another process now, if there is a reason. What
    /// takes long is one: clients would wait for its end.
    fn objection(&self) -> Option<String> {
        None
    }
}
