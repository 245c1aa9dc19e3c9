//! A client's error as a refusal of the read API.

use sutra_admin::{Code, Refusal};
use sutra_client::{ClientError, Status};

/// What whoever asked is told of it.
pub(crate) fn refused(error: ClientError) -> Refusal {
    let code = match &error {
        ClientError::InvalidName(_) | ClientError::TooLarge { .. } => Code::BadRequest,
        ClientError::Refused { status: Status::InvalidArgument, .. } => Code::BadRequest,
        ClientError::Refused { status: Status::NotFound, .. } => Code::NotFound,
        ClientError::Refused { status: Status::Busy | Status::ShuttingDown, .. } => {
            Code::Unavailable
        }
        ClientError::Refused { .. } => Code::Refused,
        ClientError::TimedOut { .. } => Code::TimedOut,
        _ => Code::Unavailable,
    };
    Refusal::new(code, error.to_string())
}
