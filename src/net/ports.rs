//! Which connections are another protocol's, and the translator that a core has for them.

use sutra_runtime::ListenerId;

use crate::handshake;
use crate::translator::Translator;

/// Which protocol a connection speaks, by the port that it came from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Ports {
    #[default]
    Native,
    /// From this listener's number on the translator's.
    TranslatedFrom(ListenerId),
    /// Either, as its first bytes tell.
    Either,
}

impl Ports {
    /// Whether connections from this listener are the translator's.
    pub(crate) fn are_translated(self, listener: ListenerId) -> bool {
        matches!(self, Self::TranslatedFrom(first) if listener.0 >= first.0)
    }

    /// Whether a connection is the translator's that was to say Hello and begins with these bytes.
    pub(crate) fn are_translated_from(self, bytes: &[u8]) -> bool {
        self == Self::Either && handshake::is_other_protocol(bytes)
    }
}

/// A core's translator, and the ports that it is for.
#[derive(Default)]
pub(crate) struct Translation {
    ports: Ports,
    /// `None` where there is none, and while it is at work.
    translator: Option<Box<dyn Translator>>,
}

impl Translation {
    pub(crate) fn new(translator: Box<dyn Translator>, ports: Ports) -> Self {
        Self { ports, translator: Some(translator) }
    }

    pub(crate) fn ports(&self) -> Ports {
        self.ports
    }

    pub(crate) fn translator(&mut self) -> Option<&mut Box<dyn Translator>> {
        self.translator.as_mut()
    }

    /// Lends the translator out, to be put back.
    pub(crate) fn take(&mut self) -> Option<Box<dyn Translator>> {
        self.translator.take()
    }

    pub(crate) fn put_back(&mut self, translator: Box<dyn Translator>) {
        self.translator = Some(translator);
    }
}
