//! Many requests under way at a time, with a bound, and their answers in order.

use std::collections::VecDeque;
use std::time::Duration;

use sutra_wire::InvalidId;

use crate::ClientError;
use crate::answer::Answer;
use crate::caller::Caller;
use crate::deadline::Deadline;
use crate::pending::Pending;
use crate::request::Request;

/// Requests under way at a time by default: several group commits of a disk that takes a hundred
/// records in one.
const IN_FLIGHT: usize = 512;

/// A pipelined operation over the items of an iterator, which is drawn from as answers come in.
///
/// Answers come in the order of the items, one for each; an item that fails does not stop the
/// others. Each item has the client's timeout and retries for itself, from the moment it is sent.
/// Nothing is sent until the first answer is asked for; what was sent when this is dropped may
/// still take effect.
pub struct Many<I: Iterator, T> {
    caller: Caller,
    items: I,
    request: fn(I::Item, &str) -> Result<Request, InvalidId>,
    answer: for<'a> fn(Answer<'a>) -> Result<T, ClientError>,
    window: VecDeque<Item>,
    in_flight: usize,
}

struct Item {
    /// The request and its time, or why there is none.
    request: Result<(Request, Deadline), InvalidId>,
    /// The outcome of sending it; `None` before that.
    sent: Option<Result<Pending, ClientError>>,
}

impl<I: Iterator, T> Many<I, T> {
    pub(crate) fn new(
        caller: Caller,
        items: I,
        request: fn(I::Item, &str) -> Result<Request, InvalidId>,
        answer: for<'a> fn(Answer<'a>) -> Result<T, ClientError>,
    ) -> Self {
        Self { caller, items, request, answer, window: VecDeque::new(), in_flight: IN_FLIGHT }
    }

    /// At most this many requests under way; 512 unless said otherwise. They and their answers are
    /// held in memory: make it less where records are of megabytes.
    pub fn in_flight(mut self, requests: usize) -> Self {
        self.in_flight = requests.max(1);
        self
    }

    /// The next item's answer, `None` after the last. Dropping the future loses no answer.
    pub async fn next(&mut self) -> Option<Result<T, ClientError>> {
        self.fill().await;
        let answer = self.front().await?;
        self.window.pop_front();
        Some(answer)
    }

    /// Waits for all and returns how many there were; ends with the first error.
    pub async fn finish(mut self) -> Result<u64, ClientError> {
        let mut count = 0;
        while let Some(answer) = self.next().await {
            answer?;
            count += 1;
        }
        Ok(count)
    }

    /// Sends until the bound is reached. An item enters the window before it is sent, so that none
    /// is lost when the caller gives up waiting.
    async fn fill(&mut self) {
        loop {
            if let Some(Item { request: Ok((request, deadline)), sent: sent @ None }) =
                self.window.back_mut()
            {
                *sent = Some(self.caller.start(request, deadline, false).await);
            }
            if self.window.len() >= self.in_flight {
                return;
            }
            let Some(item) = self.items.next() else { return };
            let request = (self.request)(item, self.caller.namespace());
            let request = request.map(|request| {
                let deadline = self.caller.deadline(&request);
                (request, deadline)
            });
            self.window.push_back(Item { request, sent: None });
        }
    }

    async fn front(&mut self) -> Option<Result<T, ClientError>> {
        let item = self.window.front_mut()?;
        let (request, deadline) = match &item.request {
            Ok(request) => request,
            Err(error) => return Some(Err((*error).into())),
        };
        let first = match item.sent.as_mut().expect("what is in the window was sent") {
            Ok(pending) => pending.wait(deadline, Duration::ZERO).await,
            Err(error) => Err(error.clone()),
        };
        if let Err(error) = &first {
            // Should the caller give up now, the next call goes on from here.
            item.sent = Some(Err(error.clone()));
        }
        Some(self.caller.settle(request, deadline, first).await.and_then(self.answer))
    }
}
