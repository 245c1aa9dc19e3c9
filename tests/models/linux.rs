//! How cores reach each other on Linux: the product's doorbells and mailboxes, over bells that loom
//! hears, and the models of them.

mod bell;
#[path = "../../src/runtime/linux/doorbell.rs"]
mod doorbell;
mod endings;
#[path = "../../src/runtime/linux/mailboxes.rs"]
mod mailboxes;
mod messages;

mod sleeper;
mod waking;

use crate::Model;

pub(crate) fn models() -> Vec<Model> {
    waking::models().into_iter().chain(messages::models()).chain(endings::models()).collect()
}
