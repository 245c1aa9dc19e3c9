//! Long lists, reply by reply: each reply's cursor says where the next one starts.

use sutra_wire::{Concepts, ConceptsRequest, Neighbors, View};

use crate::caller::Caller;
use crate::request::Request;
use crate::{ClientError, Neighborhood};

/// A concept's neighbours, reply by reply; made by [`crate::Client::neighbor_pages`].
pub struct Pages {
    caller: Caller,
    next: Option<Neighborhood>,
}

impl Pages {
    pub(crate) fn new(caller: Caller, first: Neighborhood) -> Self {
        Self { caller, next: Some(first) }
    }

    /// The next reply, `None` after the last. After an error the same reply is asked for again.
    pub async fn next(&mut self) -> Option<Result<View<Neighbors>, ClientError>> {
        let page = self.page(self.next.clone()?).await;
        if let Ok(page) = &page {
            let cursor = page.cursor.to_native();
            self.next = self.next.take().filter(|_| cursor != 0).map(|next| next.cursor(cursor));
        }
        Some(page)
    }

    async fn page(&self, of: Neighborhood) -> Result<View<Neighbors>, ClientError> {
        self.caller.call(&of.request(self.caller.namespace())?).await?.view()
    }
}

/// The ids of a namespace's concepts, reply by reply; made by [`crate::Client::concept_pages`] and
/// [`crate::Client::unlearned_source_pages`].
pub struct ConceptPages {
    caller: Caller,
    request: fn(ConceptsRequest) -> Request,
    limit: u32,
    /// Where the next reply starts.
    next: Option<u64>,
}

impl ConceptPages {
    pub(crate) fn new(caller: Caller, request: fn(ConceptsRequest) -> Request) -> Self {
        Self { caller, request, limit: 0, next: Some(0) }
    }

    /// At most this many in one reply; 0 for as many as a reply may hold (8,192).
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Begins where a reply ended, by its cursor.
    pub fn cursor(mut self, cursor: u64) -> Self {
        self.next = Some(cursor);
        self
    }

    /// The next reply, `None` after the last. It may hold fewer ids than the limit, even none, and
    /// not be the last. After an error the same reply is asked for again.
    pub async fn next(&mut self) -> Option<Result<View<Concepts>, ClientError>> {
        let page = self.page(self.next?).await;
        if let Ok(page) = &page {
            self.next = Some(page.cursor.to_native()).filter(|cursor| *cursor != 0);
        }
        Some(page)
    }

    async fn page(&self, cursor: u64) -> Result<View<Concepts>, ClientError> {
        let namespace = self.caller.namespace().to_owned();
        let request = ConceptsRequest { namespace, limit: self.limit, cursor };
        self.caller.call(&(self.request)(request)).await?.view()
    }
}
