//! A place for one connection: made when it is first needed, tried when it is doubtful, made again
//! when it is lost.
//!
//! One caller at a time makes it and the others wait for the outcome. So a server that is away sees
//! one attempt a slot, spaced by the back-off, however many calls are waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sutra_wire::Opcode;
use tokio::time::{Instant, sleep_until};

use crate::connection::{Condition, Connection};
use crate::deadline::Deadline;
use crate::pending::Pending;
use crate::request::Request;
use crate::shared::lock;
use crate::{ClientError, Endpoint, backoff, dial};

/// What the check of a doubtful connection may take at most.
const CHECK: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Slot {
    current: Mutex<Option<Arc<Connection>>>,
    making: tokio::sync::Mutex<Making>,
    /// Attempts that have ended, so that a caller sees whether one did while it waited.
    attempts: AtomicU64,
}

#[derive(Default)]
struct Making {
    /// Attempts in a row that came to nothing.
    failures: u32,
    not_before: Option<Instant>,
    /// What the last attempt failed with.
    error: Option<ClientError>,
}

impl Slot {
    /// Puts a connection here.
    pub(crate) fn put(&self, connection: Arc<Connection>) {
        *lock(&self.current) = Some(connection);
    }

    fn current(&self) -> Option<(Arc<Connection>, Condition)> {
        let current = lock(&self.current).clone()?;
        let condition = current.condition(Instant::now());
        Some((current, condition))
    }

    /// A connection that can be used, and whether it was made just now.
    pub(crate) async fn connection(
        &self,
        endpoint: &Endpoint,
        wanted_core: Option<u16>,
        deadline: &Deadline,
    ) -> Result<(Arc<Connection>, bool), ClientError> {
        if let Some((connection, Condition::Ready)) = self.current() {
            return Ok((connection, false));
        }
        let name = || endpoint.to_string();
        let seen = self.attempts.load(Ordering::Acquire);
        let mut making = deadline.limit(&name(), self.making.lock()).await?;
        match self.current() {
            Some((connection, Condition::Ready)) => return Ok((connection, false)),
            Some((connection, Condition::Doubtful)) if answers(&connection, deadline).await => {
                return Ok((connection, false));
            }
            _ => {}
        }
        if let Some(error) =
            making.error.as_ref().filter(|_| self.attempts.load(Ordering::Acquire) != seen)
        {
            return Err(error.clone());
        }
        if let Some(at) = making.not_before {
            if at >= deadline.at() {
                return Err(making.error.clone().unwrap_or_else(|| deadline.passed(&name())));
            }
            sleep_until(at).await;
        }
        let result = deadline.limit(&name(), dial::connect(endpoint, wanted_core)).await.flatten();
        self.attempts.fetch_add(1, Ordering::Release);
        match result {
            Ok(connection) => {
                let connection = Arc::new(connection);
                // A server that takes connections and drops them is not to be asked faster than one
                // that takes none.
                *making = Making {
                    not_before: Some(Instant::now() + backoff::delay(1)),
                    ..Making::default()
                };
                self.put(connection.clone());
                Ok((connection, true))
            }
            Err(error) => {
                making.failures = making.failures.saturating_add(1);
                let wait = backoff::delay(making.failures);
                tracing::debug!(
                    endpoint = name(),
                    failures = making.failures,
                    ?wait,
                    %error,
                    "no connection"
                );
                making.not_before = Some(Instant::now() + wait);
                making.error = Some(error.clone());
                Err(error)
            }
        }
    }
}

/// Asks the server for a sign of life and says whether it came in time.
async fn answers(connection: &Arc<Connection>, deadline: &Deadline) -> bool {
    let limit = Deadline::of(Opcode::Health, CHECK.min(deadline.remaining() / 2));
    let answer = match Pending::send(connection, &Request::Health, &limit, false).await {
        Ok(mut pending) => pending.wait(&limit, Duration::ZERO).await.map(|_| ()),
        Err(error) => Err(error),
    };
    if let Err(error) = &answer {
        tracing::debug!(
            endpoint = connection.endpoint(),
            %error,
            "a doubtful connection did not pass its check"
        );
        return false;
    }
    connection.trust();
    true
}
