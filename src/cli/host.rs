//! Which host `doctor` and `tune` are about: this one, or one whose root is a folder.

use std::path::{Path, PathBuf};

use clap::Args;
use sutra_host::{Host, Needs, Root};
use sutra_server::{BACKLOG, ServerConfig, files_needed};

use crate::exit::Failure;

#[derive(Args, Debug)]
pub(crate) struct HostArgs {
    /// The data folder: its disk is looked at, and the server's process where one runs on it
    #[arg(long, env = "SUTRA_DATA", value_name = "FOLDER", default_value = "sutra-data")]
    pub(crate) data: PathBuf,
    /// The root of another host: an image that is mounted there, or a chroot. Its files are read
    /// and written in place of this host's. What only a running kernel tells is not known then
    #[arg(long, value_name = "FOLDER", default_value = "/", hide_short_help = true)]
    pub(crate) root: PathBuf,
}

impl HostArgs {
    pub(crate) fn host(&self) -> Result<Host, Failure> {
        let root = self.root.canonicalize().ok().filter(|root| root.is_dir());
        let Some(root) = root else {
            let root = self.root.display();
            return Err(Failure::Usage(format!(
                "--root {root}: there is no such folder; mount the image first"
            )));
        };
        let needs = Needs {
            files: files_needed,
            segment_bytes: ServerConfig::default().segment_bytes,
            backlog: u64::try_from(BACKLOG).unwrap_or_default(),
        };
        let host = Host::new(Root::new(root), &self.data, needs);
        Ok(match record() {
            Some(file) => host.with_record(file),
            None => host,
        })
    }
}

/// Where measurements are kept: the user's state folder (XDG Base Directory Specification).
fn record() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let below_home = || Some(absolute("HOME")?.join(".local/state"));
    let folder = absolute("XDG_STATE_HOME").or_else(below_home)?;
    Some(folder.join(Path::new("sutra/doctor.json")))
}
