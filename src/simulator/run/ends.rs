//! How a server ends: killed, with the host, or in order.

use std::time::Duration;

use sutra_server::SimulatedServer;

use super::Run;
use super::mood::Mood;
use crate::disk::Crash;
use crate::failure::{Failure, Kind};
use crate::random::{Random, Stream};

/// How long a stop in order may take, by the virtual clock.
const STOP: Duration = Duration::from_secs(60);
/// Steps in which an operation of the disk is waited for that the power goes in.
const WAIT: u64 = 3_000;

impl Run<'_> {
    /// The server ends, as this life's number says.
    pub(super) fn end(&mut self, server: SimulatedServer) -> Result<(), Failure> {
        let random = &mut Random::of(self.seed, Stream::Crash, self.life);
        let kind = random.below(10);
        if self.left_out.ends.contains(&self.life)
            || (self.plan.power_cuts..self.plan.power_cuts + self.plan.clean_stops).contains(&kind)
        {
            return self.stop(server);
        }
        let crash = if kind < self.plan.power_cuts { Crash::PowerCut } else { Crash::Kill };
        let in_operation = random.one_in(2).then(|| random.magnitude(1, 60));
        self.crash(server, crash, in_operation)
    }

    /// The server crashes: now, or in the middle of what the disk is about to do.
    fn crash(
        &mut self,
        mut server: SimulatedServer,
        crash: Crash,
        in_operation: Option<u64>,
    ) -> Result<(), Failure> {
        let mut middle = "between two steps";
        if let Some(operations) = in_operation {
            self.disk.cut_power_in(operations);
            for _ in 0..WAIT {
                self.step(&mut server, None)?;
                if self.disk.is_off() {
                    middle = "in an operation of the disk";
                    break;
                }
            }
        }
        if server.world().writes() > 0 {
            middle = "in a write";
        }
        server.interrupt();
        self.crashes += 1;
        let what = match crash {
            Crash::Kill => "kill",
            Crash::PowerCut => "power cut",
        };
        self.coverage.end(&format!("{what} {middle}"));
        self.note(format!("END of life {}: {what}, {middle}", self.life));
        self.ended(Some(crash));
        Ok(())
    }

    /// The server stops in order. All that was answered is durable then.
    pub(super) fn stop(&mut self, mut server: SimulatedServer) -> Result<(), Failure> {
        self.note(format!("END of life {}: a stop in order", self.life));
        self.is_stopping = true;
        server.world().shut_down();
        let began = self.time.elapsed();
        while !server.world().are_over() {
            self.mood = Mood::even();
            self.step(&mut server, None)?;
            if self.time.elapsed() - began > STOP {
                return Err(Failure::new(Kind::Stuck, "the server does not stop"));
            }
        }
        let closed = server.close();
        self.is_stopping = false;
        match closed {
            // What a failed sync has taken stays lost.
            Ok(()) if self.excuses.has_failed => {
                self.coverage.end("in order, after a failure");
                self.ended(Some(Crash::Kill));
                Ok(())
            }
            Ok(()) => {
                self.coverage.end("in order");
                self.ended(None);
                Ok(())
            }
            Err(_) if self.excuses.has_failed || self.excuses.was_full => {
                self.coverage.end("in order, with an error");
                self.ended(Some(Crash::Kill));
                Ok(())
            }
            Err(error) => Err(Failure::new(Kind::Start, format!("it did not stop: {error}"))),
        }
    }

    /// The server is gone, and so is what it ran on.
    fn ended(&mut self, crash: Option<Crash>) {
        for at in 0..self.clients.len() {
            let lost = self.clients[at].forget();
            if !lost.is_empty() {
                self.lose(at, &lost);
            }
        }
        let cores = u16::try_from(self.plan.cores).expect("a store has at most 1,000");
        let lost = |shard| match crash {
            Some(Crash::PowerCut) => self.disk.oldest_unsynced(shard),
            Some(Crash::Kill) => self.disk.oldest_lost(shard),
            None => None,
        };
        let unsynced = (0..cores).map(lost).collect();
        // After a stop in order the power may go as well.
        self.disk.crash(crash.unwrap_or(Crash::PowerCut));
        self.ended = Some((crash, unsynced));
    }

    /// What runs is gone once more, before it was looked at.
    pub(super) fn crash_again(&mut self, crash: Crash) {
        if let (Some((Some(_), unsynced)), Crash::PowerCut) = (&mut self.ended, crash) {
            for (shard, known) in (0..).zip(unsynced) {
                *known = [*known, self.disk.oldest_unsynced(shard)].into_iter().flatten().min();
            }
        }
        self.disk.crash(crash);
    }
}
