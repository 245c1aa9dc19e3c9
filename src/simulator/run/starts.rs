//! How a server starts: whole, interrupted, or refused for a reason.

use std::sync::Arc;

use sutra_server::{ServerConfig, SimulatedServer};
use sutra_store::{Clock, Disk};

use super::Run;
use super::excuses::Excuses;
use crate::disk::{Crash, Fault};
use crate::failure::{Failure, Kind};
use crate::model::Before;
use crate::random::{Random, Stream};

impl Run<'_> {
    /// Starts the server, however often that takes, and looks at what it has found.
    pub(super) fn start(&mut self) -> Result<SimulatedServer, Failure> {
        let random = &mut Random::of(self.seed, Stream::Crash, 1_000_000 + self.life);
        self.choose_cores();
        if self.disk.has_lost() {
            // There is space to write it again. Without, a power cut might take once more what the
            // page cache has kept, and what was there before it is not known any more.
            self.disk.set_full(false);
        }
        if self.plan.dangers.flipped_bits && self.ended.is_some() && random.one_in(2) {
            self.start_with_a_flipped_bit(random)?;
        }
        for attempt in 0.. {
            let is_tried_again = attempt < 3;
            let dangers = self.plan.dangers;
            let is_cut = is_tried_again && dangers.crash_in_recovery && random.one_in(2);
            let fails = is_tried_again && !is_cut && dangers.failing_reads && random.one_in(3);
            if is_cut {
                self.disk.cut_power_in(random.magnitude(1, 400));
            } else if fails {
                self.disk.arm(Fault::Read, 1);
            }
            let started = self.try_to_start();
            let is_off = self.disk.is_off();
            let has_failed = fails && !self.disk.is_armed(Fault::Read);
            self.disk.power_on();
            self.disk.disarm();
            match started {
                _ if is_off => {
                    let crash = *random.pick(&[Crash::Kill, Crash::PowerCut]);
                    self.coverage.start("interrupted");
                    self.note(format!("START interrupted: {crash:?}"));
                    self.crash_again(crash);
                }
                Ok(server) => return self.started(server),
                Err(error) if self.disk.is_full() && self.is_changing_cores() => {
                    // For a while both stores need space.
                    self.coverage.start("refused, as another number of cores found no space");
                    self.note(format!("START refused: {error}"));
                    self.disk.set_full(false);
                }
                Err(_) if has_failed => {
                    self.coverage.start("refused, a read failed");
                    self.note("START refused, as a read failed");
                }
                Err(error) => {
                    let what = format!("life {}: {error}", self.life);
                    return Err(Failure::new(Kind::Start, what));
                }
            }
        }
        unreachable!("the last attempts are not disturbed")
    }

    /// This life's number of cores, which may be another than the last one's.
    fn choose_cores(&mut self) {
        if self.plan.changes_cores && self.life > 0 {
            let random = &mut Random::of(self.seed, Stream::Crash, 2_000_000 + self.life);
            self.plan.cores = *random.pick(&[1, 2, 3, 4]);
        }
        self.model.note_cores(self.plan.cores);
    }

    /// Whether the store was made for another number of cores, or a change of it has not ended.
    fn is_changing_cores(&self) -> bool {
        let manifest = self.disk.content("manifest.json").unwrap_or_default();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap_or_default();
        manifest["cores"].as_u64() != Some(self.plan.cores as u64)
            || !manifest["resharding"].is_null()
    }

    pub(super) fn try_to_start(&mut self) -> Result<SimulatedServer, String> {
        self.excuses = Excuses { was_full: self.disk.is_full(), has_failed: false };
        let config = ServerConfig {
            durability: self.plan.durability,
            segment_bytes: self.plan.segment_bytes,
            ..ServerConfig::default()
        };
        let disk = Arc::clone(&self.disk) as Arc<dyn Disk>;
        let clock = Arc::clone(&self.wall) as Arc<dyn Clock>;
        let (cores, mailbox) = (self.plan.cores, self.plan.mailbox);
        let started = SimulatedServer::start(&config, cores, mailbox, disk, clock, &self.time);
        started.map_err(|error| error.to_string())
    }

    fn started(&mut self, mut server: SimulatedServer) -> Result<SimulatedServer, Failure> {
        let recovery = server.recovery();
        if recovery.made_over_from.is_some() {
            self.coverage.start("on another number of cores");
        }
        let (entries, cut) = (recovery.entries(), recovery.cut());
        let what = match (entries, cut) {
            (0, 0) => "with nothing",
            (_, 0) => "with a whole log",
            _ => "with a torn tail that was cut",
        };
        self.coverage.start(what);
        self.note(format!("START of life {}: {entries} entries, {cut} bytes cut", self.life));
        self.feed((entries, cut));
        if let Some((crash, unsynced)) = self.ended.take() {
            self.look_at_all(&mut server, Before::Ended(crash), &unsynced)?;
            self.disk.forget_lost();
        }
        self.model.note_looked_at();
        Ok(server)
    }
}
