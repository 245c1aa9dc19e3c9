//! What goes wrong while a server runs.

use sutra_server::SimulatedServer;

use super::Run;
use crate::disk::Fault;
use crate::random::{Random, Stream};

/// Steps from one fault to the next, on average.
const EVERY: u64 = 300;
/// The furthest that somebody sets the wall clock, in s.
const FAR: u64 = 100_000;

/// What can go wrong.
#[derive(Clone, Copy, Debug)]
enum Danger {
    Full,
    Fails(Fault),
    Clock,
    Client,
}

impl Run<'_> {
    /// Now and then something goes wrong.
    pub(super) fn cause_fault(&mut self, server: &mut SimulatedServer) {
        let dangers = self.dangers();
        if dangers.is_empty() || !self.schedule.one_in(EVERY) {
            return;
        }
        let number = self.fault;
        self.fault += 1;
        if self.left_out.faults.contains(&number) {
            return;
        }
        let random = &mut Random::of(self.seed, Stream::Fault, number);
        match *random.pick(&dangers) {
            Danger::Full => {
                let is_full = !self.disk.is_full();
                self.disk.set_full(is_full);
                self.excuses.was_full = true;
                let what = if is_full { "the disk is full" } else { "the disk has space again" };
                self.coverage.fault(what);
                self.note(format!("fault {number}: {what}"));
            }
            Danger::Fails(fault) => {
                let times = random.between(1, 3) as u32;
                self.disk.arm(fault, times);
                self.excuses.has_failed = true;
                self.note(format!(
                    "fault {number}: the next {times} times a {} fails",
                    fault.name()
                ));
            }
            Danger::Clock => {
                let seconds = random.between(1, FAR) as i64;
                let seconds = if random.one_in(2) { seconds } else { -seconds };
                self.wall.jump(seconds * 1_000_000);
                self.coverage.fault("the wall clock was set");
                self.note(format!("fault {number}: the wall clock is set by {seconds} s"));
            }
            Danger::Client => {
                let client = random.below(self.clients.len() as u64) as usize;
                let is_rude = random.one_in(2);
                let lost = self.clients[client].leave(server.world(), is_rude);
                self.coverage.fault(if is_rude { "a client was gone" } else { "a client left" });
                self.lose(client, &lost);
            }
        }
    }

    fn dangers(&self) -> Vec<Danger> {
        let of = self.plan.dangers;
        let all = [
            (of.full, Danger::Full),
            (of.full, Danger::Full),
            (of.failing_writes, Danger::Fails(Fault::Write)),
            (of.failing_syncs, Danger::Fails(Fault::Sync)),
            (of.failing_names, Danger::Fails(Fault::Create)),
            (of.failing_names, Danger::Fails(Fault::Rename)),
            (of.failing_names, Danger::Fails(Fault::SyncFolder)),
            (of.jumping_clock, Danger::Clock),
            (of.rude_clients, Danger::Client),
        ];
        all.into_iter().filter(|(is_one, _)| *is_one).map(|(_, danger)| danger).collect()
    }
}
