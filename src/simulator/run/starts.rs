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

/// A bit that was flipped: in which file, and where.
struct Flipped {
    name: String,
    bit: usize,
}

impl Run<'_> {
    /// Starts the server, however often that takes, and looks at what it has found.
    pub(super) fn start(&mut self) -> Result<SimulatedServer, Failure> {
        let random = &mut Random::of(self.seed, Stream::Crash, 1_000_000 + self.life);
        self.choose_cores();
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

    fn try_to_start(&mut self) -> Result<SimulatedServer, String> {
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

    /// A bit is flipped where the store promises to notice: it says so and names the file, or all
    /// is there as it was. Then the bit is as it was.
    fn start_with_a_flipped_bit(&mut self, random: &mut Random) -> Result<(), Failure> {
        let Some(flipped) = self.flip(random) else { return Ok(()) };
        let Flipped { name, bit } = &flipped;
        self.note(format!("fault: bit {bit} of {name} is flipped"));
        match self.try_to_start() {
            Err(error) if error.contains(name.as_str()) => {
                self.coverage.start("refused, a bit was flipped");
                self.note(format!("START refused: {error}"));
            }
            Err(error) => {
                let what = format!("bit {bit} of {name} is flipped, and it says: {error}");
                return Err(Failure::new(Kind::Start, what));
            }
            Ok(mut server) => {
                self.coverage.start("with a flipped bit that harms nothing");
                if let Some((crash, unsynced)) = self.ended.clone() {
                    let model = self.model.clone();
                    let what = |failure: Failure| {
                        let what = format!("bit {bit} of {name} is flipped: {}", failure.what);
                        Failure { what, ..failure }
                    };
                    self.look_at_all(&mut server, Before::Ended(crash), &unsynced).map_err(what)?;
                    self.model = model;
                }
                server.interrupt();
                self.clients.iter_mut().for_each(|client| drop(client.forget()));
                self.disk.crash(Crash::Kill);
            }
        }
        self.disk.mend();
        Ok(())
    }

    /// Flips a bit: of the manifest, of a checkpoint, or of the log before its mark.
    fn flip(&mut self, random: &mut Random) -> Option<Flipped> {
        let manifest = self.disk.content("manifest.json")?;
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).ok()?;
        let end = |shard: usize, number: u64, length: usize| {
            let mark = &manifest["marks"][shard];
            let (segment, offset) = (mark["segment"].as_u64()?, mark["offset"].as_u64()?);
            match number.cmp(&segment) {
                std::cmp::Ordering::Less => Some(length),
                std::cmp::Ordering::Equal => Some(length.min(offset as usize)),
                std::cmp::Ordering::Greater => None,
            }
        };
        let of = |(name, length): (String, usize)| {
            let end = match name.strip_prefix("shard-").and_then(|rest| rest.split_once('/')) {
                None if name == "manifest.json" => length,
                None => return None,
                Some((_, file)) if file.starts_with("vectors-") && file.ends_with(".index") => {
                    length
                }
                Some((shard, file)) => {
                    let number = file.strip_prefix("segment-")?.strip_suffix(".log")?;
                    end(shard.parse().ok()?, number.parse().ok()?, length)?
                }
            };
            (end > 0).then_some((name, end))
        };
        let files: Vec<_> = self.disk.files().into_iter().filter_map(of).collect();
        if files.is_empty() {
            return None;
        }
        let (name, end) = random.pick(&files).clone();
        let bit = random.below(8 * end as u64) as usize;
        self.disk.flip(&name, bit);
        Some(Flipped { name, bit })
    }
}
