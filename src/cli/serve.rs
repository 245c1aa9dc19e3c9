//! `sutra serve`: runs a server until it is told to stop, and says what it does and what to try
//! next.

mod announcement;
mod arguments;
mod next;
mod reloading;
mod service;
mod startup_import;
mod successor;

use std::sync::Arc;
use std::time::Duration;

use sutra_api::Api;
use sutra_server::{End, Inherited};

use self::announcement::{announce, reachable, status};
pub(crate) use self::arguments::Serve;
use self::reloading::reloading;
pub(crate) use self::reloading::{Reloaded, TakeOver};
use self::service::Service;
use crate::exit::{Answer, Failure};
use crate::exposure;
use crate::output::Output;
use crate::signals;
use crate::systemd::{notify, watchdog};

/// How long a server that ends waits for an import to say what it did.
const IMPORT_END: Duration = Duration::from_secs(5);

/// `reload_by` is told how to take settings over when they are read again.
pub(crate) fn run(
    serve: Serve,
    sockets: Inherited,
    output: Output,
    reload_by: impl FnOnce(TakeOver),
) -> Result<Answer, Failure> {
    if let Some(folder) = serve.import.as_ref().filter(|folder| !folder.exists()) {
        return Err(Failure::Usage(format!(
            "--import {}: there is no such file or folder",
            folder.display()
        )));
    }
    let service = Arc::<Service>::default();
    let ended_by = Arc::clone(&service);
    signals::heed_as_service(move |signal| ended_by.end(signal))?;
    let api = Api::default();
    let config = serve.config(&api)?;
    let mut server = if serve.takeover {
        sutra_server::take_over(config, || service.is_about_to_serve())?
    } else {
        notify::starting(&format!("reading {}", serve.data.display()));
        sutra_server::start_on(config, sockets)?
    };
    service.serves(&server);
    successor::start_by_signal();
    let report = server.report();
    exposure::warn("native", &report.listening, "may read, change and delete all that is stored");
    exposure::warn("compat", &report.compat, "may read, change and delete all that is stored");
    exposure::warn("admin", report.admin.as_slice(), "may read all that is stored");
    let address = reachable(server.listening().first().copied());
    api.serve(address.to_string());
    announce(server.report(), address, serve.import.is_some(), output)?;
    if let Some(departing) = server.take_departing() {
        // Until it has left, the service manager counts that one as this service.
        departing.wait();
    }
    let status = status(server.report());
    notify::ready(&status);
    let watched = watchdog::watch(server.pulse(), status)?;
    reload_by(reloading(&service, &serve));
    loop {
        let stop = service.begin_import();
        let begin =
            |folder| startup_import::spawn(folder, address, server.imports(), stop.clone(), output);
        let importing = serve.import.clone().map(begin).transpose()?;
        let ended = server.wait();
        if let Ok(End::TakenOver(following)) = &ended {
            notify::followed_by(following.pid);
        }
        // Whoever follows is told by that, and makes the import itself.
        let ended = ended.map(|ended| match ended {
            End::Back(server) => Some(server),
            End::Stopped | End::TakenOver(_) => None,
        });
        if let Some(importing) = importing {
            // Without a server it has nothing to wait for; told to stop, it says what it did. Its
            // progress may be on a terminal that is held (Ctrl-S), which must not hold the server.
            stop.ask(-1);
            let _ = importing.recv_timeout(IMPORT_END);
        }
        match ended? {
            Some(back) => server = *back,
            None => break,
        }
        service.serves(&server);
        watched.watch(server.pulse());
    }
    tracing::info!("stopped; everything acknowledged is stored");
    Ok(Answer::Yes)
}
