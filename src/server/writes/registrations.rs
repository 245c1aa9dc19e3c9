//! Namespaces that a write names for the first time: they are numbered in the manifest by the
//! background thread, and the write waits for it.
//!
//! Names that come while the manifest is being written gather, and the next rewrite carries all of
//! them. So that they can, a write that waits is taken out of its connection, as long as there is
//! room for it. What comes behind it for the same namespace waits behind it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sutra_net::{Context, Flow, ReplyTo};
use sutra_store::NamespaceId;
use sutra_wire::{AssociationRecord, ConceptId, ConceptRecord, Parcel, Status};

use crate::core::Core;
use crate::core::message::{Body, Message, Write, WriteMessage};

/// Writes that wait for a namespace at most, all connections of a core: enough that a rewrite of
/// the manifest carries many names.
const WAITING: usize = 1024;
/// Their bytes at most, where one may go beyond.
const WAITING_BYTES: usize = 16 << 20;

/// A write whose namespace has no number yet.
pub(super) enum Unnumbered {
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
    pub(super) fn concept(&self) -> ConceptId {
        match self {
            Self::Learn(record) => ConceptId(record.checked().get().id),
            Self::Associate(record) => ConceptId(record.checked().get().source),
        }
    }

    pub(super) fn numbered(self, namespace: NamespaceId) -> Write {
        match self {
            Self::Learn(record) => Write::Learn { namespace, record },
            Self::Associate(record) => Write::Associate { namespace, record },
        }
    }
}

/// A write that waited, and the number of its namespace.
pub(super) struct Numbered {
    pub(super) to: ReplyTo,
    pub(super) namespace: NamespaceId,
    pub(super) write: Unnumbered,
}

/// The registrations that this core asked for.
#[derive(Default)]
pub(super) struct Registrations {
    /// In the order in which they came.
    waiting: VecDeque<(ReplyTo, Unnumbered)>,
    /// How many of them wait for each namespace.
    names: HashMap<String, usize>,
    bytes: usize,
    /// Names for the next rewrite; one runs at a time.
    gathered: Vec<String>,
    running: bool,
    /// Whether a write's namespace is there and its owner's core had no room for it.
    stalled: bool,
}

impl Registrations {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The number of the namespace that a write names; `None` where the write has to wait for it.
    /// Cost where it is known: one lookup; the empty one costs nothing.
    pub(super) fn namespace_to_write(&self, core: &Core, name: &str) -> Option<NamespaceId> {
        if !self.names.is_empty() && self.names.contains_key(name) {
            return None;
        }
        core.namespaces().lookup(name)
    }

    /// Has a write wait until its namespace has a number. Cost: a copy of the record into a pooled
    /// buffer.
    pub(super) fn wait(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        name: &str,
        write: impl FnOnce(&mut Context<'_, Message>) -> Unnumbered,
    ) -> Flow {
        let is_new = !self.names.contains_key(name);
        if is_new && core.namespaces().is_full() {
            let limit = sutra_store::MAX_NAMESPACES;
            cx.refuse(
                to,
                Status::StorageFull,
                sutra_store::StoreError::TooManyNamespaces { limit }.to_string(),
            );
            return Flow::Taken;
        }
        if self.waiting.len() >= WAITING || self.bytes >= WAITING_BYTES {
            return Flow::Wait;
        }
        self.add(to, write(cx));
        if is_new {
            self.gathered.push(name.to_owned());
            self.register_gathered(core, cx);
        }
        Flow::Taken
    }

    /// Has the background thread number what has gathered, unless it is at it.
    fn register_gathered(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) {
        if self.running || self.gathered.is_empty() {
            return;
        }
        self.running = true;
        let (namespaces, names) =
            (Arc::clone(core.namespaces()), std::mem::take(&mut self.gathered));
        let clock = core.shard().last_sequence();
        core.shard_mut().run(cx, move || {
            let numbers = namespaces.register(&names);
            let refused = names
                .into_iter()
                .zip(numbers)
                .filter_map(|(name, number)| Some((name, number.err()?.to_string())));
            Message {
                clock,
                body: Body::Write(WriteMessage::Registered { refused: refused.collect() }),
            }
        });
    }

    /// A rewrite of the manifest has ended: the names of all but the refused have a number.
    pub(super) fn registered(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        refused: Vec<(String, String)>,
    ) {
        self.running = false;
        if !refused.is_empty() {
            let refused: HashMap<_, _> = refused.into_iter().collect();
            for (to, write) in std::mem::take(&mut self.waiting) {
                match refused.get(write.namespace()) {
                    Some(reason) => {
                        self.forget(&write);
                        cx.refuse(to, Status::StorageFull, reason.as_str());
                    }
                    None => self.waiting.push_back((to, write)),
                }
            }
        }
        self.register_gathered(core, cx);
        cx.resume();
    }

    /// Takes out the writes whose namespace has a number now, in order.
    pub(super) fn take_numbered(&mut self, core: &Core) -> Vec<Numbered> {
        let mut numbered = Vec::new();
        for (to, write) in std::mem::take(&mut self.waiting) {
            match core.namespaces().lookup(write.namespace()) {
                Some(namespace) => {
                    self.forget(&write);
                    numbered.push(Numbered { to, namespace, write });
                }
                None => self.waiting.push_back((to, write)),
            }
        }
        numbered
    }

    /// A write's owner has no room for it now.
    pub(super) fn put_back(&mut self, to: ReplyTo, write: Unnumbered) {
        self.add(to, write);
        self.stalled = true;
    }

    /// Whether any found no room since this was asked last.
    pub(super) fn take_stalled(&mut self) -> bool {
        std::mem::take(&mut self.stalled)
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
