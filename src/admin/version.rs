//! What runs: its version, and the commit that it was made of.
//!
//! The program says its commit once, at its start. Only its own build knows it: a layer's would go
//! on naming the one at which the layer was last compiled.

use std::sync::OnceLock;

use crate::metric::{Metric, Series};

static COMMIT: OnceLock<&str> = OnceLock::new();

/// The program is made of this commit; not called where that is not known.
pub fn built_from(commit: &'static str) {
    // A program is made of one.
    let _ = COMMIT.set(commit);
}

/// Version and commit, as labels.
pub fn build_info() -> Metric {
    let mut labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    labels.extend(COMMIT.get().map(|commit| ("commit", (*commit).to_owned())));
    let help = "The version that runs, and its commit";
    Metric::with_labels("sutra_build_info", help, labels, Series::Gauge(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_told_once_it_is_known() {
        let labels = || {
            let (labels, _) = build_info().series.remove(0);
            labels.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(labels(), ["version"]);
        built_from("fe80ec3");
        assert_eq!(labels(), ["version", "commit"]);
    }
}
