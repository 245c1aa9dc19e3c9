//! Which process this is, and what it has used as a whole, for stats.

use std::time::Duration;

use sutra_admin::Used;
use sutra_wire::Counter;

/// Adds the process's id, CPU time and memory to `out`. The id tells whoever compares counters that
/// they began anew: after a takeover another process counts.
pub(super) fn report(out: &mut Vec<Counter>) {
    let used = Used::read();
    let mut add = |name: &str, value| out.push(Counter { name: name.into(), value });
    add("process_id", std::process::id().into());
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    add("cpu_us", micros(used.cpu));
    if let Some((user, system)) = used.split {
        add("cpu_user_us", micros(user));
        add("cpu_system_us", micros(system));
    }
    if let Some(resident) = used.resident {
        add("resident_bytes", resident);
    }
}
