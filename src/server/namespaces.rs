//! Namespaces that a write names for the first time: they are numbered in the manifest by the background thread, and the write's connection
//! waits for it.

use std::sync::Arc;

use sutra_net::{Context, Flow, ReplyTo};
use sutra_store::NamespaceId;
use sutra_wire::Status;

use crate::message::{Body, Message};
use crate::service::StorageService;

/// The registrations that this core asked for.
#[derive(Default)]
pub(crate) struct Registrations {
    running: Vec<String>,
    /// Refused ones, kept until the write that waits for each is offered again.
    refused: Vec<(String, String)>,
}

/// Registrations that a core has running; a write that needs another one waits for these.
pub(crate) const RUNNING: usize = 8;
/// Refusals kept at most; a connection that went away never takes its own.
const REFUSALS: usize = 64;

impl Registrations {
    pub(crate) fn ended(&mut self, name: String, refused: Option<String>) {
        self.running.retain(|running| *running != name);
        if let Some(reason) = refused {
            if self.refused.len() == REFUSALS {
                self.refused.remove(0);
            }
            self.refused.push((name, reason));
        }
    }
}

impl StorageService {
    /// The number of the namespace that a write names. Cost where it is known: one lookup; the empty one costs nothing.
    pub(crate) fn namespace_to_write(
        &mut self,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        name: &str,
    ) -> Result<NamespaceId, Flow> {
        if let Some(namespace) = self.namespaces.lookup(name) {
            return Ok(namespace);
        }
        let registrations = &mut self.registrations;
        if let Some(at) = registrations.refused.iter().position(|(refused, _)| refused == name) {
            let (_, reason) = registrations.refused.swap_remove(at);
            cx.refuse(to, Status::StorageFull, reason);
            return Err(Flow::Taken);
        }
        if registrations.running.len() < RUNNING && !registrations.running.iter().any(|running| running == name) {
            registrations.running.push(name.to_owned());
            let (namespaces, name) = (Arc::clone(&self.namespaces), name.to_owned());
            self.run_in_background(cx, move || {
                let refused = namespaces.register(&name).err().map(|error| error.to_string());
                Body::Registered { name, refused }
            });
        }
        Err(Flow::Wait)
    }
}
