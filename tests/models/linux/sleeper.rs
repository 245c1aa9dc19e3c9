//! A core's thread as far as it sleeps: what `linux/pace.rs` and `linux/parking.rs` do in this
//! order, without a ring and without tokio.

use super::doorbell::Doorbell;

/// How a core rests between two turns.
#[derive(Clone, Copy)]
pub(crate) enum Rest {
    /// In its ring, until something comes.
    Nap,
    /// In its ring, where its time is up before anything comes.
    ShortNap,
    /// In tokio's driver, until something comes.
    Park,
}

/// What the turns of a core do.
pub(crate) trait Turns {
    /// One of them. Whether it is the last.
    fn turn(&mut self, is_socket_ready: bool) -> bool;

    /// Whether the core must not sleep.
    fn has_work(&self) -> bool;
}

/// Runs turns until one is the last. In between the core rests in these ways, one after the other
/// and over again.
pub(crate) fn run(doorbell: &Doorbell, rests: &[Rest], turns: &mut impl Turns) {
    let mut rests = rests.iter().cycle();
    loop {
        let (_, is_socket_ready) = doorbell.nap_bell().take();
        if turns.turn(is_socket_ready) {
            return;
        }
        match rests.next().expect("there is a way to rest") {
            Rest::Nap => nap(doorbell, turns, true),
            Rest::ShortNap => nap(doorbell, turns, false),
            Rest::Park => park(doorbell, turns),
        }
    }
}

fn nap(doorbell: &Doorbell, turns: &impl Turns, waits: bool) {
    doorbell.say_napping();
    if !turns.has_work() && waits {
        doorbell.nap_bell().wait();
    }
    doorbell.say_awake();
}

fn park(doorbell: &Doorbell, turns: &impl Turns) {
    doorbell.say_parked();
    if !turns.has_work() && doorbell.nap_bell().arm() {
        doorbell.park_bell().wait();
        doorbell.park_bell().take();
        doorbell.nap_bell().disarm();
    }
    doorbell.say_awake();
}
