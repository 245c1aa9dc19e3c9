//! Which CPUs a server's cores are on.

use std::os::fd::OwnedFd;

use sutra_runtime::{Cores, Placement, allowed_cpus, cpu_quota};
use sutra_store::{StoreError, stored_cores};

use crate::config::ServerConfig;
use crate::error::ServerError;
use crate::takeover::Profile;

/// Where the cores are.
pub(crate) struct Seats {
    /// Their CPUs, which are the server's own for as long as this is there.
    pub(crate) placement: Placement,
    /// Whether each core's thread stays on its CPU.
    pub(crate) pinned: bool,
    /// The CPUs that the process may use.
    pub(crate) allowed: Vec<usize>,
    /// Whether the CPUs' marks are to come from the server before this one.
    awaits_marks: bool,
}

impl Seats {
    /// For a server that starts by itself.
    pub(crate) fn choose(config: &ServerConfig) -> Result<Self, ServerError> {
        let allowed = allowed_cpus();
        let (placement, pinned) = choose_cpus(config, &allowed, cpu_quota())?;
        Ok(Self { placement, pinned, allowed, awaits_marks: false })
    }

    /// For a server that takes over: the CPUs that the one before it has, where they are as good.
    /// Their marks are to come.
    pub(crate) fn after(config: &ServerConfig, before: &Profile) -> Result<Self, ServerError> {
        let allowed = allowed_cpus();
        let cpus = match &config.cores {
            Cores::List(list) => list,
            Cores::Count(_) | Cores::All => &before.cpus,
        };
        let are_as_good =
            config.pin == before.pinned && cpus.iter().all(|cpu| allowed.contains(cpu));
        if are_as_good {
            let (placement, pinned) = (Placement::to_come(cpus.clone()), config.pin);
            return Ok(Self { placement, pinned, allowed, awaits_marks: pinned });
        }
        Self::choose(config)
    }

    /// The marks that the server before this one had.
    pub(crate) fn take_marks(&mut self, marks: Vec<(usize, OwnedFd)>) {
        if self.awaits_marks {
            self.placement.take_marks(marks);
            warn_of_others(&self.placement);
        }
    }

    /// How many cores there are.
    pub(crate) fn cores(&self) -> usize {
        self.placement.cpus.len()
    }

    /// Another number of cores than the store's is refused with words that work here.
    pub(crate) fn explained(&self, error: StoreError) -> ServerError {
        match error {
            StoreError::Cores { stored, .. } => {
                let no_pin =
                    if self.pinned && stored > self.allowed.len() { " --no-pin" } else { "" };
                let flags = format!("--cores {stored}{no_pin}");
                ServerError::StoredCores { flags, source: error }
            }
            error => error.into(),
        }
    }
}

/// The CPU of each core, and whether its thread stays there. Unpinned cores may outnumber the CPUs:
/// they share them.
fn choose_cpus(
    config: &ServerConfig,
    allowed: &[usize],
    quota: Option<usize>,
) -> Result<(Placement, bool), ServerError> {
    let paid = quota.map_or(allowed.len(), |quota| quota.min(allowed.len()));
    let (count, is_asked) = match &config.cores {
        Cores::List(list) if !list.iter().all(|cpu| allowed.contains(cpu)) => {
            return Err(ServerError::Cores { wanted: listed(list), available: listed(allowed) });
        }
        Cores::List(list) if config.pin => {
            return Ok((marked(Placement::of(list), quota), true));
        }
        Cores::List(list) => return Ok((Placement::unpinned(list.clone()), false)),
        Cores::Count(count) => (*count, true),
        // What a store was made for it can be served with on any host.
        Cores::All => (stored_cores(&config.data).unwrap_or(paid), false),
    };
    if config.pin && count > allowed.len() && is_asked {
        return Err(ServerError::TooManyCores { wanted: count, available: listed(allowed) });
    }
    if config.pin && count <= allowed.len() {
        return Ok((
            marked(Placement::least_used(allowed, count, paid < allowed.len()), quota),
            true,
        ));
    }
    if config.pin {
        let cpus = listed(allowed);
        tracing::warn!(
            cores = count,
            cpus,
            "the store was made for more cores than there are CPUs: not pinned"
        );
    }
    Ok((Placement::unpinned(allowed.iter().copied().cycle().take(count).collect()), false))
}

/// Says what may be in the way of these CPUs.
fn marked(placement: Placement, quota: Option<usize>) -> Placement {
    warn_of_others(&placement);
    let cpus = listed(&placement.cpus);
    if let Some(quota) = quota.filter(|quota| *quota < placement.cpus.len()) {
        tracing::warn!(
            cpus,
            quota,
            "the CPU quota pays for fewer CPUs: threads will be held; try --no-pin"
        );
    }
    placement
}

fn warn_of_others(placement: &Placement) {
    if !placement.shared.is_empty() {
        let (cpus, shared) = (listed(&placement.cpus), listed(&placement.shared));
        tracing::warn!(
            cpus,
            shared,
            "another server is pinned to CPUs of this one; --cores names others"
        );
    }
}

/// The list as `--cores` reads it.
fn listed(cpus: &[usize]) -> String {
    let text = cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if cpus.len() == 1 { text + "," } else { text }
}
