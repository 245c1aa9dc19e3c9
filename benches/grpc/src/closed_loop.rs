//! A closed loop: every answer is followed by a new call.

use std::cell::RefCell;
use std::rc::Rc;

use sutra_load::Measured;
use tonic::transport::Channel;

use crate::Outcome;
use crate::client::{Numbers, call};
use crate::window::{Asked, Window};

/// Runs as many tasks as calls are to be in flight. Each makes one call after the other until the
/// window ends.
pub(crate) async fn run(
    channels: &Rc<Vec<Channel>>,
    asked: Asked,
    window: Window,
) -> Outcome<Measured> {
    let measured = Rc::new(RefCell::new(Measured::new()));
    let numbers = Rc::new(RefCell::new(Numbers::of(asked.operation)));
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..channels.len() {
        for _ in 0..asked.depth {
            let (channels, operation) = (Rc::clone(channels), asked.operation);
            let (measured, numbers) = (Rc::clone(&measured), Rc::clone(&numbers));
            tasks.spawn_local(async move {
                loop {
                    let sent = window.clock.elapsed();
                    if sent >= window.until {
                        return Ok(());
                    }
                    let number = numbers.borrow_mut().next();
                    call(&channels[connection], operation, number).await?;
                    let now = window.clock.elapsed();
                    let mut measured = measured.borrow_mut();
                    if now >= window.since && now < window.until {
                        measured.answered += 1;
                        if sent >= window.since {
                            measured.latencies.saturating_record((now - sent).as_nanos() as u64);
                        }
                    }
                }
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        let ended: Result<(), String> = done?;
        ended?;
    }
    let measured = Rc::into_inner(measured).ok_or("a task has not ended")?;
    Ok(measured.into_inner())
}
