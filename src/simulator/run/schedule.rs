//! The scheduler: what happens next, of all that can.

use std::time::Duration;

use sutra_runtime::Step;
use sutra_server::{COMPAT, NATIVE, SimulatedServer};
use sutra_wire::{Opcode, Status};

use super::Run;
use super::mood::Mood;
use crate::client::{Heard, InFlight};
use crate::failure::{Failure, Kind, OfKind};
use crate::old::Shape;
use crate::operation::Operation;
use crate::reply::Reply;

/// How long requests may take when everything goes on and nothing fails, by the virtual clock.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the server is left alone before it is looked at: it has tried again what had failed.
const REST: Duration = Duration::from_secs(4);

/// Something that a client can do.
#[derive(Clone, Copy, Debug, Hash)]
enum Act {
    Connect,
    Ask,
    Send,
    Read,
}

/// Something that can happen.
#[derive(Clone, Copy, Debug)]
enum Choice {
    Step(Step),
    Client(usize, Act),
}

impl Run<'_> {
    /// Something happens; clients go on asking until they have asked for `until` operations.
    pub(super) fn step(
        &mut self,
        server: &mut SimulatedServer,
        until: Option<u64>,
    ) -> Result<(), Failure> {
        self.journal.step += 1;
        self.disk.set_moment(self.model.moment());
        if self.schedule.one_in(400) {
            self.mood = Mood::draw(&mut self.schedule);
        }
        let choices = self.choices(server, until);
        match self.choose(&choices) {
            Some(Choice::Step(step)) => {
                self.feed(format!("{step:?}"));
                let schedule = &mut self.schedule;
                server.world().take(step, &mut |end| schedule.below(end));
            }
            Some(Choice::Client(client, act)) => {
                self.feed((client, act));
                self.act(server, client, act)?;
            }
            None => self.wait(server)?,
        }
        let pace = self.mood.pace.as_nanos() as u64;
        self.time.pass(Duration::from_nanos(self.schedule.below(pace)));
        Ok(())
    }

    fn choices(&mut self, server: &mut SimulatedServer, until: Option<u64>) -> Vec<Choice> {
        let mut steps = Vec::new();
        server.world().steps(&mut steps);
        let mut choices: Vec<_> = steps.into_iter().map(Choice::Step).collect();
        let may_ask = until.is_some_and(|until| self.operation < until);
        for (at, client) in self.clients.iter().enumerate() {
            let mut may = |act| choices.push(Choice::Client(at, act));
            if !client.is_connected() {
                if may_ask {
                    may(Act::Connect);
                }
                continue;
            }
            if may_ask && client.may_ask(self.plan.depth) {
                may(Act::Ask);
            }
            if client.has_unsent() {
                may(Act::Send);
            }
            if client.may_read(server.world()) {
                may(Act::Read);
            }
        }
        choices
    }

    /// One of them, by the scheduler's mood. None: time passes.
    fn choose(&mut self, choices: &[Choice]) -> Option<Choice> {
        let weight = |choice: &Choice| match choice {
            Choice::Step(step) => self.mood.weight(Some(*step)),
            Choice::Client(..) => self.mood.weight(None),
        };
        let all: u64 = choices.iter().map(weight).sum();
        if all == 0 {
            // What stands still does so for a while, and not for ever.
            return match choices.is_empty() || self.schedule.one_in(2) {
                true => None,
                false => Some(*self.schedule.pick(choices)),
            };
        }
        let mut at = self.schedule.below(all);
        let weight = |choice: &Choice| match choice {
            Choice::Step(step) => self.mood.weight(Some(*step)),
            Choice::Client(..) => self.mood.weight(None),
        };
        choices.iter().copied().find(|choice| {
            let weight = weight(choice);
            let is_it = at < weight;
            at = at.saturating_sub(weight);
            is_it
        })
    }

    /// Nothing happens until the next timer is due.
    fn wait(&mut self, server: &mut SimulatedServer) -> Result<(), Failure> {
        let mut steps = Vec::new();
        server.world().steps(&mut steps);
        if steps.is_empty()
            && let Some(core) = server.world().overslept()
        {
            let what = format!("core {core} sleeps although something has arrived for it");
            return Err(Failure::new(Kind::Stuck, what));
        }
        let now = self.time.peek();
        let due = server.world().earliest_timer();
        let wait = due.map_or(Duration::from_secs(1), |due| due.saturating_duration_since(now));
        self.time.pass(wait);
        self.feed(wait);
        Ok(())
    }

    fn act(
        &mut self,
        server: &mut SimulatedServer,
        client: usize,
        act: Act,
    ) -> Result<(), Failure> {
        match act {
            Act::Connect => {
                let core = self.schedule.below(self.plan.cores as u64) as usize;
                let is_old = self.plan.has_old_clients && self.schedule.one_in(2);
                let old = is_old.then(|| Shape::draw(&mut self.schedule));
                self.connect(server, client, old, core)?;
            }
            Act::Ask => {
                let number = self.operation;
                self.operation += 1;
                if self.left_out.operations.contains(&number) {
                    return Ok(());
                }
                let operation = Operation::draw(&self.plan, self.seed, number);
                let operation = self.clients[client].adapt(&self.plan, operation);
                let began = self.model.begin(number, &operation);
                self.note(format!("client {client}: {number}: {operation}"));
                self.clients[client].ask(&self.plan, number, operation, began);
            }
            Act::Send => {
                let unsent = self.clients[client].unsent() as u64;
                let is_all = self.schedule.below(4) > 0;
                let bytes = if is_all { unsent } else { self.schedule.between(1, unsent) };
                self.clients[client].send(server.world(), bytes as usize);
            }
            Act::Read => {
                let most = self.schedule.magnitude(1, 64 << 10) as usize;
                self.read(server, client, most)?;
            }
        }
        Ok(())
    }

    /// A client connects, where the core takes connections.
    pub(super) fn connect(
        &mut self,
        server: &mut SimulatedServer,
        client: usize,
        old: Option<Shape>,
        core: usize,
    ) -> Result<(), Failure> {
        let listener = if old.is_some() { COMPAT } else { NATIVE };
        let connection = server
            .world()
            .connect(core, listener, self.plan.unread)
            .map_err(|error| Failure::new(Kind::Stuck, error.to_string()))?;
        if let Some(connection) = connection {
            self.clients[client].connected(connection, old, &self.plan, &mut self.schedule);
        }
        Ok(())
    }

    fn read(
        &mut self,
        server: &mut SimulatedServer,
        client: usize,
        most: usize,
    ) -> Result<(), Failure> {
        let hash = &mut self.hash;
        let heard =
            self.clients[client].read(server.world(), &self.plan, most, |header, payload| {
                use std::hash::Hash;
                (header.opcode, header.status, header.request, header.extra).hash(hash);
                // What the host's clocks and counters say differs from run to run.
                if header.opcode != Opcode::Stats as u8 {
                    payload.hash(hash);
                }
            });
        match heard.of_kind(Kind::Answer)? {
            Heard::Nothing => Ok(()),
            Heard::Over(lost) => {
                self.lose(client, &lost);
                Ok(())
            }
            Heard::Answers(answers) => {
                answers.into_iter().try_for_each(|(asked, reply)| self.answered(asked, &reply))
            }
        }
    }

    /// A client's connection is gone; of what it had asked nobody knows what became.
    pub(super) fn lose(&mut self, client: usize, lost: &[InFlight]) {
        for asked in lost {
            self.coverage.operation(&asked.name(), "unanswered");
        }
        self.note(format!("client {client}: gone, with {} requests under way", lost.len()));
    }

    fn answered(&mut self, asked: InFlight, reply: &Reply) -> Result<(), Failure> {
        self.coverage.operation(&asked.name(), reply.outcome());
        let InFlight { number, operation, began, .. } = asked;
        self.note(format!("  {number}: {reply}"));
        if let Reply::Refused(status, message) = reply {
            self.explain(&operation, *status, message)?;
        }
        if let Reply::Health(health) = reply
            && !health.healthy
            && !self.is_stopping
            && !self.excuses.explain(Status::StorageFull)
        {
            // The scheduler may let a write stand still for long.
            if !health.status.split("; core ").all(|what| what.contains("has not finished a")) {
                let what = format!("it is not healthy, and nothing has failed: {}", health.status);
                return Err(Failure::new(Kind::Refusal, what));
            }
            self.coverage.fault("the disk stood still, and health told");
        }
        if let Reply::Cut(cut) = reply {
            self.check_cut(began, cut)?;
        }
        let checked = self.model.end(number, began, &operation, reply);
        checked.map_err(|what| format!("{number}: {operation}: {what}")).of_kind(Kind::Answer)
    }

    /// Whether something explains a refusal.
    fn explain(&self, operation: &Operation, status: Status, message: &str) -> Result<(), Failure> {
        let is_explained = match status {
            Status::ShuttingDown => self.is_stopping,
            // The scheduler may let a write stand still for long, and many may ask at once.
            Status::StorageFailed | Status::Busy if *operation == Operation::Cut => {
                self.excuses.explain(status)
                    || message.contains("there was no space to write it again")
                        && self.excuses.explain(Status::StorageFull)
                    || message.contains("were not on the disk within")
                    || status == Status::Busy
            }
            // It tells of all that is wrong.
            Status::StorageFailed if *operation == Operation::Flush => {
                self.excuses.explain(Status::StorageFull)
            }
            status => self.excuses.explain(status),
        };
        match is_explained {
            true => Ok(()),
            false => {
                let what = format!("{operation}: {}: {message}", status.name());
                Err(Failure::new(Kind::Refusal, what))
            }
        }
    }

    /// Takes every fault away, and lets everything come to an end that is under way.
    pub(super) fn settle(&mut self, server: &mut SimulatedServer) -> Result<(), Failure> {
        self.note("everything goes on, nobody asks");
        self.disk.set_full(false);
        self.disk.disarm();
        let began = self.time.elapsed();
        loop {
            self.mood = Mood::even();
            self.step(server, None)?;
            let passed = self.time.elapsed() - began;
            let in_flight: usize = self.clients.iter().map(|client| client.in_flight()).sum();
            let is_quiet = in_flight == 0 && self.choices(server, None).is_empty();
            if is_quiet && passed > REST {
                return Ok(());
            }
            if in_flight > 0 && passed > PATIENCE {
                let mut waiting = self.clients.iter().flat_map(|client| client.requests());
                let waiting = waiting
                    .next()
                    .map(|asked| format!("{}: {} is not answered", asked.number, asked.operation));
                return Err(Failure::new(Kind::Stuck, waiting.unwrap_or_default()));
            }
        }
    }
}
