//! The cores of a simulation, and everything around them that can happen next.

mod io;

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::mail::Post;
use super::step::{Chance, Step};
use super::{ConnectionId, Network, Pieces, Simulated, SimulatedMail, VirtualClock};
use crate::StartError;
use crate::backend::{Backend, Buffers, Mail};
use crate::core::Core;
use crate::ending::Ending;
use crate::error::RuntimeError;
use crate::event::{Event, ListenerId, Next};
use crate::handler::Handler;
use crate::pulse::Pulse;
use crate::turn::Turns;
use io::Operations;

/// How a simulation's cores are made.
#[derive(Clone, Debug)]
pub struct SimulatedConfig {
    /// How many there are.
    pub cores: usize,
    /// Messages that a mailbox from one core to another holds before it refuses.
    pub mailbox: usize,
}

/// Most bytes that are received at a time: a receive buffer, as on Linux by default.
const PIECE: usize = 16 * 1024;

/// One core, and what it has with the world.
struct OneCore<H: Handler> {
    turns: Turns<H>,
    operations: Operations,
    /// Whether its next turn needs nothing to wake it.
    is_awake: bool,
    is_over: bool,
}

/// What a scheduler may do with the cores of a simulation, whatever they serve. Nothing happens but
/// what it says.
pub trait Simulation {
    /// How many there are.
    fn cores(&self) -> usize;

    /// The connections, as their clients see them.
    fn network(&mut self) -> &mut Network;

    /// A client connects to one of a core's listeners, and leaves at most `capacity` bytes unread.
    /// `None` where that core takes no more connections.
    ///
    /// # Errors
    /// When the process has no descriptor for it.
    fn connect(
        &mut self,
        core: usize,
        listener: ListenerId,
        capacity: usize,
    ) -> Result<Option<ConnectionId>, RuntimeError>;

    /// Appends everything that can happen now. None: only time, or a client, can change anything.
    fn steps(&mut self, into: &mut Vec<Step>);

    /// Takes a step that [`Simulation::steps`] has named; `chance` chooses what it leaves open.
    /// A turn of any core may be taken at any time.
    fn take(&mut self, step: Step, chance: &mut Chance<'_>);

    /// When the next of all timers is due.
    fn earliest_timer(&mut self) -> Option<Instant>;

    /// A core that sleeps although something has arrived for it: it was not woken, which is a bug.
    /// To be asked where no step is possible.
    fn overslept(&mut self) -> Option<usize>;

    /// Writes and syncs of files that are under way.
    fn writes(&self) -> usize;

    /// Asks every core to finish what it has begun and end.
    fn shut_down(&mut self);

    /// Whether all have ended.
    fn are_over(&self) -> bool;

    /// Ends everything in the middle of what it does, as kill -9 or a power cut would. Of writes
    /// that are under way any part may be there.
    fn interrupt(self: Box<Self>);
}

/// The cores of a simulation, for a [`Simulation`]'s scheduler.
pub struct SimulatedCores<H: Handler> {
    cores: Vec<OneCore<H>>,
    post: Rc<RefCell<Post<H::Message>>>,
    network: Network,
    clock: VirtualClock,
    ending: Arc<Ending>,
}

impl<H: Handler> SimulatedCores<H> {
    /// Makes the cores and, with `make`, a handler for each.
    ///
    /// # Errors
    /// What `make` returns.
    pub fn start<E>(
        config: &SimulatedConfig,
        clock: VirtualClock,
        mut make: impl FnMut(usize, &mut Core<H::Message>) -> Result<H, E>,
    ) -> Result<SimulatedCores<H>, StartError<E>> {
        // The scheduler looks at every core before every step, so nobody has to be woken.
        let ending = Arc::new(Ending::new(config.cores, || {}));
        let pulse = Pulse::new(config.cores, || {});
        let post = Post::new(config.cores, config.mailbox);
        let mut cores = Vec::with_capacity(config.cores);
        for index in 0..config.cores {
            let backend = Backend::Simulated(Simulated::new(clock.clone()).listening());
            let mail = Mail::Simulated(SimulatedMail::new(index, &post));
            let ending = Arc::clone(&ending);
            let mut core = Core::new(index, backend, Simulated::features(), mail, ending, &pulse);
            let handler = make(index, &mut core)
                .map_err(|error| StartError::Handler { core: index, error })?;
            let turns = Turns::new(handler, core, Buffers::Simulated(Pieces::default()));
            let operations = Operations::default();
            cores.push(OneCore { turns, operations, is_awake: true, is_over: false });
        }
        Ok(SimulatedCores { cores, post, network: Network::default(), clock, ending })
    }

    fn turn(&mut self, core: usize) {
        let one = &mut self.cores[core];
        if one.is_over {
            return;
        }
        self.post.borrow_mut().take_bell(core);
        match one.turns.turn() {
            Some(next) => one.is_awake = next == Next::Again || one.turns.core().has_work(),
            None => one.is_over = true,
        }
        let asked = one.turns.core().backend().simulated().take_asked();
        one.operations.begin(asked, &mut self.network);
    }
}

impl<H: Handler> Simulation for SimulatedCores<H> {
    fn cores(&self) -> usize {
        self.cores.len()
    }

    fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    fn connect(
        &mut self,
        core: usize,
        listener: ListenerId,
        capacity: usize,
    ) -> Result<Option<ConnectionId>, RuntimeError> {
        let failed = RuntimeError::system("making a simulated connection");
        // The handler passes the descriptor on and closes it; nothing is read from it.
        let socket: OwnedFd = std::fs::File::open("/dev/null").map_err(failed)?.into();
        let id = self.network.open(std::os::fd::AsRawFd::as_raw_fd(&socket), capacity);
        let peer = ([127, 0, 0, 1], 40_000).into();
        let backend = self.cores[core].turns.core().backend().simulated();
        if backend.accept(Event::Accepted { listener, socket, peer }) {
            return Ok(Some(id));
        }
        self.network.end(id);
        Ok(None)
    }

    fn steps(&mut self, into: &mut Vec<Step>) {
        let now = self.clock.peek();
        let post = self.post.borrow();
        for (core, one) in self.cores.iter_mut().enumerate() {
            if !one.is_over && (one.is_woken(now) || post.is_rung(core)) {
                into.push(Step::Turn { core });
            }
            one.operations.steps(core, &self.network, into);
            if post.has_worker_job(core) {
                into.push(Step::Compute { core });
            }
            if post.has_done(core) {
                into.push(Step::Tell { core });
            }
        }
        if post.has_background_job() {
            into.push(Step::Background);
        }
        let cores = self.cores.len();
        let pairs = (0..cores).flat_map(|from| (0..cores).map(move |to| (from, to)));
        let delivered = pairs.filter(|(from, to)| post.on_the_way(*from, *to) > 0);
        into.extend(delivered.map(|(from, to)| Step::Deliver { from, to }));
    }

    fn take(&mut self, step: Step, chance: &mut Chance<'_>) {
        match step {
            Step::Turn { core } => self.turn(core),
            Step::Receive { core, slot } => {
                let OneCore { turns, operations, .. } = &mut self.cores[core];
                operations.receive(turns, &mut self.network, slot, PIECE, chance);
            }
            Step::Send { core, slot } => {
                let OneCore { turns, operations, .. } = &mut self.cores[core];
                operations.send(turns, &mut self.network, slot, chance);
            }
            Step::Write { core, write } => {
                let OneCore { turns, operations, .. } = &mut self.cores[core];
                operations.write(turns, write);
            }
            Step::Deliver { from, to } => {
                let mut post = self.post.borrow_mut();
                let waiting = post.on_the_way(from, to);
                let count = 1 + chance(waiting as u64) as usize;
                post.deliver(from, to, count);
            }
            Step::Background => {
                let job = self.post.borrow_mut().next_background_job();
                if let Some((core, job)) = job {
                    let result = job();
                    self.post.borrow_mut().done(core, result);
                }
            }
            Step::Compute { core } => {
                let job = self.post.borrow_mut().next_worker_job(core);
                if let Some(job) = job {
                    let result = job();
                    self.post.borrow_mut().done(core, result);
                }
            }
            Step::Tell { core } => self.post.borrow_mut().tell(core),
        }
    }

    fn earliest_timer(&mut self) -> Option<Instant> {
        let cores = self.cores.iter_mut().filter(|one| !one.is_over);
        cores.filter_map(|one| one.turns.core().earliest_timer()).min()
    }

    fn overslept(&mut self) -> Option<usize> {
        self.cores.iter_mut().position(|one| !one.is_over && one.turns.core().has_work())
    }

    fn writes(&self) -> usize {
        self.cores.iter().map(|one| one.operations.writes()).sum()
    }

    fn shut_down(&mut self) {
        self.ending.stop();
    }

    fn are_over(&self) -> bool {
        self.cores.iter().all(|one| one.is_over)
    }

    fn interrupt(mut self: Box<Self>) {
        for one in &mut self.cores {
            one.operations.interrupt();
        }
    }
}

impl<H: Handler> OneCore<H> {
    /// Whether its next turn may come: it is awake, or something has woken it. Of what has arrived
    /// in its mailbox only the bell tells.
    fn is_woken(&mut self, now: Instant) -> bool {
        let is_awake = self.is_awake;
        let core = self.turns.core();
        is_awake
            || core.has_news()
            || core.backend().simulated().has_completed()
            || core.backend().simulated().has_accepted()
            || core.earliest_timer().is_some_and(|timer| timer <= now)
    }
}
