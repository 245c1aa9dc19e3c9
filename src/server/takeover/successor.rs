//! The successor's side: it finds the server of its folder, and is given all that this has.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::channel::{Channel, Received};
use super::estate::{Estate, next};
use super::heart::Heart;
use super::message::{Message, PROTOCOL};
use super::profile::Profile;
use crate::config::ServerConfig;
use crate::takeover_error::TakeoverError;

/// How long a server that was taken over may take to leave: some seconds more than it waits for an
/// import of its own.
const LEAVING: Duration = Duration::from_secs(10);

/// A server that is about to be taken over.
pub(crate) struct Predecessor {
    channel: Arc<Channel>,
    profile: Profile,
    heart: Mutex<Option<Heart>>,
}

/// A server that was taken over, until it has left.
pub struct Departing(Arc<Channel>);

impl Predecessor {
    /// The server of a folder, which agrees to be taken over by one with these settings.
    pub(crate) fn find(config: &ServerConfig) -> Result<Self, TakeoverError> {
        let failed = || TakeoverError::system("it can't be reached");
        let nobody = || TakeoverError::Nobody { folder: config.data.clone() };
        let channel = connect(&config.data)?.ok_or_else(nobody)?;
        let peer = channel.peer().map_err(failed())?;
        if !peer.is_own() {
            let ours = rustix::process::getuid().as_raw();
            return Err(TakeoverError::Foreign { theirs: peer.user, ours });
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        channel.send(&Message::Ask { protocol: PROTOCOL, version }, &[]).map_err(failed())?;
        let profile = match next(&channel)? {
            (Message::Profile(profile), _) => *profile,
            (Message::Refused { why }, _) => return Err(TakeoverError::Refused { why }),
            (message, _) => {
                let why = format!("it answers {message:?}");
                return Err(TakeoverError::Refused { why });
            }
        };
        let channel = Arc::new(channel);
        let heart = Heart::start(&channel).map_err(failed())?;
        let predecessor = Self { channel, profile, heart: Mutex::new(Some(heart)) };
        match predecessor.profile.check(config) {
            Ok(()) => Ok(predecessor),
            Err(error) => {
                predecessor.decline(&error.to_string());
                Err(error)
            }
        }
    }

    /// What it is.
    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Tells it that nothing comes of it, so that its log has the reason.
    pub(crate) fn decline(&self, why: &str) {
        // Where it does not hear it, it sees that nobody is there any more.
        let _ = self.channel.send(&Message::Declined { why: why.to_owned() }, &[]);
    }

    /// All that could fail is done: it is to hand over what it has.
    pub(crate) fn estate(&self) -> Result<Estate, TakeoverError> {
        let failed = TakeoverError::system("it can't be told to go on");
        self.channel.send(&Message::Ready, &[]).map_err(failed)?;
        Estate::receive(&self.channel, &self.profile.ports, self.profile.cpus.len())
    }

    /// From here on this process serves what was handed over. Where the server has ended meanwhile,
    /// nobody else does.
    pub(crate) fn serving(&self) -> Departing {
        drop(self.heart.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Err(error) = self.channel.send(&Message::Serving, &[]) {
            tracing::warn!(%error, "the server that was taken over has ended before it was told");
        }
        Departing(Arc::clone(&self.channel))
    }
}

fn connect(folder: &Path) -> Result<Option<Channel>, TakeoverError> {
    Channel::connect(folder).map_err(TakeoverError::system("it can't be reached"))
}

impl Departing {
    /// Waits until it has left, or for some seconds where it does not.
    pub fn wait(self) {
        if !matches!(self.0.receive(Some(LEAVING), None), Ok(Received::Ended) | Err(_)) {
            tracing::warn!("the server that was taken over has not ended yet");
        }
    }
}
