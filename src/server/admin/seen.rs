//! What the cores of a server have answered to one look.

use std::sync::Arc;
use std::time::Duration;

use sutra_admin::Readiness;

use crate::all_cores;
use crate::core::message::{CoreStats, CoreView};
use crate::report::ServerInfo;

/// How long a core may take to answer: far longer than any turn of its loop. One that takes longer
/// is not well.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What the cores have answered.
pub(super) struct Seen {
    /// By core; `None` for one that did not answer in time.
    views: Vec<Option<CoreView>>,
    /// By core: what it answered last, so that a silent one's counts do not fall out of the sums.
    known: Vec<CoreStats>,
    info: Arc<ServerInfo>,
}

impl Seen {
    /// `known` is what the cores answered before; it is brought up to date.
    pub(super) fn new(
        views: Vec<Option<CoreView>>,
        known: &mut Vec<CoreStats>,
        info: Arc<ServerInfo>,
    ) -> Self {
        bring_up_to_date(known, &views);
        Self { views, known: known.clone(), info }
    }

    /// Each core's answer.
    pub(super) fn views(&self) -> &[Option<CoreView>] {
        &self.views
    }

    pub(super) fn info(&self) -> &ServerInfo {
        &self.info
    }

    pub(super) fn cores(&self) -> usize {
        self.views.len()
    }

    /// Whether no core has answered.
    pub(super) fn is_silent(&self) -> bool {
        self.views.iter().all(Option::is_none)
    }

    /// What is wrong, core by core.
    pub(super) fn problems(&self) -> Vec<String> {
        let problem = |(core, view): (usize, &Option<CoreView>)| match view {
            Some(view) => view.problem.as_ref().map(|problem| format!("core {core}: {problem}")),
            None => Some(format!(
                "core {core} has not answered for {} s; is its CPU taken by something else?",
                PATIENCE.as_secs()
            )),
        };
        let of_cores = self.views.iter().enumerate().filter_map(problem);
        of_cores.chain(self.info.trust().problem()).collect()
    }

    /// "ok", or what is wrong.
    pub(super) fn status(&self) -> String {
        let problems = self.problems();
        match problems.is_empty() {
            true => self.info.trust().note().unwrap_or("ok").to_owned(),
            false => problems.join("; "),
        }
    }

    pub(super) fn readiness(&self) -> Readiness {
        let views: Vec<&CoreView> = self.views.iter().flatten().collect();
        if views.is_empty() {
            Readiness::NotReady("no core answers".into())
        } else if views.iter().any(|view| view.is_draining) {
            Readiness::NotReady("draining: the server was asked to stop".into())
        } else {
            Readiness::Ready
        }
    }

    /// What all cores together have and have done.
    pub(super) fn all(&self) -> CoreStats {
        let mut all = CoreStats::default();
        for stats in &self.known {
            all_cores::add(&mut all, stats);
        }
        all
    }
}

/// Takes over what was answered. Of a core that is silent the last answer stays.
fn bring_up_to_date(known: &mut Vec<CoreStats>, views: &[Option<CoreView>]) {
    known.resize_with(views.len(), CoreStats::default);
    for (known, view) in known.iter_mut().zip(views) {
        if let Some(view) = view {
            known.clone_from(&view.stats);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_silent_core_answered_last_stays_in_the_sums() {
        let view = |commits: u64| {
            let mut stats = CoreStats::default();
            stats.shard.commits = commits;
            Some(CoreView { stats, problem: None, is_draining: false })
        };
        let mut known = Vec::new();
        for (views, sum) in [
            ([view(5), view(7)], 12),
            ([view(6), None], 13),
            ([None, None], 13),
            ([view(6), view(9)], 15),
        ] {
            bring_up_to_date(&mut known, &views);
            assert_eq!(known.iter().map(|stats| stats.shard.commits).sum::<u64>(), sum);
        }
    }
}
