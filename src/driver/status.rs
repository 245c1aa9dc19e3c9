//! What a refusal of the store is called on the wire.

use sutra_store::Refusal;
use sutra_wire::Status;

/// The code that a refused write is answered with.
pub fn status_of(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Full { .. } => Status::StorageFull,
        Refusal::TooLarge { .. } => Status::TooLarge,
        Refusal::Failed { .. } | Refusal::Lost { .. } | Refusal::ReadOnly => Status::StorageFailed,
        Refusal::Dimension { .. } => Status::InvalidArgument,
        Refusal::Stalled => Status::Busy,
    }
}
