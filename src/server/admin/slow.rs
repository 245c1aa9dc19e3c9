//! The last requests that took long, of all cores: `/api/v1/slow`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use sutra_admin::{Asked, Refusal};
use sutra_net::{SlowRequest, SlowRequests, SlowStages};
use sutra_wire::{ConceptId, Opcode};

/// Requests that one answer shows at most, and by default.
const MOST: usize = 1_000;
const DEFAULT: usize = 100;

/// What the path takes.
pub(super) const PARAMETERS: [(&str, &str); 1] =
    [("limit", "how many to show: 1 to 1000, 100 by default")];

/// How many are asked for.
pub(super) fn limit(asked: &Asked) -> Result<usize, Refusal> {
    asked.number("limit", DEFAULT, 1..=MOST)
}

/// Those of all cores that answered, the newest first; `None` where none did.
pub(super) fn of_server(by_core: Vec<Option<SlowRequests>>, limit: usize) -> Option<Value> {
    let answered = by_core.into_iter().enumerate();
    let answered: Vec<(usize, SlowRequests)> =
        answered.filter_map(|(core, slow)| Some((core, slow?))).collect();
    let threshold = answered.first()?.1.threshold;
    let seen: u64 = answered.iter().map(|(_, slow)| slow.seen).sum();
    let of_core = |(core, slow): (usize, SlowRequests)| {
        slow.kept.into_iter().map(move |request| (core, request))
    };
    let mut kept: Vec<_> = answered.into_iter().flat_map(of_core).collect();
    kept.sort_unstable_by_key(|(_, other)| std::cmp::Reverse(other.ended));
    let clock = WallClock::read();
    let shown: Vec<Value> =
        kept.iter().take(limit).map(|(core, request)| shown(*core, request, &clock)).collect();
    Some(json!({
        "threshold_us": threshold.map(micros),
        "seen": seen,
        "kept": kept.len(),
        "requests": shown,
    }))
}

fn shown(core: usize, request: &SlowRequest, clock: &WallClock) -> Value {
    json!({
        "at_us": clock.micros_of(request.ended),
        "operation": Opcode::from_number(request.opcode).map_or("unknown", Opcode::name),
        "peer": request.peer.to_string(),
        "core": core,
        "took_us": micros(request.took),
        "bytes_in": request.bytes_in,
        "bytes_out": request.bytes_out,
        "status": request.status.name(),
        "subject": request.subject.map(|id| ConceptId(id).to_string()),
        "stages": stages(&request.stages),
        "others": request.others,
    })
}

/// Those that the request went through and that are known.
fn stages(stages: &SlowStages) -> Map<String, Value> {
    let SlowStages { receive, wait, execute, commit, send } = *stages;
    let all = [
        ("receive_us", receive),
        ("wait_us", wait),
        ("execute_us", execute),
        ("commit_us", commit),
        ("send_us", send),
    ];
    let known = all.into_iter().filter_map(|(name, took)| Some((name, took?)));
    known.map(|(name, took)| (name.to_owned(), micros(took).into())).collect()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What the cores' clock says, in the world's time.
struct WallClock {
    now: Instant,
    since_1970: Duration,
}

impl WallClock {
    fn read() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now: Instant::now(), since_1970 }
    }

    /// A moment of the past, in µs since 1970.
    fn micros_of(&self, then: Instant) -> u64 {
        micros(self.since_1970.saturating_sub(self.now.saturating_duration_since(then)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sutra_wire::Status;

    use super::*;

    fn request(ended: Instant, operation: Opcode) -> SlowRequest {
        SlowRequest {
            ended,
            opcode: operation as u8,
            status: Status::Ok,
            peer: "10.0.0.1:5".parse().unwrap(),
            subject: Some([0xab; 16]),
            bytes_in: 64,
            bytes_out: 32,
            took: Duration::from_millis(12),
            stages: SlowStages {
                execute: Some(Duration::from_millis(2)),
                commit: Some(Duration::from_millis(10)),
                ..SlowStages::default()
            },
            others: 3,
        }
    }

    #[test]
    fn the_newest_of_all_cores_are_shown_first_and_a_silent_core_hides_no_other() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let slow =
            |seen, kept| SlowRequests { threshold: Some(Duration::from_millis(10)), seen, kept };
        let one = slow(5, vec![request(after(1), Opcode::Learn), request(after(4), Opcode::Query)]);
        let other = slow(2, vec![request(after(3), Opcode::Path)]);
        let all = of_server(vec![Some(one), None, Some(other)], 2).unwrap();
        assert_eq!(
            (&all["threshold_us"], &all["seen"], &all["kept"]),
            (&json!(10_000), &json!(7), &json!(3))
        );
        let shown = all["requests"].as_array().unwrap();
        assert_eq!(shown.len(), 2);
        assert_eq!((&shown[0]["operation"], &shown[0]["core"]), (&json!("query"), &json!(0)));
        assert_eq!((&shown[1]["operation"], &shown[1]["core"]), (&json!("path"), &json!(2)));
        assert_eq!(shown[0]["subject"], json!("ab".repeat(16)));
        assert_eq!(shown[0]["stages"], json!({ "execute_us": 2_000, "commit_us": 10_000 }));
        assert_eq!(of_server(vec![None, None], 2), None);
    }
}
