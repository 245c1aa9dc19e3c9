//! The data folder is looked at twice a second, and the marks in its manifest rise every other second.
//!
//! Core 0 has the background thread look, and tells the others what has become of the folder when that changes: each then refuses writes, or
//! takes them again. Nothing waits for a look, and a core that is asked nothing does nothing.

use std::sync::Arc;
use std::time::Duration;

use sutra_net::Context;
use sutra_store::OpenManifest;

use crate::message::{Body, Message};
use crate::service::{LOOK_TIMER, StorageService};

/// Between two looks: what is written into a folder that is gone is acknowledged for no longer than twice this.
const LOOK: Duration = Duration::from_millis(500);
/// Every so many looks the marks are raised: what a killed server has acknowledged before can't be missing without a word.
const RAISE: u64 = 4;

/// The looks of a server.
pub(crate) struct Looks {
    manifest: Arc<OpenManifest>,
    has_begun: bool,
    count: u64,
    /// What has become of the folder, as the cores were told.
    lost: Option<Arc<str>>,
}

impl Looks {
    pub(crate) fn new(manifest: Arc<OpenManifest>) -> Self {
        Self { manifest, has_begun: false, count: 0, lost: None }
    }
}

impl StorageService {
    /// Begins, with the first turn. Cost afterwards: one branch.
    pub(crate) fn begin_looks(&mut self, cx: &mut Context<'_, Message>) {
        if !std::mem::replace(&mut self.looks.has_begun, true) && cx.index() == 0 {
            cx.wake_in(LOOK_TIMER, LOOK);
        }
    }

    /// It is time for a look.
    pub(crate) fn look(&mut self, cx: &mut Context<'_, Message>) {
        self.looks.count += 1;
        let job = self.looks.manifest.look_job(self.looks.count.is_multiple_of(RAISE));
        self.run_in_background(cx, move || Body::Looked(job.run()));
    }

    /// A look has ended.
    pub(crate) fn looked(&mut self, cx: &mut Context<'_, Message>, lost: Option<Arc<str>>) {
        cx.wake_in(LOOK_TIMER, LOOK);
        if self.looks.lost == lost {
            return;
        }
        self.looks.lost.clone_from(&lost);
        for core in 1..cx.cores() {
            self.post(cx, core, Body::Folder(lost.clone()));
        }
        self.folder_is(cx, lost);
    }

    /// What has become of the folder, or that it is as it was.
    pub(crate) fn folder_is(&mut self, cx: &mut Context<'_, Message>, lost: Option<Arc<str>>) {
        self.shard.set_lost(lost);
        self.tell_health(cx);
        self.check_flushes(cx);
        self.retry_stalled(cx);
        self.retry_numbered(cx);
        cx.resume();
    }
}
