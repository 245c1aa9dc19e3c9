//! How a core's thread parks in tokio's driver: to give tokio its share, or to sleep until
//! something happens.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::RuntimeError;
use crate::core::Core;
use crate::linux::bell::Bell;
use crate::linux::doorbell::Doorbell;
use crate::linux::listeners::Inbox;
use crate::linux::ring::Enter;

/// How the loop parks in tokio's driver.
pub(super) struct Parking {
    /// The eventfd that the data ring and other threads signal, as tokio sees it.
    bell: AsyncFd<Bell>,
}

impl Parking {
    /// To be called inside the core's runtime.
    pub(super) fn new(doorbell: &Doorbell) -> Result<Parking, RuntimeError> {
        const WHAT: &str = "watching the ring's eventfd";
        let bell = doorbell.park_bell().again().map_err(RuntimeError::system(WHAT))?;
        // SAFETY: a bell answers with the same descriptor as long as it lives, and it is not
        // taken out of the AsyncFd.
        let bell = unsafe { AsyncFd::register_with_interest(bell, Interest::READABLE) };
        Ok(Parking { bell: bell.map_err(|error| RuntimeError::system(WHAT)(error.into()))? })
    }

    /// Gives tokio its share without sleeping. The thread has to park for it, as tokio looks for
    /// events then. So it parks with its own eventfd already signalled.
    pub(super) async fn visit(&self) {
        self.bell.get_ref().ring();
        self.until_signalled(None, None).await;
    }

    /// Sleeps until there is something to do for the loop: a completion, another thread that rings,
    /// an accepted connection, a due timer.
    pub(super) async fn park<M: Send + 'static>(
        &self,
        core: &mut Core<M>,
    ) -> Result<(), RuntimeError> {
        core.stop_timing();
        core.backend().linux().doorbell().say_parked();
        if !core.has_work() && core.backend().linux().ring.arm_eventfd()? {
            let timer = core.earliest_timer();
            let linux = core.backend().linux();
            linux.sleeps += 1;
            self.until_signalled(timer, Some(&linux.inbox)).await;
            linux.ring.disarm_eventfd();
        }
        let linux = core.backend().linux();
        linux.say_awake();
        linux.ring.enter(Enter::Complete)
    }

    async fn until_signalled(&self, timer: Option<Instant>, inbox: Option<&Inbox>) {
        let far = Duration::from_secs(86_400);
        let mut timer =
            pin!(timer.map(|at| tokio::time::sleep_until(at.min(Instant::now() + far).into())));
        poll_fn(|context| {
            if let Some(timer) = timer.as_mut().as_pin_mut()
                && timer.poll(context).is_ready()
            {
                return Poll::Ready(());
            }
            if let Some(inbox) = inbox {
                if inbox.take_news() {
                    return Poll::Ready(());
                }
                inbox.wake_on_arrival(context);
            }
            match self.bell.poll_read_ready(context) {
                Poll::Ready(Ok(mut ready)) => {
                    // The eventfd is never read: every signal is an edge, so forgetting this one
                    // loses none.
                    ready.clear_ready();
                    Poll::Ready(())
                }
                Poll::Ready(Err(_)) => Poll::Ready(()), // only while the runtime ends
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
    }
}
