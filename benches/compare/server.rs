//! A contender's process, kept while all contenders are measured in turn.

use super::contenders::Contender;
use super::record::Described;
use super::setup::Setup;
use crate::Outcome;
use crate::process::Running;

/// A contender with its process, or why there is none. It is frozen outside its turn, so that it
/// takes no time from the others.
pub(crate) struct Server {
    contender: &'static Contender,
    version: Option<String>,
    running: Result<Running, String>,
}

impl Server {
    /// Starts it, fills it if it keeps records, and freezes it. One that can't be started is noted
    /// as missing, which is no error.
    pub(crate) fn start(
        contender: &'static Contender,
        setup: &Setup,
        fill: impl FnOnce(&Running) -> Outcome,
    ) -> Self {
        let version = match contender.version() {
            Ok(version) => version,
            Err(missing) => {
                return Self { contender, version: None, running: Err(missing.to_string()) };
            }
        };
        let running = contender.start(setup.server_cpu, setup.query_bytes).and_then(|running| {
            fill(&running)?;
            running.freeze()?;
            Ok(running)
        });
        Self { contender, version, running: running.map_err(|error| error.to_string()) }
    }

    /// Starts it anew with nothing but what fills it, so that what earlier rounds have written
    /// slows no later one. Two processes of one program can differ (in where their memory lies,
    /// say), and that then shows in the spread.
    pub(crate) fn renew(&mut self, setup: &Setup, fill: impl FnOnce(&Running) -> Outcome) {
        if self.is_there() {
            // The memory of the old process is given back before the new one asks for its own.
            self.running = Err("it is being started anew".into());
            *self = Self::start(self.contender, setup, fill);
        }
    }

    /// Lets it run while `turn` uses it.
    pub(crate) fn take_turn<T>(&mut self, turn: impl FnOnce(&Running) -> Outcome<T>) -> Outcome<T> {
        self.running.as_mut().map_err(|missing| missing.clone())?.take_turn(turn)
    }

    pub(crate) fn contender(&self) -> &'static Contender {
        self.contender
    }

    pub(crate) fn is_there(&self) -> bool {
        self.running.is_ok()
    }

    pub(crate) fn describe(&self) -> Described {
        let Contender { name, what, .. } = self.contender;
        let what = self
            .version
            .as_ref()
            .map_or_else(|| (*what).to_owned(), |version| format!("{what}; {version}"));
        Described::new(
            name,
            &what,
            &self.contender.settings(),
            self.running.as_ref().err().cloned(),
        )
    }
}
