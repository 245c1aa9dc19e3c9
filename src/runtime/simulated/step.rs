//! What can happen next in a simulation, and what chooses.

/// Something that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A core takes a turn.
    Turn {
        /// Which.
        core: usize,
    },
    /// A core's socket is given something it waits for: bytes, an end, an error.
    Receive {
        /// Which core.
        core: usize,
        /// The socket's slot there.
        slot: u32,
    },
    /// Some of what a core sends is taken.
    Send {
        /// Which core.
        core: usize,
        /// The socket's slot there.
        slot: u32,
    },
    /// A core's write to a file, or its sync, is carried out.
    Write {
        /// Which core.
        core: usize,
        /// Its number there.
        write: u32,
    },
    /// Messages arrive that were on their way.
    Deliver {
        /// From this core.
        from: usize,
        /// At this one.
        to: usize,
    },
    /// The thread that blocks does its next job.
    Background,
    /// A core's worker does its next job.
    Compute {
        /// Whose.
        core: usize,
    },
    /// A core is told of a job that has ended.
    Tell {
        /// Which.
        core: usize,
    },
}

/// What chooses: a number below the given one, which is not 0.
pub type Chance<'a> = dyn FnMut(u64) -> u64 + 'a;
