//! Promises of what is shared, where nobody sleeps and nobody is woken.

mod dimensions;
mod drained;
mod marked;
mod regions;

use crate::Model;

pub(crate) fn models() -> Vec<Model> {
    let all = regions::models().into_iter();
    all.chain(marked::models()).chain(dimensions::models()).chain(drained::models()).collect()
}
