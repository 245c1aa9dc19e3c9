//! Mail on Linux: mailboxes between the cores' threads, and the threads that run jobs.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::RuntimeError;
use crate::linux::background::{self, Background};
use crate::linux::doorbell::Doorbell;
use crate::linux::mailboxes::Mailboxes;
use crate::postbox::{Job, Postbox};

/// One core's mail.
pub(crate) struct LinuxMail<M> {
    mailboxes: Mailboxes<M>,
    background: Background<M>,
}

impl<M: Send + 'static> LinuxMail<M> {
    /// The mail of all cores, with room for `capacity` messages from each core to each. With it
    /// come the threads that run jobs; they end when all mail is gone. To be called before the
    /// calling thread is pinned: the new ones inherit its mask.
    pub(crate) fn connect(
        doorbells: &Arc<[Doorbell]>,
        capacity: usize,
    ) -> Result<AllMail<M>, RuntimeError> {
        let (backgrounds, threads) = background::start(doorbells)?;
        let both = Mailboxes::connect(doorbells, capacity).into_iter().zip(backgrounds);
        Ok((
            both.map(|(mailboxes, background)| LinuxMail { mailboxes, background }).collect(),
            threads,
        ))
    }

    pub(crate) fn cores(&self) -> usize {
        self.mailboxes.cores()
    }

    pub(crate) fn send(&mut self, to: usize, message: M) -> Result<(), M> {
        self.mailboxes.send(to, message)
    }

    pub(crate) fn flush(&mut self) -> u64 {
        self.mailboxes.flush()
    }

    pub(crate) fn arrived(&self, sender: usize) -> usize {
        if sender == self.cores() {
            self.background.arrived()
        } else {
            self.mailboxes.arrived(sender)
        }
    }

    pub(crate) fn take(&mut self, sender: usize) -> Option<M> {
        if sender == self.cores() { self.background.take() } else { self.mailboxes.take(sender) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mailboxes.is_empty() && !self.background.has_result()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.mailboxes.is_empty() && self.background.is_idle()
    }

    pub(crate) fn run(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        self.background.run(job)
    }

    pub(crate) fn compute(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        self.background.compute(job)
    }

    pub(crate) fn postbox(&self) -> Postbox<M> {
        self.background.postbox()
    }
}

/// One for each core, and the threads.
type AllMail<M> = (Vec<LinuxMail<M>>, Vec<JoinHandle<()>>);
