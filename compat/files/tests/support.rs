//! What the tests share.

#[path = "support/hold.rs"]
pub(crate) mod hold;

/// The snapshot of an old server: `tests/data/old-server`.
pub(crate) const SAMPLE: &[u8] =
    include_bytes!("../../../tests/data/old-server/after-flush/storage.dat");

pub(crate) fn id(digits: &str) -> [u8; 16] {
    u128::from_str_radix(digits, 16).unwrap().to_be_bytes()
}
