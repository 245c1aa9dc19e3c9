//! Connections go on to another process, and come from one.

use socket2::SockRef;
use sutra_runtime::Core;

use super::Front;
use crate::envelope::Envelope;
use crate::passed::Passed;
use crate::passing::Step;
use crate::service::Service;

impl<S: Service> Front<S> {
    /// Whoever passes the server's connections on asks for this.
    pub(super) fn step(&mut self, core: &mut Core<Envelope<S::Message>>, step: Step) {
        match step {
            Step::Hold(told) => match self.service.objection() {
                // Unheard only where nobody waits for it any more.
                Some(why) => drop(told.send(Err(why))),
                None => self.io.hold(told),
            },
            Step::GoOn => self.io.go_on(),
            Step::Part(to) => self.io.part(core, to),
        }
    }

    /// Goes on with connections that another process has passed on. To be called before the core
    /// takes its first turn.
    pub fn take_in(&mut self, core: &mut Core<Envelope<S::Message>>, connections: Vec<Passed>) {
        for passed in connections {
            let (fd, state) = passed.into_parts();
            // One whose peer has reset it meanwhile has no address any more.
            let peer = SockRef::from(&fd).peer_addr().ok();
            let Some(peer) = peer.and_then(|peer| peer.as_socket()) else { continue };
            let Some(socket) = self.io.adopt(core, fd, peer) else { continue };
            if self.io.restore(core, socket, state) {
                self.greeted(core, socket, &[]);
            }
        }
        if self.io.connections() > 0 {
            self.io.keep_house(core);
        }
    }
}
