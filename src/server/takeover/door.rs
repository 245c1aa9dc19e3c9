//! The server's side: a thread of its own waits for successors, one at a time. It prepares the
//! handing over, and can still go back. What cannot be undone is done by whoever waits for the
//! server's end, which finds what was left ([`Left`]).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sutra_net::{Parted, Postbox};
use sutra_runtime::Placement;

use super::channel::{Channel, Listening, Peer, Received};
use super::estate::Estate;
use super::heart;
use super::message::{Message, PROTOCOL};
use super::profile::Profile;
use crate::core::message::Message as CoreMessage;

/// How long a successor may take to say what it wants.
const ASKING: Duration = Duration::from_secs(5);
/// How long requests are held at most until those under way are answered: what a client sees as a
/// pause.
const HOLD: Duration = Duration::from_millis(500);
/// How long cores may take to begin to give up what they have, which they do in their next turn.
const PARTING: Duration = Duration::from_secs(5);
/// From one attempt to the next, and how many there are.
const BETWEEN: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 30;
/// How long a successor that has failed may take to end by itself.
const ENDING: Duration = Duration::from_secs(5);
/// After nobody could be let in.
const PAUSE: Duration = Duration::from_secs(1);

/// What is left when a server's cores have ended for a successor.
pub(crate) struct Left {
    pub(crate) successor: Successor,
    /// What the cores have given up: first this, then what still comes.
    pub(crate) early: Vec<Parted>,
    pub(crate) parted: Receiver<Parted>,
    /// Since when requests wait.
    pub(crate) since: Instant,
}

/// A process that is to take over, and has done all that could fail.
pub(crate) struct Successor {
    channel: Channel,
    process: OwnedFd,
    pub(crate) pid: u32,
}

/// Where successors come in.
pub(crate) struct Door {
    call: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    left: Arc<Mutex<Option<Left>>>,
}

/// What the thread has.
struct Doorman {
    call: Arc<OwnedFd>,
    left: Arc<Mutex<Option<Left>>>,
    profile: Profile,
    cores: Vec<Postbox<CoreMessage>>,
    /// Asks the cores to end.
    end: Box<dyn Fn() + Send>,
    /// Whether only a process that the service manager counts as this service's may follow.
    is_managed: bool,
}

/// What came of holding requests.
#[derive(PartialEq, Eq)]
enum Held {
    Yes,
    /// Not now: why.
    No(String),
    /// The server is about to end.
    Ending,
}

impl Door {
    /// Opens it at the server of a folder. `end` asks the server's cores to end.
    pub(crate) fn open(
        folder: &Path,
        profile: Profile,
        cores: Vec<Postbox<CoreMessage>>,
        is_managed: bool,
        end: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let listening = Listening::open(folder)?;
        let call = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let left = Arc::new(Mutex::new(None));
        let doorman = Doorman {
            call: Arc::clone(&call),
            left: Arc::clone(&left),
            profile,
            cores,
            end: Box::new(end),
            is_managed,
        };
        let keep = move || doorman.run(listening);
        let thread = Builder::new().name("takeover".into()).spawn(keep)?;
        Ok(Self { call, thread: Some(thread), left })
    }

    /// What is left for a successor, when the cores have ended; `None` where they did for another
    /// reason.
    pub(crate) fn close(mut self) -> Option<Left> {
        self.shut();
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn shut(&mut self) {
        // Can't fail: it is written to once.
        let _ = rustix::io::write(&*self.call, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Doorman {
    fn run(self, listening: Listening) {
        loop {
            match listening.accept(self.call.as_fd()) {
                Ok(None) => return,
                Ok(Some(channel)) => match self.receive(channel) {
                    Ok(Some(successor)) => {
                        let Some(left) = self.hand_over(successor) else { continue };
                        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
                        // Its name is the successor's from here on.
                        drop(listening);
                        return (self.end)();
                    }
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "no takeover: the other end is lost"),
                },
                Err(error) => {
                    tracing::warn!(%error, "a successor could not be let in");
                    // Ends at once where the server does.
                    let mut polled = [PollFd::new(&self.call, PollFlags::IN)];
                    let _ = poll(&mut polled, PAUSE.try_into().ok().as_ref());
                }
            }
        }
    }

    /// Hears what somebody wants: `None` where they are no successor, or not ready to be one.
    fn receive(&self, channel: Channel) -> io::Result<Option<Successor>> {
        let peer = channel.peer()?;
        // Whoever else's it is says nothing that is waited for.
        let patience = if peer.is_own() { ASKING } else { Duration::ZERO };
        let (asked, version) = match channel.receive(Some(patience), Some(self.call.as_fd()))? {
            Received::Message(Message::Ask { protocol, version }, _) => (protocol, version),
            _ => return Ok(None),
        };
        let process = match self.process_of(&peer, asked) {
            Ok(process) => process,
            Err(why) => {
                tracing::warn!(pid = peer.pid.as_raw_pid(), version, why, "no takeover");
                channel.send(&Message::Refused { why }, &[])?;
                return Ok(None);
            }
        };
        let pid = peer.pid.as_raw_pid().unsigned_abs();
        tracing::info!(pid, version, "a successor prepares to take over");
        channel.send(&Message::Profile(Box::new(self.profile.clone())), &[])?;
        let successor = Successor { channel, process, pid };
        loop {
            match successor.channel.receive(Some(heart::PATIENCE), Some(self.call.as_fd()))? {
                Received::Message(Message::Alive, _) => {}
                Received::Message(Message::Ready, _) => return Ok(Some(successor)),
                Received::Message(Message::Declined { why }, _) => {
                    tracing::warn!(pid, why, "no takeover: the successor can't start");
                    return Ok(None);
                }
                Received::Message(..) | Received::Nothing => {
                    tracing::warn!(pid, "no takeover: the successor hangs");
                    return Ok(None);
                }
                Received::Ended => {
                    tracing::warn!(pid, "no takeover: the successor has ended");
                    return Ok(None);
                }
                Received::Called => return Ok(None),
            }
        }
    }

    /// A descriptor of the process that asks, or why it can't take over.
    fn process_of(&self, peer: &Peer, protocol: u32) -> Result<OwnedFd, String> {
        if !peer.is_own() {
            return Err(format!("it is another user's, and the process asking is {}'s", peer.user));
        }
        if protocol != PROTOCOL {
            return Err(format!(
                "its release hands over by protocol {PROTOCOL} and the other takes over by \
                 protocol {protocol}; stop it and start the other"
            ));
        }
        if self.is_managed && group_of("self") != group_of(&peer.pid.as_raw_pid().to_string()) {
            return Err(
                "a service manager looks after it, and would not know of the other process: \
                 send it SIGUSR2, by which it starts its successor itself"
                    .to_owned(),
            );
        }
        // The kernel tells no pid of a process in another pid namespace.
        let words =
            "it can't be watched, as of another container's process; start it in this one's";
        pidfd_open(peer.pid, PidfdFlags::empty()).map_err(|error| format!("{words} ({error})"))
    }

    /// Has the cores give up what they have. `None` where nothing came of it, and they go on.
    fn hand_over(&self, successor: Successor) -> Option<Left> {
        let mut why = String::new();
        for attempt in 1..=ATTEMPTS {
            let since = Instant::now();
            match self.hold() {
                Held::Yes => return self.part(successor, since),
                Held::Ending => {
                    self.go_on();
                    successor.refuse("it is about to end");
                    return None;
                }
                Held::No(reason) => {
                    self.go_on();
                    tracing::info!(attempt, reason, "takeover put off");
                    why = reason;
                }
            }
            if !self.wait_with(&successor) {
                return None;
            }
        }
        let why = format!("it was tried {ATTEMPTS} times, the last time in vain because {why}");
        tracing::warn!(why, "no takeover");
        successor.refuse(&why);
        None
    }

    /// Serves on for a while before the next attempt. `false` where there is to be none.
    fn wait_with(&self, successor: &Successor) -> bool {
        let until = Instant::now() + BETWEEN;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match successor.channel.receive(Some(left), Some(self.call.as_fd())) {
                Ok(Received::Message(Message::Alive, _)) => {}
                Ok(Received::Nothing) => return true,
                Ok(Received::Called) => return false,
                _ => {
                    tracing::warn!(pid = successor.pid, "no takeover: the successor has ended");
                    return false;
                }
            }
        }
    }

    /// Has every core begin no request, and waits until none is under way.
    fn hold(&self) -> Held {
        let (told, held) = channel();
        let until = Instant::now() + HOLD;
        self.cores.iter().for_each(|core| core.hold(told.clone()));
        drop(told);
        for _ in &self.cores {
            match held.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Ok(_)) => {}
                Ok(Err(why)) => return Held::No(why),
                Err(RecvTimeoutError::Timeout) => {
                    let why = "requests are under way that take longer than clients are to wait";
                    return Held::No(why.to_owned());
                }
                Err(RecvTimeoutError::Disconnected) => return Held::Ending,
            }
        }
        Held::Yes
    }

    fn go_on(&self) {
        self.cores.iter().for_each(Postbox::go_on);
    }

    fn part(&self, successor: Successor, since: Instant) -> Option<Left> {
        let (to, parted) = channel();
        self.cores.iter().for_each(|core| core.part(to.clone()));
        drop(to);
        let (mut begun, mut early) = (0, Vec::new());
        while begun < self.cores.len() {
            match parted.recv_timeout(PARTING) {
                Ok(Parted::Begun(_)) => begun += 1,
                Ok(other) => early.push(other),
                // The cores were told to end meanwhile, and one may have ended already.
                Err(_) => {
                    successor.refuse("it is about to end");
                    return None;
                }
            }
        }
        Some(Left { successor, early, parted, since })
    }
}

impl Successor {
    fn refuse(&self, why: &str) {
        // Where it does not hear it, it sees that nobody is there any more.
        let _ = self.channel.send(&Message::Refused { why: why.to_owned() }, &[]);
    }

    /// Tells it that the server ends, and with it all that was to be handed over.
    pub(crate) fn dismiss(self) {
        self.refuse("it was told to end");
    }

    /// Tells it that nothing comes of it, and why; returns that.
    pub(crate) fn sent_away(&self, why: &str) -> String {
        self.refuse(why);
        why.to_owned()
    }

    /// Gives it everything, and waits until it serves.
    ///
    /// # Errors
    /// In words. It has ended then, and had not begun.
    pub(crate) fn give(&self, estate: &Estate, placement: &Placement) -> Result<(), String> {
        let given = estate.send(&self.channel, placement).map_err(|error| error.to_string());
        let given = given.and_then(|()| self.await_serving());
        if given.is_ok() {
            return Ok(());
        }
        // It may say that it serves at the last moment, and is not to be ended then.
        if self.serves_yet() {
            return Ok(());
        }
        if !has_ended(&self.process, Duration::ZERO) {
            tracing::warn!(pid = self.pid, "the successor does not end by itself: killed");
            // Fails only where it has ended by now.
            let _ = pidfd_send_signal(&self.process, Signal::KILL);
            has_ended(&self.process, ENDING);
        }
        given
    }

    /// Waits for the end of a successor that has failed, for some seconds; `true` where it says
    /// that it serves after all.
    fn serves_yet(&self) -> bool {
        let until = Instant::now() + ENDING;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.channel.receive(Some(left), Some(self.process.as_fd())) {
                Ok(Received::Message(Message::Serving, _)) => return true,
                Ok(Received::Message(..)) => {}
                Ok(Received::Ended) => {
                    has_ended(&self.process, until.saturating_duration_since(Instant::now()));
                    return false;
                }
                Ok(Received::Nothing | Received::Called) | Err(_) => return false,
            }
        }
    }

    fn await_serving(&self) -> Result<(), String> {
        loop {
            match self.channel.receive(Some(heart::PATIENCE), None) {
                Ok(Received::Message(Message::Alive, _)) => {}
                Ok(Received::Message(Message::Serving, _)) => return Ok(()),
                Ok(Received::Message(Message::Declined { why }, _)) => return Err(why),
                Ok(Received::Message(message, _)) => return Err(format!("it says {message:?}")),
                Ok(Received::Ended) => return Err("it has ended".to_owned()),
                Ok(Received::Nothing | Received::Called) => {
                    let waited = heart::PATIENCE.as_secs();
                    return Err(format!("it has given no sign of life for {waited} s"));
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// Whether a process ends within this time.
fn has_ended(process: &OwnedFd, patience: Duration) -> bool {
    let mut polled = [PollFd::new(process, PollFlags::IN)];
    let timeout = patience.try_into().ok();
    poll(&mut polled, timeout.as_ref()).is_ok_and(|ready| ready > 0)
}

/// The control group of a process, by which a service manager knows whose it is.
fn group_of(process: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{process}/cgroup")).ok()
}
