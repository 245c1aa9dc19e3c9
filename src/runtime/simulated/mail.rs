//! Mail in a simulation: messages and jobs that wait until the scheduler moves them on.
//!
//! A message is first on its way, then it has arrived. Those from one core to another arrive in
//! order; between two pairs of cores there is no order. A core that sleeps is woken by the bell
//! that comes with a message once its sender has rung ([`SimulatedMail::flush`]), and by nothing
//! else. So a message without a bell is one that a sleeping core does not see.
//!
//! One thread runs what blocks, and one a core what computes, each its jobs in turn: a job is run
//! when the scheduler says so, and its result comes when it says so again.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::postbox::{Job, Postbox};

/// Jobs that wait before new ones are refused: as on Linux.
const QUEUE: usize = 64;
/// Jobs of a core that wait for its worker: as on Linux.
const WORKER_QUEUE: usize = 4;

/// What all cores have with each other.
pub(crate) struct Post<M> {
    /// Messages that a mailbox holds.
    capacity: usize,
    /// By sender, then by receiver.
    boxes: Vec<Vec<Mailbox<M>>>,
    cores: Vec<Desk<M>>,
    /// Jobs of all cores for the thread that blocks, with whose each is.
    background: VecDeque<(usize, Job<M>)>,
}

/// The messages from one core to another.
struct Mailbox<M> {
    /// Each with whether its sender has rung since.
    on_the_way: VecDeque<(M, bool)>,
    arrived: VecDeque<M>,
}

/// What belongs to one core.
struct Desk<M> {
    worker: VecDeque<Job<M>>,
    /// Results that it has not been told of.
    done: VecDeque<M>,
    results: VecDeque<M>,
    /// Jobs whose result it has not taken.
    outstanding: usize,
    is_rung: bool,
    postbox: Postbox<M>,
}

impl<M: Send + 'static> Post<M> {
    pub(crate) fn new(cores: usize, capacity: usize) -> Rc<RefCell<Post<M>>> {
        let mailbox = || Mailbox { on_the_way: VecDeque::new(), arrived: VecDeque::new() };
        let desk = || Desk {
            worker: VecDeque::new(),
            done: VecDeque::new(),
            results: VecDeque::new(),
            outstanding: 0,
            is_rung: false,
            // No thread is there that could post to a core that sleeps.
            postbox: Postbox::new(|| {}),
        };
        Rc::new(RefCell::new(Post {
            capacity,
            boxes: (0..cores).map(|_| (0..cores).map(|_| mailbox()).collect()).collect(),
            cores: (0..cores).map(|_| desk()).collect(),
            background: VecDeque::new(),
        }))
    }

    /// How many messages of this pair are on their way.
    pub(crate) fn on_the_way(&self, from: usize, to: usize) -> usize {
        self.boxes[from][to].on_the_way.len()
    }

    /// So many of them arrive.
    pub(crate) fn deliver(&mut self, from: usize, to: usize, count: usize) {
        let Mailbox { on_the_way, arrived } = &mut self.boxes[from][to];
        for (message, is_rung) in on_the_way.drain(..count) {
            arrived.push_back(message);
            self.cores[to].is_rung |= is_rung;
        }
    }

    /// Whether a job waits for the thread that blocks.
    pub(crate) fn has_background_job(&self) -> bool {
        !self.background.is_empty()
    }

    /// Takes the next, with the core that it is for.
    pub(crate) fn next_background_job(&mut self) -> Option<(usize, Job<M>)> {
        self.background.pop_front()
    }

    /// Whether a job waits for this core's worker.
    pub(crate) fn has_worker_job(&self, core: usize) -> bool {
        !self.cores[core].worker.is_empty()
    }

    /// Takes the next.
    pub(crate) fn next_worker_job(&mut self, core: usize) -> Option<Job<M>> {
        self.cores[core].worker.pop_front()
    }

    /// A job has ended; its core is not told yet.
    pub(crate) fn done(&mut self, core: usize, result: M) {
        self.cores[core].done.push_back(result);
    }

    /// Whether a core has results that it has not been told of.
    pub(crate) fn has_done(&self, core: usize) -> bool {
        !self.cores[core].done.is_empty()
    }

    /// Tells a core of the oldest.
    pub(crate) fn tell(&mut self, core: usize) {
        let desk = &mut self.cores[core];
        if let Some(result) = desk.done.pop_front() {
            desk.results.push_back(result);
            desk.is_rung = true;
        }
    }

    /// Whether a sleeping core was rung since this was asked last.
    pub(crate) fn take_bell(&mut self, core: usize) -> bool {
        std::mem::take(&mut self.cores[core].is_rung)
    }

    /// Whether a sleeping core was rung.
    pub(crate) fn is_rung(&self, core: usize) -> bool {
        self.cores[core].is_rung
    }

    fn arrived(&self, core: usize, sender: usize) -> usize {
        match self.boxes.get(sender) {
            Some(boxes) => boxes[core].arrived.len(),
            None => {
                let desk = &self.cores[core];
                desk.results.len() + desk.postbox.posted().waiting()
            }
        }
    }

    fn is_idle(&self, core: usize) -> bool {
        let is_mail_empty = self.boxes.iter().all(|boxes| {
            let Mailbox { on_the_way, arrived } = &boxes[core];
            on_the_way.is_empty() && arrived.is_empty()
        });
        is_mail_empty && self.cores[core].outstanding == 0
    }
}

/// One core's mail.
pub(crate) struct SimulatedMail<M> {
    core: usize,
    post: Rc<RefCell<Post<M>>>,
}

impl<M: Send + 'static> SimulatedMail<M> {
    pub(crate) fn new(core: usize, post: &Rc<RefCell<Post<M>>>) -> SimulatedMail<M> {
        SimulatedMail { core, post: Rc::clone(post) }
    }

    /// That of a core that is alone, whose messages arrive at once: for tests of one core.
    #[cfg(test)]
    pub(crate) fn alone() -> SimulatedMail<M> {
        SimulatedMail::new(0, &Post::new(1, 1024))
    }

    pub(crate) fn cores(&self) -> usize {
        self.post.borrow().cores.len()
    }

    pub(crate) fn send(&mut self, to: usize, message: M) -> Result<(), M> {
        let mut post = self.post.borrow_mut();
        let capacity = post.capacity;
        let Some(mailbox) = post.boxes[self.core].get_mut(to) else { return Err(message) };
        if mailbox.on_the_way.len() + mailbox.arrived.len() >= capacity {
            return Err(message);
        }
        if to == self.core {
            // From itself nothing is under way: it comes in the next turn.
            mailbox.arrived.push_back(message);
        } else {
            mailbox.on_the_way.push_back((message, false));
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> u64 {
        let mut post = self.post.borrow_mut();
        let mut rung = 0;
        for mailbox in &mut post.boxes[self.core] {
            // Those at the front were rung for before.
            let new = mailbox.on_the_way.iter_mut().rev().take_while(|(_, is_rung)| !is_rung);
            rung += new.map(|(_, is_rung)| *is_rung = true).count().min(1) as u64;
        }
        rung
    }

    pub(crate) fn arrived(&self, sender: usize) -> usize {
        self.post.borrow().arrived(self.core, sender)
    }

    pub(crate) fn take(&mut self, sender: usize) -> Option<M> {
        let mut post = self.post.borrow_mut();
        if let Some(boxes) = post.boxes.get_mut(sender) {
            return boxes[self.core].arrived.pop_front();
        }
        let desk = &mut post.cores[self.core];
        match desk.results.pop_front() {
            Some(result) => {
                desk.outstanding -= 1;
                Some(result)
            }
            None => desk.postbox.posted().take(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let post = self.post.borrow();
        (0..=post.cores.len()).all(|sender| post.arrived(self.core, sender) == 0)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.post.borrow().is_idle(self.core)
    }

    pub(crate) fn run(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        let mut post = self.post.borrow_mut();
        if post.background.len() >= QUEUE {
            return Err(job);
        }
        post.background.push_back((self.core, job));
        post.cores[self.core].outstanding += 1;
        Ok(())
    }

    pub(crate) fn compute(&mut self, job: Job<M>) -> Result<(), Job<M>> {
        let mut post = self.post.borrow_mut();
        let desk = &mut post.cores[self.core];
        if desk.worker.len() >= WORKER_QUEUE {
            return Err(job);
        }
        desk.worker.push_back(job);
        desk.outstanding += 1;
        Ok(())
    }

    pub(crate) fn postbox(&self) -> Postbox<M> {
        self.post.borrow().cores[self.core].postbox.clone()
    }
}
