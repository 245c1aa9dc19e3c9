//! Backups: the moment at which all logs end for one, and the note of the last that was completed.
//! The logs themselves are read like everything else (`reads/log.rs`).
//!
//! A cut is a short barrier. Core 0 asks every core to hold: to begin no further commit, and to
//! tell where its log ends once the commit in flight has landed and is on stable storage. When all
//! have told, all go on. So a cut covers everything that was acknowledged before it began. And
//! whatever was acknowledged while it was taken waits on no core for something that it leaves out:
//! an answer that a client had before it sent what is covered is covered, too.
//!
//! Promises: reads go on meanwhile, and writes gather. No core holds for longer than a second and
//! a turn; a cut that would need more is refused. One is taken at a time.

mod worth;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_net::{Context, Flow, Request};
use sutra_store::{LastBackup, SegmentCut, ShardCut, StoreFacts};
use sutra_wire::{BackupCut, BackupDone, CutSegment, CutShard, Status};

use crate::core::message::{
    BackupMessage, BackupRequest, Body, Forwarded, Message, Payload, Ticket,
};
use crate::core::names::{CutNumber, Timer};
use crate::core::{Core, validated};
use worth::{Worth, worth};

/// The core that takes cuts, and keeps the note of the last backup.
const TAKER: usize = 0;
/// How long a cut may have the cores hold. A commit takes milliseconds; a disk that needs longer
/// would make every writer wait for the backup.
const PATIENCE: Duration = Duration::from_secs(1);
/// Cuts and notes that wait for their turn, at most.
const WAITING: usize = 16;

/// A cut that is being taken.
struct Cut {
    number: CutNumber,
    to: Ticket,
    facts: Box<StoreFacts>,
    data: String,
    /// What each core has told.
    ends: Vec<Option<Result<ShardCut, String>>>,
    deadline: Instant,
}

/// What the taker is at.
#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// The background thread reads the manifest, for this request.
    Reading(Ticket),
    Holding(Box<Cut>),
    /// The background thread notes a backup, for this request.
    Noting(Ticket, LastBackup),
}

/// What this core has to do with backups.
#[derive(Default)]
pub(crate) struct Backups {
    /// The cut for which this core holds, and whether it has told where its log ends.
    hold: Option<(CutNumber, bool)>,
    /// Of the taker alone, as all that follows.
    stage: Stage,
    waiting: VecDeque<(Ticket, BackupRequest)>,
    cuts: u64,
    /// When the last cut was taken that a client was given, in µs since 1970.
    last_given: u64,
}

impl Backups {
    pub(crate) fn is_idle(&self) -> bool {
        self.hold.is_none() && matches!(self.stage, Stage::Idle) && self.waiting.is_empty()
    }

    /// Whether this core is to begin no commit.
    pub(crate) fn holds(&self) -> bool {
        self.hold.is_some()
    }

    /// Whether a cut waits for the end of this core's log.
    pub(crate) fn wants_end(&self) -> bool {
        matches!(self.hold, Some((_, false)))
    }

    /// A client asks for a cut.
    pub(crate) fn cut(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) -> Flow {
        self.at_taker(core, cx, request, BackupRequest::Cut)
    }

    /// A client says that its backup is complete.
    pub(crate) fn done(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
    ) -> Flow {
        let Some(done) = validated::<BackupDone>(cx, request) else { return Flow::Taken };
        let done = LastBackup {
            taken: done.taken.to_native(),
            bytes: done.bytes.to_native(),
            elapsed: done.elapsed.to_native(),
        };
        self.at_taker(core, cx, request, BackupRequest::Done(done))
    }

    fn at_taker(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        request: &Request<'_>,
        asked: BackupRequest,
    ) -> Flow {
        let there = |_: &mut Context<'_, Message>| Forwarded::Backup(asked);
        core.at_core(cx, TAKER, request.reply_to, there, |core, cx, ticket| {
            self.asked(core, cx, ticket, asked);
            Flow::Taken
        })
    }

    /// The taker is asked for something.
    pub(crate) fn asked(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        to: Ticket,
        asked: BackupRequest,
    ) {
        if self.waiting.len() >= WAITING {
            let message = format!("{WAITING} backups wait already; try again when one has begun");
            return core.refuse(cx, to, Status::Busy, message);
        }
        self.waiting.push_back((to, asked));
        self.begin_next(core, cx);
    }

    /// Begins with what waits, where nothing is under way.
    fn begin_next(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) {
        if !matches!(self.stage, Stage::Idle) {
            return;
        }
        let Some((to, asked)) = self.waiting.pop_front() else { return };
        let keeper = Arc::clone(core.namespaces().keeper());
        let clock = core.shard().last_sequence();
        let message = move |message| Message { clock, body: Body::Backup(message) };
        match asked {
            BackupRequest::Cut => {
                // Before the cut: a file counts as imported only where the cut has all of it.
                self.stage = Stage::Reading(to);
                core.shard_mut().run(cx, move || {
                    message(BackupMessage::Facts(Box::new(keeper.facts()), keeper.path()))
                });
            }
            BackupRequest::Done(done) => {
                let now = core.shard().time().max(self.last_given);
                match worth(&done, core.last_backup(), now) {
                    Worth::New => {}
                    Worth::Known => {
                        core.answer_now(cx, to, Status::Ok, Payload::Empty);
                        return self.begin_next(core, cx);
                    }
                    Worth::Nothing => {
                        let message = "this server has not taken a cut so late".to_owned();
                        core.refuse(cx, to, Status::InvalidArgument, message);
                        return self.begin_next(core, cx);
                    }
                }
                self.stage = Stage::Noting(to, done);
                core.shard_mut().run(cx, move || {
                    let noted = keeper.note_backup(&done).map_err(|error| error.to_string());
                    message(BackupMessage::Noted(noted))
                });
            }
        }
    }

    /// Another core, or the background thread, tells something.
    pub(crate) fn message(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        from: usize,
        message: BackupMessage,
    ) {
        match message {
            BackupMessage::Facts(facts, data) => self.have_all_hold(core, cx, facts, data),
            BackupMessage::Hold(number) => self.hold = Some((number, false)),
            BackupMessage::Ends(number, end) => self.told(core, cx, from, number, end),
            BackupMessage::GoOn(number) => {
                self.hold.take_if(|(held, _)| *held == number);
            }
            BackupMessage::Noted(noted) => self.noted(core, cx, noted),
        }
    }

    fn have_all_hold(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        facts: Box<StoreFacts>,
        data: String,
    ) {
        let Stage::Reading(to) = std::mem::take(&mut self.stage) else { return };
        self.cuts += 1;
        let number = CutNumber(self.cuts);
        let ends = (0..cx.cores()).map(|_| None).collect();
        // By the turn's clock, as the timer is.
        let deadline = cx.now() + PATIENCE;
        cx.wake_in(Timer::Cut, PATIENCE);
        self.stage = Stage::Holding(Box::new(Cut { number, to, facts, data, ends, deadline }));
        for other in (0..cx.cores()).filter(|other| *other != cx.index()).collect::<Vec<_>>() {
            core.post(cx, other, Body::Backup(BackupMessage::Hold(number)));
        }
        self.hold = Some((number, false));
    }

    /// This core's log ends there, or why that can't be told.
    pub(crate) fn ends(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        end: Result<ShardCut, String>,
    ) {
        let Some((number, told)) = &mut self.hold else { return };
        *told = true;
        let number = *number;
        match cx.index() {
            TAKER => self.told(core, cx, TAKER, number, end),
            _ => core.post(cx, TAKER, Body::Backup(BackupMessage::Ends(number, end))),
        }
    }

    fn told(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        from: usize,
        number: CutNumber,
        end: Result<ShardCut, String>,
    ) {
        let Stage::Holding(cut) = &mut self.stage else { return };
        if cut.number != number {
            return;
        }
        cut.ends[from] = Some(end);
        if cut.ends.iter().all(Option::is_some) {
            self.conclude(core, cx);
        }
    }

    /// Time is up, or else the rest of it is waited for.
    pub(crate) fn timer(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) {
        let Stage::Holding(cut) = &self.stage else { return };
        match cut.deadline.saturating_duration_since(cx.now()) {
            Duration::ZERO => self.conclude(core, cx),
            left => cx.wake_in(Timer::Cut, left),
        }
    }

    /// All have told, or time is up: all go on.
    fn conclude(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) {
        let Stage::Holding(cut) = std::mem::take(&mut self.stage) else { return };
        let Cut { number, to, facts, data, ends, .. } = *cut;
        for other in (0..cx.cores()).filter(|other| *other != cx.index()).collect::<Vec<_>>() {
            core.post(cx, other, Body::Backup(BackupMessage::GoOn(number)));
        }
        self.hold.take_if(|(held, _)| *held == number);
        match shards_of(ends) {
            Ok(shards) => {
                let taken = core.shard().time();
                self.last_given = taken;
                let reply = BackupCut {
                    store: facts.store,
                    taken,
                    given_back: facts.given_back,
                    format: facts.format,
                    id_rule: facts.id_rule.name().to_owned(),
                    data,
                    // What a write names is named before the write.
                    namespaces: core.namespaces().by_number(),
                    imports: facts.imports,
                    shards,
                };
                core.answer_archive(cx, to, &reply);
            }
            Err(why) => core.refuse(cx, to, Status::StorageFailed, why),
        }
        self.begin_next(core, cx);
    }

    fn noted(&mut self, core: &mut Core, cx: &mut Context<'_, Message>, noted: Result<(), String>) {
        let Stage::Noting(to, done) = std::mem::take(&mut self.stage) else { return };
        // It was completed, wherever that could be written down.
        core.set_last_backup(done);
        match noted {
            Ok(()) => core.answer_now(cx, to, Status::Ok, Payload::Empty),
            Err(why) => core.refuse(cx, to, Status::StorageFailed, why),
        }
        self.begin_next(core, cx);
    }
}

/// What each core has told, as it is answered; in words why there is no cut.
fn shards_of(ends: Vec<Option<Result<ShardCut, String>>>) -> Result<Vec<CutShard>, String> {
    let late: Vec<String> = (0..)
        .zip(&ends)
        .filter(|(_, end)| end.is_none())
        .map(|(core, _): (usize, _)| core.to_string())
        .collect();
    if !late.is_empty() {
        return Err(format!(
            "the logs were not on the disk within {} s (core {}): writes were not made to wait \
             longer; try again when the disk is less busy",
            PATIENCE.as_secs(),
            late.join(", ")
        ));
    }
    (0..)
        .zip(ends.into_iter().flatten())
        .map(|(core, end): (usize, _)| {
            end.and_then(shard_of)
                .map_err(|why| format!("no backup can be taken: core {core}: {why}"))
        })
        .collect()
}

/// As it is answered.
fn shard_of(cut: ShardCut) -> Result<CutShard, String> {
    let segment = |segment: &SegmentCut| {
        let header = segment.header;
        Some(CutSegment {
            generation: header.generation,
            number: header.number,
            block: header.block,
            capacity: u32::try_from(header.capacity).ok()?,
            end: u32::try_from(segment.end).ok()?,
        })
    };
    let segments: Option<Vec<_>> = cut.segments.iter().map(segment).collect();
    let segments = segments.ok_or("a segment's header says that it has 4 GiB or more")?;
    Ok(CutShard { commit: cut.commit, crc32c: cut.crc32c, segments })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sutra_store::SegmentHeader;

    use super::*;

    #[test]
    fn a_header_that_can_not_be_is_told_and_not_stumbled_over() {
        let cut = |capacity| {
            let header = SegmentHeader {
                block: 4096,
                store: 1,
                generation: 2,
                number: 0,
                shard: 0,
                capacity,
            };
            ShardCut { commit: 1, crc32c: 3, segments: vec![SegmentCut { header, end: 4096 }] }
        };
        let told = |capacity| shards_of(vec![Some(Ok(cut(capacity)))]);
        assert_eq!(told(1 << 20).map(|shards| shards.len()), Ok(1));
        let why = told(1 << 32).unwrap_err();
        assert!(why.contains("core 0") && why.contains("4 GiB"), "{why}");
    }
}
