//! What the process as a whole has used, for stats.

use std::time::Duration;

use sutra_admin::Used;
use sutra_wire::Counter;

/// Adds the process's CPU time and memory to `out`.
pub(super) fn report(out: &mut Vec<Counter>) {
    let used = Used::read();
    let mut add = |name: &str, value| out.push(Counter { name: name.into(), value });
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
