//! Questions that concern every core: stats, flush, health. The core that was asked asks all
//! (itself included) and merges.

mod flushes;
mod process;
mod scrubs;
mod stats;

pub(crate) use scrubs::scrub;
pub(crate) use stats::{add, of_server};

use std::io;
use std::time::{Duration, Instant};

use slab::Slab;
use sutra_driver::hanging;
use sutra_net::{Context, Flow, ReplyTo, Stage};
use sutra_wire::{Health, Stats, Status};

use crate::core::Core;
use crate::core::message::{
    Body, CoreReply, CoreStats, CoreView, Message, Question, QuestionMessage,
};
use crate::core::names::QuestionNumber;
use flushes::{Flushed, Flushes};

/// A question that not all cores have answered yet.
struct OpenQuestion {
    to: ReplyTo,
    question: Question,
    missing: usize,
    stats: CoreStats,
    wrong: Vec<String>,
}

/// The questions to all cores, and this core's part in those of others.
#[derive(Default)]
pub(crate) struct AllCores {
    /// Bounded by the requests that connections may have in flight.
    asked: Slab<OpenQuestion>,
    flushes: Flushes,
}

impl AllCores {
    pub(crate) fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.flushes.is_idle()
    }

    /// Asks every core.
    pub(crate) fn ask(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        to: ReplyTo,
        question: Question,
    ) -> Flow {
        cx.enter_stage(Stage::LookUp);
        let (here, cores) = (cx.index(), cx.cores());
        let asked = OpenQuestion {
            to,
            question,
            missing: cores,
            stats: CoreStats::default(),
            wrong: Vec::new(),
        };
        let number = QuestionNumber(self.asked.insert(asked));
        for other in (0..cores).filter(|other| *other != here) {
            core.post(cx, other, Body::Question(QuestionMessage::Ask { number, question }));
        }
        self.answer(core, cx, here, number, question);
        Flow::Taken
    }

    /// Another core asks, or answers.
    pub(crate) fn message(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        from: usize,
        message: QuestionMessage,
    ) {
        match message {
            QuestionMessage::Ask { number, question } => {
                self.answer(core, cx, from, number, question);
            }
            QuestionMessage::Tell { number, reply } => self.told(core, cx, from, number, reply),
        }
    }

    /// Answers a core's question, at once or when the log is ready.
    fn answer(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        from: usize,
        number: QuestionNumber,
        question: Question,
    ) {
        let reply = match question {
            Question::Stats => CoreReply::Stats(Box::new(self.stats(core, cx))),
            Question::Health => CoreReply::Done(self.problem(core, cx.now()).map_or(Ok(()), Err)),
            Question::Flush => {
                self.flushes.begin(core, from, number);
                return self.check_flushes(core, cx);
            }
        };
        self.tell(core, cx, from, number, reply);
    }

    fn tell(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        to: usize,
        number: QuestionNumber,
        reply: CoreReply,
    ) {
        if to == cx.index() {
            self.told(core, cx, to, number, reply);
        } else {
            core.post(cx, to, Body::Question(QuestionMessage::Tell { number, reply }));
        }
    }

    /// Merges one core's answer; replies when it was the last.
    fn told(
        &mut self,
        core: &mut Core,
        cx: &mut Context<'_, Message>,
        from: usize,
        number: QuestionNumber,
        reply: CoreReply,
    ) {
        let Some(asked) = self.asked.get_mut(number.0) else { return };
        match reply {
            CoreReply::Stats(stats) => stats::add(&mut asked.stats, &stats),
            CoreReply::Done(Ok(())) => {}
            CoreReply::Done(Err(wrong)) => asked.wrong.push(format!("core {from}: {wrong}")),
        }
        asked.missing -= 1;
        if asked.missing == 0 {
            let asked = self.asked.remove(number.0);
            conclude(core, cx, asked);
        }
    }

    /// Answers the flushes that have what they wait for, and begins the sync that others need.
    pub(crate) fn check_flushes(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) {
        for Flushed { core: asked_by, number, result } in self.flushes.check(core, cx) {
            self.tell(core, cx, asked_by, number, CoreReply::Done(result));
        }
    }

    /// For how long the oldest of a commit and a sync has been under way; zero where none is.
    fn disk_under_way(&self, core: &Core, now: Instant) -> Duration {
        core.shard().commit_under_way(now).max(self.flushes.under_way(now))
    }

    /// What is wrong with this core's shard or its disk.
    fn problem(&self, core: &Core, now: Instant) -> Option<String> {
        match core.shard().health() {
            Err(refusal) => Some(refusal.to_string()),
            Ok(()) => hanging(self.disk_under_way(core, now)),
        }
    }

    /// What this core has and has done.
    fn stats(&self, core: &Core, cx: &Context<'_, Message>) -> CoreStats {
        let disk_under_way = self.disk_under_way(core, cx.now());
        CoreStats { disk_under_way, ..stats::of_core(core, cx) }
    }

    /// What the admin port shows of this core.
    pub(crate) fn view(&self, core: &Core, cx: &Context<'_, Message>) -> CoreView {
        CoreView {
            stats: self.stats(core, cx),
            problem: self.problem(core, cx.now()),
            is_draining: cx.is_draining(),
        }
    }

    /// Sees to it that a sync begins within `delay`.
    pub(crate) fn sync_within(&mut self, cx: &mut Context<'_, Message>, delay: Duration) {
        self.flushes.sync_within(cx, delay);
    }

    /// It is time for a sync. Returns whether one is under way now; none is where there is nothing
    /// to be synced.
    pub(crate) fn sync(&mut self, core: &mut Core, cx: &mut Context<'_, Message>) -> bool {
        self.flushes.start_sync(core, cx);
        self.check_flushes(core, cx);
        self.flushes.is_syncing()
    }

    /// One file's sync has ended.
    pub(crate) fn synced(&mut self, core: &mut Core, result: io::Result<()>) {
        self.flushes.synced(core, result);
    }
}

fn conclude(core: &Core, cx: &mut Context<'_, Message>, asked: OpenQuestion) {
    let (sequence, wrong) = (core.shard().last_sequence(), asked.wrong.join("; "));
    match asked.question {
        Question::Stats => {
            let stats = stats::of_server(core.info(), cx.cores(), cx.now(), asked.stats);
            cx.reply_archive::<Stats>(asked.to, Status::Ok, sequence, &stats);
        }
        Question::Health => {
            let trust = core.info().trust();
            let wrong: Vec<_> = Some(wrong)
                .filter(|wrong| !wrong.is_empty())
                .into_iter()
                .chain(trust.problem())
                .collect();
            let wrong = wrong.join("; ");
            let healthy = wrong.is_empty() && !cx.is_draining();
            let status = match (wrong.is_empty(), cx.is_draining()) {
                (true, false) => trust.note().unwrap_or("ok").to_owned(),
                (true, true) => "draining: the server was asked to stop".to_owned(),
                (false, _) => wrong,
            };
            cx.reply_archive::<Health>(
                asked.to,
                Status::Ok,
                sequence,
                &Health { healthy, status, uptime: core.info().uptime(cx.now()) },
            );
        }
        Question::Flush if wrong.is_empty() => {
            cx.reply(asked.to, Status::Ok, sequence, sutra_net::Body::Empty);
        }
        Question::Flush => cx.refuse(asked.to, Status::StorageFailed, wrong),
    }
}
