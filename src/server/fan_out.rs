//! Questions that concern every core: stats, flush, health. The core that was asked asks all (itself included) and merges.

use slab::Slab;
use sutra_net::{Context, Flow, ReplyTo, Stage};
use sutra_wire::{Counter, Health, Stats, Status};

use crate::message::{Body, Message};
use crate::service::StorageService;
use crate::stats::CoreStats;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Stats,
    Flush,
    Health,
}

/// One core's answer.
pub(crate) enum Part {
    Stats(Box<CoreStats>),
    /// What is wrong, if anything is.
    Done(Result<(), String>),
}

/// A question that not all cores have answered yet.
pub(crate) struct Job {
    to: ReplyTo,
    question: Question,
    missing: usize,
    stats: CoreStats,
    wrong: Vec<String>,
}

/// The questions under way; bounded by the requests that connections may have in flight.
pub(crate) type Jobs = Slab<Job>;

impl StorageService {
    /// Asks every core.
    pub(crate) fn ask_all(&mut self, cx: &mut Context<'_, Message>, to: ReplyTo, question: Question) -> Flow {
        cx.enter_stage(Stage::LookUp);
        let (here, cores) = (cx.index(), cx.cores());
        let job = Job { to, question, missing: cores, stats: CoreStats::default(), wrong: Vec::new() };
        let job = self.jobs.insert(job);
        for core in (0..cores).filter(|core| *core != here) {
            self.post(cx, core, Body::Ask { job, question });
        }
        self.asked(cx, here, job, question);
        Flow::Taken
    }

    /// Answers a core's question, at once or when the log is ready.
    pub(crate) fn asked(&mut self, cx: &mut Context<'_, Message>, from: usize, job: usize, question: Question) {
        let part = match question {
            Question::Stats => Part::Stats(Box::new(self.core_stats(cx))),
            Question::Health => Part::Done(self.shard.health().map_err(|error| error.to_string())),
            Question::Flush => return self.flush(cx, from, job),
        };
        self.tell(cx, from, job, part);
    }

    pub(crate) fn tell(&mut self, cx: &mut Context<'_, Message>, to: usize, job: usize, part: Part) {
        if to == cx.index() {
            self.told(cx, to, job, part);
        } else {
            self.post(cx, to, Body::Tell { job, part });
        }
    }

    /// Merges one core's answer; replies when it was the last.
    pub(crate) fn told(&mut self, cx: &mut Context<'_, Message>, from: usize, job: usize, part: Part) {
        let Some(state) = self.jobs.get_mut(job) else { return };
        match part {
            Part::Stats(stats) => state.stats.add(*stats),
            Part::Done(Ok(())) => {}
            Part::Done(Err(wrong)) => state.wrong.push(format!("core {from}: {wrong}")),
        }
        state.missing -= 1;
        if state.missing == 0 {
            let state = self.jobs.remove(job);
            self.conclude(cx, state);
        }
    }

    fn conclude(&mut self, cx: &mut Context<'_, Message>, job: Job) {
        let uptime = self.info.started_at.elapsed().as_micros() as u64;
        let wrong = job.wrong.join("; ");
        match job.question {
            Question::Stats => {
                let stats = self.merged_stats(cx, job.stats, uptime);
                cx.reply_archive::<Stats>(job.to, Status::Ok, self.shard.last_sequence(), &stats);
            }
            Question::Health => {
                let healthy = wrong.is_empty() && !cx.is_draining();
                let status = match (wrong.is_empty(), cx.is_draining()) {
                    (true, false) => "ok".to_owned(),
                    (true, true) => "draining: the server was asked to stop".to_owned(),
                    (false, _) => wrong,
                };
                cx.reply_archive::<Health>(
                    job.to,
                    Status::Ok,
                    self.shard.last_sequence(),
                    &Health { healthy, status, uptime },
                );
            }
            Question::Flush if wrong.is_empty() => {
                cx.reply(job.to, Status::Ok, self.shard.last_sequence(), sutra_net::Body::Empty);
            }
            Question::Flush => cx.refuse(job.to, Status::StorageFailed, wrong),
        }
    }
}

/// Adds `more` to `sum`, by name.
pub(crate) fn add_counters(sum: &mut Vec<Counter>, more: Vec<Counter>) {
    for counter in more {
        match sum.iter_mut().find(|known| known.name == counter.name) {
            Some(known) => known.value += counter.value,
            None => sum.push(counter),
        }
    }
}
