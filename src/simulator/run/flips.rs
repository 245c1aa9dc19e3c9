//! A start from a disk with a flipped bit: where it lies, or on its way to whoever reads it.

use std::cmp::Ordering;

use serde_json::Value;

use super::Run;
use crate::failure::{Failure, Kind};
use crate::model::{Before, Found};
use crate::operation::Operation;
use crate::random::Random;

/// Bytes behind the end of the log in which a bit may be flipped as well.
const BEYOND: usize = 16 << 10;

/// A bit that is flipped: in which file, and where.
struct Flip {
    name: String,
    bit: usize,
    /// Whose log it is in, behind its mark: damage to what was written last can't be told there
    /// from a write that was interrupted.
    behind_mark_of: Option<usize>,
    /// How often it is flipped on its way; where it lies where that is not said.
    reads: Option<u32>,
}

impl Run<'_> {
    /// A bit is flipped. The store says so and names the file and the place, or all is there as it
    /// was; of what stands behind a mark, the end may be missing. Nothing that was never written is
    /// ever served. Then the bit is as it was.
    pub(super) fn start_with_a_flipped_bit(&mut self, random: &mut Random) -> Result<(), Failure> {
        let Some(flip) = self.draw_flip(random) else { return Ok(()) };
        let Flip { name, bit, behind_mark_of, reads } = &flip;
        let saved = self.disk.save();
        let whence = match reads {
            None => {
                self.disk.flip_at_rest(name, *bit);
                "where it lies"
            }
            Some(reads) => {
                self.disk.flip_on_the_way(name, *bit, *reads);
                "on its way"
            }
        };
        self.note(format!("fault: bit {bit} of {name} is flipped {whence}"));
        let failed = |what: String| {
            Failure::new(Kind::Start, format!("bit {bit} of {name} is flipped {whence}: {what}"))
        };
        match self.try_to_start() {
            Err(error) if is_place(&error, name, *bit) => {
                self.coverage.start(&format!("refused, a bit was flipped {whence}"));
                self.note(format!("START refused: {error}"));
                // Nothing was changed, so it opens when the bit is as it was.
                self.disk.mend();
            }
            Err(error) => return Err(failed(format!("it says: {error}"))),
            Ok(mut server) => {
                self.coverage.start(&format!("with a bit that was flipped {whence}"));
                if let Some((crash, unsynced)) = self.ended.clone() {
                    let before = match behind_mark_of {
                        Some(shard) => Before::Damaged(crash, *shard),
                        None => Before::Ended(crash),
                    };
                    let model = self.model.clone();
                    let looked = self.look_at_all(&mut server, before, &unsynced);
                    looked.map_err(|failure| Failure {
                        what: failed(failure.what).what,
                        ..failure
                    })?;
                    self.model = model;
                }
                server.interrupt();
                self.clients.iter_mut().for_each(|client| drop(client.forget()));
                self.disk.restore(saved);
            }
        }
        Ok(())
    }

    /// All that was found is what somebody asked to be written. The number of that request is in
    /// every content.
    pub(super) fn check_written(&self, found: &Found) -> Result<(), String> {
        for (concept, record) in &found.concepts {
            let Some(record) = record else { continue };
            let number = record.content.split(' ').next().and_then(|number| number.parse().ok());
            let operation = number.map(|number| Operation::draw(&self.plan, self.seed, number));
            let is_it = matches!(&operation, Some(Operation::Learn(of, asked))
                if of.id == concept.id
                    && (&asked.content, asked.strength, asked.confidence)
                        == (&record.content, record.strength, record.confidence)
                    && (record.embedding.is_empty() || record.embedding == asked.embedding));
            if !is_it {
                return Err(format!("{concept} is what nobody has learned: {record:?}"));
            }
        }
        Ok(())
    }

    /// A bit of the manifest, of a checkpoint, or of the log, before its mark or behind it.
    fn draw_flip(&self, random: &mut Random) -> Option<Flip> {
        let manifest = self.disk.content("manifest.json")?;
        let manifest: Value = serde_json::from_slice(&manifest).ok()?;
        // Where the number of cores changes, it is not known whose a shard's last writes are.
        let is_behind = random.one_in(3) && !self.plan.changes_cores;
        let files = self.disk.files().into_iter();
        let all = files.filter_map(|(name, length)| {
            let (bytes, shard) = place(&manifest, &name, length, is_behind)?;
            (!bytes.is_empty()).then_some((name, bytes, shard))
        });
        let all: Vec<_> = all.collect();
        if all.is_empty() {
            return None;
        }
        let (name, bytes, shard) = random.pick(&all).clone();
        let bit = random.between(8 * bytes.start as u64, 8 * bytes.end as u64 - 1) as usize;
        let reads = random.one_in(2).then(|| *random.pick(&[1, 1, u32::MAX]));
        Some(Flip { name, bit, behind_mark_of: shard.filter(|_| is_behind), reads })
    }
}

/// Where in a file a bit may be flipped, and whose log it is.
fn place(
    manifest: &Value,
    name: &str,
    length: usize,
    is_behind: bool,
) -> Option<(std::ops::Range<usize>, Option<usize>)> {
    let Some((shard, file)) = name.strip_prefix("shard-").and_then(|rest| rest.split_once('/'))
    else {
        return (name == "manifest.json" && !is_behind).then_some((0..length, None));
    };
    let shard: usize = shard.parse().ok()?;
    if file.starts_with("vectors-") && file.ends_with(".index") {
        return (!is_behind).then_some((0..length, None));
    }
    let number: u64 = file.strip_prefix("segment-")?.strip_suffix(".log")?.parse().ok()?;
    let mark = &manifest["marks"][shard];
    let (segment, offset) = (mark["segment"].as_u64()?, mark["offset"].as_u64()? as usize);
    let marked = match number.cmp(&segment) {
        Ordering::Less => length,
        Ordering::Equal => length.min(offset),
        Ordering::Greater => 0,
    };
    let bytes = if is_behind { marked..length.min(marked + BEYOND) } else { 0..marked };
    Some((bytes, Some(shard)))
}

/// Whether an error names the file, and of a log the place: not behind the bit.
fn is_place(error: &str, name: &str, bit: usize) -> bool {
    let Some((_, rest)) = error.split_once(name) else { return false };
    let Some((_, place)) = rest.split_once(" is damaged at byte ") else {
        return !name.ends_with(".log");
    };
    let digits: String = place.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().is_ok_and(|place: usize| place <= bit / 8)
}
