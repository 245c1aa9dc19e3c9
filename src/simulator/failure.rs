//! What a run can fail with.

use std::fmt;

/// What is wrong, by kind: a failure that is shrunk stays of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer is not one that there may be.
    Answer,
    /// Something was refused that nothing explains.
    Refusal,
    /// What is there after an end is not what was to be there.
    Recovery,
    /// A start was refused that nothing explains, or an end.
    Start,
    /// Something does not go on that should.
    Stuck,
    /// The product has panicked.
    Panic,
}

impl Kind {
    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Answer => "wrong answer",
            Kind::Refusal => "unexplained refusal",
            Kind::Recovery => "wrong state after an end",
            Kind::Start => "unexplained refusal to start or to stop",
            Kind::Stuck => "no progress",
            Kind::Panic => "panic",
        }
    }
}

/// What a run has failed with.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which kind of thing.
    pub kind: Kind,
    /// What it is.
    pub what: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Failure {
        Failure { kind, what: what.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.what)
    }
}

/// Says of an error which kind of failure it is.
pub(crate) trait OfKind<T> {
    fn of_kind(self, kind: Kind) -> Result<T, Failure>;
}

impl<T> OfKind<T> for Result<T, String> {
    fn of_kind(self, kind: Kind) -> Result<T, Failure> {
        self.map_err(|what| Failure::new(kind, what))
    }
}
