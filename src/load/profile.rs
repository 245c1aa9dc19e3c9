//! Where a request's time goes on the server, by the server's own clock. The server times some
//! turns of its loop, and its counters say how long each stage of them took. They are read before a
//! load and after it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::LoadError;
use crate::cpu::stats;
use crate::handshake::{connect, greet};

/// How the names of the counters of stages begin and end.
const PREFIX: &str = "profile_";
const UNIT: &str = "_ns";
/// The stage in which a core does no work.
const WAIT: &str = "wait";
/// The counter that tells one process from another.
const PROCESS: &str = "process_id";

/// A server's counters of stages so far, by name, and which process counted.
#[derive(Clone, Debug, Default)]
pub struct ProfileSoFar(Vec<(String, u64)>);

/// What the requests of a load took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Turns of the cores' loops that were timed.
    pub turns: u64,
    /// Requests that were taken up in these turns.
    pub requests: u64,
    /// The time of each stage, in the order in which the server names them.
    pub stages: Vec<StageTime>,
    /// Time in which the cores slept or polled without result, in ns for each of the requests.
    pub wait_ns: f64,
}

/// One stage's share of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageTime {
    /// The stage's name, for people.
    pub stage: String,
    /// Its time, in ns a request.
    pub ns: f64,
}

impl ProfileSoFar {
    /// Reads the counters of the server at `address`, on a connection of its own. It waits at most
    /// `timeout` for each answer.
    ///
    /// # Errors
    /// The server can't be reached, or refuses.
    pub fn read(address: SocketAddr, timeout: Duration) -> Result<Self, LoadError> {
        let stream = connect(address, timeout)?;
        greet(&stream, address, sutra_wire::NO_CORE)?;
        let counters = stats(&stream, address)?.counters.into_iter();
        let counters = counters.map(|counter| (counter.name, counter.value));
        let is_kept = |name: &str| name.starts_with(PREFIX) || name == PROCESS;
        Ok(Self(counters.filter(|(name, _)| is_kept(name)).collect()))
    }

    /// The profile of the time between `self` and `later`; `None` where another process took over
    /// in between, which counts anew.
    pub fn until(&self, later: &Self) -> Option<Profile> {
        if self.counter(PROCESS) != later.counter(PROCESS) {
            return None;
        }
        let mut profile = Profile::default();
        for (name, value) in later.0.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            let value = value.saturating_sub(self.counter(name).unwrap_or(0));
            let name = name.trim_start_matches(PREFIX);
            match name.strip_suffix(UNIT) {
                None if name == "turns" => profile.turns = value,
                None if name == "requests" => profile.requests = value,
                None => {}
                Some(WAIT) => profile.wait_ns = value as f64,
                Some(stage) => profile
                    .stages
                    .push(StageTime { stage: stage.replace('_', " "), ns: value as f64 }),
            }
        }
        let requests = profile.requests.max(1) as f64;
        profile.wait_ns /= requests;
        profile.stages.iter_mut().for_each(|stage| stage.ns /= requests);
        Some(profile)
    }

    fn counter(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

impl Profile {
    /// The time of all stages together, in ns a request.
    pub fn busy_ns(&self) -> f64 {
        self.stages.iter().map(|stage| stage.ns).sum()
    }

    /// The time of a stage, in ns a request; 0 if there is no such stage.
    pub fn ns(&self, stage: &str) -> f64 {
        self.stages.iter().find(|known| known.stage == stage).map_or(0.0, |known| known.ns)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turns, requests, .. } = self;
        if *requests == 0 {
            return write!(
                f,
                "profile     no request was in a timed turn (about one turn in 64 is): \
                 ask for a longer --duration"
            );
        }
        write!(f, "profile     {requests} requests in {turns} timed turns, one turn in about 64:")?;
        let busy = self.busy_ns().max(f64::MIN_POSITIVE);
        for StageTime { stage, ns } in &self.stages {
            write!(f, "\n  {stage:<12} {ns:>10.0} ns a request {:>6.1} %", ns / busy * 100.0)?;
        }
        write!(
            f,
            "\n  {:<12} {:>10.0} ns a request, and asleep or polling {:.0} ns",
            "together",
            self.busy_ns(),
            self.wait_ns
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn so_far(process: u64, values: [u64; 5]) -> ProfileSoFar {
        let names = [
            "profile_turns",
            "profile_requests",
            "profile_look_up_ns",
            "profile_kernel_ns",
            "profile_wait_ns",
        ];
        let stages = names.map(str::to_owned).into_iter().zip(values);
        ProfileSoFar(stages.chain([(PROCESS.into(), process)]).collect())
    }

    fn told(before: [u64; 5], after: [u64; 5]) -> Profile {
        so_far(1, before).until(&so_far(1, after)).expect("the same process")
    }

    #[test]
    fn over_a_takeover_no_profile_is_told() {
        assert_eq!(so_far(1, [1; 5]).until(&so_far(2, [9; 5])), None);
    }

    #[test]
    fn a_profile_is_the_difference_for_each_request() {
        let profile = told([1, 10, 1000, 5000, 7], [3, 30, 3000, 11000, 207]);
        assert_eq!((profile.turns, profile.requests, profile.wait_ns), (2, 20, 10.0));
        assert_eq!(
            (profile.ns("look up"), profile.ns("kernel"), profile.busy_ns()),
            (100.0, 300.0, 400.0)
        );
        let shown = profile.to_string();
        assert!(
            shown.contains("look up") && shown.contains("25.0 %") && shown.contains("75.0 %"),
            "{shown}"
        );
    }

    #[test]
    fn without_a_timed_turn_no_time_is_told() {
        let shown = told([1, 10, 5, 5, 5], [1, 10, 5, 5, 5]).to_string();
        assert!(
            shown.contains("no request was in a timed turn") && !shown.contains("ns a request"),
            "{shown}"
        );
    }
}
