//! A successor's sign of life, while it prepares and while it opens the store. How long that takes
//! is a matter of how much is stored; that it says nothing for long means that it hangs.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::channel::Channel;
use super::message::Message;

/// From one sign to the next.
const BEAT: Duration = Duration::from_secs(1);
/// How long a server waits for the next: some may come late.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Beats until it is dropped.
pub(super) struct Heart {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    pub(super) fn start(channel: &Arc<Channel>) -> io::Result<Self> {
        let channel = Arc::clone(channel);
        let (stop, stopped) = mpsc::channel::<()>();
        let beat = move || {
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                // That nobody hears it is found by whoever waits for an answer.
                let _ = channel.send(&Message::Alive, &[]);
            }
        };
        let thread = Builder::new().name("successor".into()).spawn(beat)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
