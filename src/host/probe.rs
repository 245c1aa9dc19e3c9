//! Whether io_uring is to be had here: rings are set up as a server sets them up, one set a core,
//! and what the kernel gave them is told.

use std::convert::Infallible;
use std::sync::mpsc::channel;

use sutra_runtime::{
    Config, Core, Event, Features, Handler, Next, RuntimeError, StartError, TimerId,
};

/// Starts so many cores and ends them. What the one with the smallest ring got is returned.
pub(crate) fn probe(cores: usize) -> Result<Features, RuntimeError> {
    let (sender, found) = channel();
    let config = Config { cpus: vec![0; cores.max(1)], pin: false, ..Config::default() };
    let started = sutra_runtime::start(config, move |_, core| {
        // Unheard only if the caller is gone.
        let _ = sender.send(core.features().clone());
        Ok::<_, Infallible>(Idle)
    });
    let running = started.map_err(|error| match error {
        StartError::Runtime(error) => error,
        StartError::Handler { error, .. } => match error {},
    })?;
    running.shutdown();
    running.join()?;
    let smallest = found.into_iter().min_by_key(|features| features.ring_entries);
    Ok(smallest.expect("each core has sent what it got"))
}

/// A handler that has nothing to do.
struct Idle;

impl Handler for Idle {
    type Message = ();

    fn event(&mut self, _: &mut Core<()>, _: Event<'_>) {}
    fn message(&mut self, _: &mut Core<()>, _: usize, (): ()) {}
    fn timer(&mut self, _: &mut Core<()>, _: TimerId) {}
    fn turn_end(&mut self, _: &mut Core<()>) -> Next {
        Next::Sleep
    }
    fn shutdown(&mut self, _: &mut Core<()>) {}
    fn drained(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_gives_rings_to_two_cores() {
        let features = probe(2).expect("the tests run where a server does");
        assert!(features.ring_entries > 0 && !features.kernel.is_empty());
    }
}
