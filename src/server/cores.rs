//! The cores of a server: set up first, so that nothing that the host may refuse is left when the
//! store is there; then given what each serves.

use std::sync::{Arc, Mutex, PoisonError};

use sutra_net::{Envelope, Front, Passed, Postbox};
use sutra_runtime::{
    Config, Listener, ListenerId, Prepared, Running, RuntimeError, StartError, prepare,
};
use sutra_store::Opened;

use crate::config::ServerConfig;
use crate::core::mailbox::MAILBOX;
use crate::core::message::{Message, WriteTicket};
use crate::cpus::Seats;
use crate::crew::Crew;
use crate::error::ServerError;
use crate::files::reserved_files;
use crate::report::ServerInfo;
use crate::service::StorageService;

/// Cores that are set up.
pub(crate) struct Cores(Prepared<Front<StorageService>, RuntimeError>);

/// What cores serve.
pub(crate) struct Served {
    pub(crate) opened: Opened<WriteTicket>,
    /// By core.
    pub(crate) listeners: Vec<Vec<(ListenerId, Listener)>>,
    /// From this number on listeners are of the old protocol.
    pub(crate) first_compat: ListenerId,
    /// By core: those that come from another process.
    pub(crate) connections: Vec<Vec<Passed>>,
}

/// Cores that run, and the way to each.
pub(crate) struct RunningCores {
    pub(crate) running: Running,
    pub(crate) postboxes: Vec<Postbox<Message>>,
}

/// What one core takes when it begins.
struct Share {
    listeners: Vec<(ListenerId, Listener)>,
    connections: Vec<Passed>,
}

impl Cores {
    /// Sets up one for each seat.
    pub(crate) fn prepare(config: &ServerConfig, seats: &Seats) -> Result<Self, ServerError> {
        let runtime = Config {
            cpus: seats.placement.cpus.clone(),
            pin: seats.pinned,
            spin: config.spin,
            mailbox: MAILBOX,
            reserved_files: reserved_files(seats.cores()),
            ..Config::default()
        };
        Ok(Self(prepare(runtime)?))
    }

    /// Starts them. `begin` is called when all are ready, before any of them receives something.
    pub(crate) fn start(
        self,
        config: &ServerConfig,
        served: Served,
        info: &Arc<ServerInfo>,
        begin: impl FnOnce(),
    ) -> Result<RunningCores, ServerError> {
        let Served { opened, listeners, first_compat, connections } = served;
        let cores = opened.shards.len();
        let shares = listeners.into_iter().zip(connections);
        let shares = shares
            .map(|(listeners, connections)| Mutex::new(Some(Share { listeners, connections })));
        let shares: Vec<_> = shares.collect();
        let crew = Crew::new(config, opened, first_compat, info);
        let postboxes: Arc<Mutex<Vec<Option<Postbox<Message>>>>> =
            Arc::new(Mutex::new(vec![None; cores]));
        let filled = Arc::clone(&postboxes);
        let make = move |index: usize, core: &mut sutra_runtime::Core<Envelope<Message>>| {
            filled.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(Postbox::of(core));
            let share = shares[index].lock().unwrap_or_else(PoisonError::into_inner).take();
            let Share { listeners, connections } = share.expect("each core begins once");
            for (id, listener) in listeners {
                core.listen(listener, id)?;
            }
            let mut front = crew.handler(index);
            front.take_in(core, connections);
            Ok::<_, RuntimeError>(front)
        };
        let running = self.0.start(make, begin).map_err(|error| match error {
            StartError::Runtime(error) | StartError::Handler { error, .. } => error,
        })?;
        let postboxes =
            std::mem::take(&mut *postboxes.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(RunningCores { running, postboxes: postboxes.into_iter().flatten().collect() })
    }
}
