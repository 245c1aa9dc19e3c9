//! The import that a server makes at its start, as a client of itself, on a thread of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use sutra_server::ImportRecord;

use super::next::{quoted, suggestions};
use crate::exit::Failure;
use crate::import::{self, Existing, Imported, Stop};
use crate::output::Output;
use crate::target;

/// How long an answer to the import may take, as by default.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// What it returns is disconnected when the import has ended.
pub(super) fn spawn(
    folder: PathBuf,
    address: SocketAddr,
    record: ImportRecord,
    stop: Stop,
    output: Output,
) -> Result<Receiver<()>, Failure> {
    let (ended, end) = mpsc::channel();
    let import = move || {
        import_folder(folder, address, &record, &stop, output);
        drop(ended);
    };
    let spawned = thread::Builder::new().name("import".into()).spawn(import);
    spawned.map(|_| end).map_err(|error| Failure::Host(format!("cannot start a thread: {error}")))
}

fn import_folder(
    folder: PathBuf,
    address: SocketAddr,
    record: &ImportRecord,
    stop: &Stop,
    output: Output,
) {
    let server = target::Server { address: address.to_string(), timeout: IMPORT_TIMEOUT };
    let place = target::Place { namespace: String::new(), server };
    let source = import::Import::of_folder(folder, place);
    let imported = import::files(&source, Existing::Keep(record), stop, output);
    let told = imported.and_then(|Imported { summary, failure }| {
        output.answer(&summary, || match &summary.example {
            Some(name) if !summary.stopped => {
                let name = quoted(name);
                format!(
                    "{summary}\ntry next{}",
                    suggestions(address, &[("query", &name), ("neighbors", &name)])
                )
            }
            _ => summary.to_string(),
        })?;
        failure.map_or(Ok(()), Err)
    });
    match told {
        // That the server is going away is no news.
        Err(failure) if stop.signal().is_none() => {
            output.fail(&Failure::Host(format!(
                "the import has ended: {failure}; the server goes on"
            )));
        }
        _ => {}
    }
}
