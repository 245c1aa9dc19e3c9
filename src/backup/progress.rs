//! Who is told how far a backup or a restore has come.

/// Is told how far it has come.
pub trait Progress {
    /// So many bytes are to be gone through in all.
    fn begin(&mut self, bytes: u64);
    /// So many more were.
    fn advance(&mut self, bytes: u64);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: u64) {}

    fn advance(&mut self, _: u64) {}
}
