//! Namespaces that a write names for the first time: they are numbered in the manifest by the background thread, and the write waits for
//! it.
//!
//! Names that come while the manifest is being written gather, and the next rewrite carries all of them. So that they can, a write that waits
//! is taken out of its connection, as long as there is room for it; what comes behind it for the same namespace waits behind it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sutra_net::{Context, Flow, ReplyTo};
use sutra_store::NamespaceId;
use sutra_wire::{AssociationRecord, ConceptId, ConceptRecord, FrameBuffer, Parcel, Status};

use crate::learn::status_of;
use crate::message::{Body, Forwarded, Message, Ticket};
use crate::service::StorageService;

/// Writes that wait for a namespace at most, all connections of a core: enough that a rewrite of the manifest carries many names.
const WAITING: usize = 1024;
/// Their bytes at most, where one may go beyond.
const WAITING_BYTES: usize = 16 << 20;

/// A write whose namespace has no number yet.
pub(crate) enum Unnumbered {
    Learn(Parcel<ConceptRecord>),
    Associate(Parcel<AssociationRecord>),
}

impl Unnumbered {
    fn namespace(&self) -> &str {
        match self {
            Self::Learn(record) => &record.checked().get().namespace,
            Self::Associate(record) => &record.checked().get().namespace,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Learn(record) => record.checked().bytes().len(),
            Self::Associate(record) => record.checked().bytes().len(),
        }
    }

    /// The concept whose core owns the write.
    fn concept(&self) -> ConceptId {
        match self {
            Self::Learn(record) => ConceptId(record.checked().get().id),
            Self::Associate(record) => ConceptId(record.checked().get().source),
        }
    }

    fn into_buffer(self) -> FrameBuffer {
        match self {
            Self::Learn(record) => record.into_buffer(),
            Self::Associate(record) => record.into_buffer(),
        }
    }

    fn numbered(self, namespace: NamespaceId) -> Forwarded {
        match self {
            Self::Learn(record) => Forwarded::Learn { namespace, record },
            Self::Associate(record) => Forwarded::Associate { namespace, record },
        }
    }
}

/// The registrations that this core asked for.
#[derive(Default)]
pub(crate) struct Registrations {
    /// In the order in which they came.
    waiting: VecDeque<(ReplyTo, Unnumbered)>,
    /// How many of them wait for each namespace.
    names: HashMap<String, usize>,
    bytes: usize,
    /// Names for the next rewrite; one runs at a time.
    gathered: Vec<String>,
    running: bool,
    /// Writes whose namespace is there, and for which the log or the owner's core had no room.
    stalled: bool,
}

impl Registrations {
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    fn add(&mut self, to: ReplyTo, write: Unnumbered) {
        self.bytes += write.bytes();
        match self.names.get_mut(write.namespace()) {
            Some(count) => *count += 1,
            None => drop(self.names.insert(write.namespace().to_owned(), 1)),
        }
        self.waiting.push_back((to, write));
    }

    /// A write waits no more.
    fn forget(&mut self, write: &Unnumbered) {
        self.bytes -= write.bytes();
        if let Some(count) = self.names.get_mut(write.namespace()) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(write.namespace());
            }
        }
    }
}

impl StorageService {
    /// The number of the namespace that a write names; `None` where the write has to wait for it. Cost where it is known: one lookup; the
    /// empty one costs nothing.
    pub(crate) fn namespace_to_write(&self, name: &str) -> Option<NamespaceId> {
        if !self.registrations.names.is_empty() && self.registrations.names.contains_key(name) {
            return None;
        }
        self.namespaces.lookup(name)
    }

    /// Has a write wait until its namespace has a number. Cost: a copy of the record into a pooled buffer.
    pub(crate) fn wait_for_namespace(
        &mut self,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        name: &str,
        write: impl FnOnce(&mut Context<'_, Message>) -> Unnumbered,
    ) -> Flow {
        let registrations = &mut self.registrations;
        let is_new = !registrations.names.contains_key(name);
        if is_new && self.namespaces.is_full() {
            let limit = sutra_store::MAX_NAMESPACES;
            cx.refuse(to, Status::StorageFull, sutra_store::StoreError::TooManyNamespaces { limit }.to_string());
            return Flow::Taken;
        }
        if registrations.waiting.len() >= WAITING || registrations.bytes >= WAITING_BYTES {
            return Flow::Wait;
        }
        registrations.add(to, write(cx));
        if is_new {
            registrations.gathered.push(name.to_owned());
            self.register_gathered(cx);
        }
        Flow::Taken
    }

    /// Has the background thread number what has gathered, unless it is at it.
    fn register_gathered(&mut self, cx: &mut Context<'_, Message>) {
        let registrations = &mut self.registrations;
        if registrations.running || registrations.gathered.is_empty() {
            return;
        }
        registrations.running = true;
        let (namespaces, names) = (Arc::clone(&self.namespaces), std::mem::take(&mut registrations.gathered));
        self.run_in_background(cx, move || {
            let numbers = namespaces.register(&names);
            let refused =
                names.into_iter().zip(numbers).filter_map(|(name, number)| Some((name, number.err()?.to_string())));
            Body::Registered { refused: refused.collect() }
        });
    }

    /// A rewrite of the manifest has ended.
    pub(crate) fn registered(&mut self, cx: &mut Context<'_, Message>, refused: Vec<(String, String)>) {
        self.registrations.running = false;
        if !refused.is_empty() {
            let refused: HashMap<_, _> = refused.into_iter().collect();
            for (to, write) in std::mem::take(&mut self.registrations.waiting) {
                match refused.get(write.namespace()) {
                    Some(reason) => {
                        self.registrations.forget(&write);
                        cx.refuse(to, Status::StorageFull, reason.as_str());
                    }
                    None => self.registrations.waiting.push_back((to, write)),
                }
            }
        }
        self.write_numbered(cx);
        self.register_gathered(cx);
        cx.resume();
    }

    /// Tries again what found no room after its namespace was there.
    pub(crate) fn retry_numbered(&mut self, cx: &mut Context<'_, Message>) {
        if self.registrations.stalled {
            self.write_numbered(cx);
        }
    }

    /// Carries out the writes whose namespace has a number now, in order, as far as there is room.
    fn write_numbered(&mut self, cx: &mut Context<'_, Message>) {
        self.registrations.stalled = false;
        for (to, write) in std::mem::take(&mut self.registrations.waiting) {
            let namespace = match self.registrations.stalled {
                true => None,
                false => self.namespaces.lookup(write.namespace()),
            };
            let Some(namespace) = namespace else {
                self.registrations.waiting.push_back((to, write));
                continue;
            };
            self.registrations.forget(&write);
            if let Some(write) = self.write_at_owner(cx, to, namespace, write) {
                self.registrations.add(to, write);
                self.registrations.stalled = true;
            }
        }
    }

    /// Carries out a write, or sends it to the core that does; gives it back where there is no room for it now.
    fn write_at_owner(
        &mut self,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        namespace: NamespaceId,
        write: Unnumbered,
    ) -> Option<Unnumbered> {
        let owner = self.owner(&write.concept());
        if owner != cx.index() {
            if !self.peers.take_credit(owner) {
                return Some(write);
            }
            self.post(cx, owner, Body::Request { to, request: write.numbered(namespace) });
            return None;
        }
        let logged = match &write {
            Unnumbered::Learn(record) => self.shard.learn(record.checked(), namespace, Ticket::Here(to)),
            Unnumbered::Associate(record) => self.shard.associate(record.checked(), namespace, Ticket::Here(to)),
        };
        match logged {
            Err(refusal) if refusal.is_stalled() => return Some(write),
            Err(refusal) => cx.refuse(to, status_of(&refusal), refusal.to_string()),
            Ok(_) => {}
        }
        cx.give_back(write.into_buffer());
        None
    }
}
