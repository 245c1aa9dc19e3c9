//! A client of the simulated server: it says Hello, sends requests ahead, reads what comes, and may
//! be rude.

use std::collections::BTreeMap;

use sutra_runtime::{ConnectionId, Simulation};
use sutra_wire::{
    ClientHello, FrameBuffer, Header, NO_CORE, Opcode, Parsed, Status, encode_archive, limits,
};

use crate::model::Number;
use crate::old::Shape;
use crate::operation::Operation;
use crate::plan::Plan;
use crate::random::Random;
use crate::reply::{Reply, read};

/// A request that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    pub(crate) number: Number,
    pub(crate) operation: Operation,
    /// The moment at which it was sent.
    pub(crate) began: u64,
    /// Whether an old client has asked.
    is_old: bool,
    /// The pages that have come.
    pages: Option<Reply>,
}

impl InFlight {
    /// What was asked for, as it is counted.
    pub(crate) fn name(&self) -> String {
        let name = self.operation.opcode().name();
        if self.is_old { format!("old {name}") } else { name.to_owned() }
    }
}

/// A client, with its connection where it has one.
#[derive(Debug, Default)]
pub(crate) struct Client {
    connection: Option<ConnectionId>,
    /// How it speaks the old protocol, where it does.
    old: Option<Shape>,
    is_greeted: bool,
    /// Frames that are not sent to the end.
    unsent: Vec<u8>,
    /// Bytes of a frame that has not come whole.
    inbox: Vec<u8>,
    in_flight: BTreeMap<u64, InFlight>,
    next_request: u64,
}

/// What reading has brought.
pub(crate) enum Heard {
    Nothing,
    Answers(Vec<(InFlight, Reply)>),
    /// The connection is over; of these nobody knows what became.
    Over(Vec<InFlight>),
}

impl Client {
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether it may ask, with so many requests under way at most.
    pub(crate) fn may_ask(&self, depth: usize) -> bool {
        self.is_greeted && self.in_flight.len() < depth
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = &InFlight> {
        self.in_flight.values()
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether something waits to be read.
    pub(crate) fn may_read(&self, world: &mut dyn Simulation) -> bool {
        self.connection.is_some_and(|connection| {
            let network = world.network();
            network.waiting(connection) > 0 || network.is_over(connection)
        })
    }

    /// Has a connection, on which it says Hello, or speaks the old protocol without a greeting.
    pub(crate) fn connected(
        &mut self,
        connection: ConnectionId,
        old: Option<Shape>,
        plan: &Plan,
        random: &mut Random,
    ) {
        if old.is_some() {
            *self =
                Client { connection: Some(connection), old, is_greeted: true, ..Client::default() };
            return;
        }
        let wanted = match random.one_in(4) {
            true => NO_CORE,
            false => random.below(plan.cores as u64) as u16,
        };
        let mut hello = FrameBuffer::new();
        let header = Header { opcode: Opcode::Hello as u8, ..Header::default() };
        encode_archive(&mut hello, header, &ClientHello::new(wanted));
        *self = Client {
            connection: Some(connection),
            unsent: hello.to_vec(),
            next_request: 1,
            ..Client::default()
        };
    }

    /// An operation as this client can ask for it.
    pub(crate) fn adapt(&self, plan: &Plan, operation: Operation) -> Operation {
        match self.old {
            Some(shape) => shape.adapt(plan, operation),
            None => operation,
        }
    }

    /// Words a request that was adapted, to be sent.
    pub(crate) fn ask(&mut self, plan: &Plan, number: Number, operation: Operation, began: u64) {
        let request = self.next_request;
        self.next_request += 1;
        match self.old {
            Some(shape) => self.unsent.extend_from_slice(&shape.message(plan, &operation)),
            None => self.unsent.extend_from_slice(&operation.frame(plan, request, 0)),
        }
        let is_old = self.old.is_some();
        let asked = InFlight { number, operation, began, is_old, pages: None };
        self.in_flight.insert(request, asked);
    }

    /// Sends so many bytes of what is unsent.
    pub(crate) fn send(&mut self, world: &mut dyn Simulation, bytes: usize) {
        let Some(connection) = self.connection else { return };
        let bytes = bytes.min(self.unsent.len());
        let sent: Vec<u8> = self.unsent.drain(..bytes).collect();
        world.network().send(connection, &sent);
    }

    pub(crate) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Leaves, with or without a word; of what was under way nobody knows what became.
    pub(crate) fn leave(&mut self, world: &mut dyn Simulation, is_rude: bool) -> Vec<InFlight> {
        if let Some(connection) = self.connection {
            match is_rude {
                true => world.network().reset(connection),
                false => world.network().finish(connection),
            }
        }
        self.forget()
    }

    /// The server is gone.
    pub(crate) fn forget(&mut self) -> Vec<InFlight> {
        std::mem::take(self).in_flight.into_values().collect()
    }

    /// Reads at most so many bytes.
    ///
    /// # Errors
    /// What came is no reply to anything that was asked.
    pub(crate) fn read(
        &mut self,
        world: &mut dyn Simulation,
        plan: &Plan,
        most: usize,
        mut note: impl FnMut(&Header, &[u8]),
    ) -> Result<Heard, String> {
        let Some(connection) = self.connection else { return Ok(Heard::Nothing) };
        let bytes = world.network().receive(connection, most);
        if bytes.is_empty() && world.network().is_over(connection) {
            return Ok(Heard::Over(self.forget()));
        }
        self.inbox.extend_from_slice(&bytes);
        let inbox = std::mem::take(&mut self.inbox);
        let (mut at, mut answers) = (0, Vec::new());
        while let Some(shape) = self.old {
            let Some((message, length)) = Shape::split(&inbox[at..]) else { break };
            at += length;
            // Replies come in the order of the requests.
            let Some((request, asked)) = self.in_flight.pop_first() else {
                return Err("a reply came to an old client that has asked for nothing".to_owned());
            };
            let opcode = asked.operation.opcode() as u8;
            note(&Header { opcode, ..Header::default() }, message);
            match shape.read(plan, &asked.operation, message)? {
                // The request has not come whole; its connection is closed now.
                Reply::Refused(_, message) if message.contains("did not arrive") => {
                    self.in_flight.insert(request, asked);
                }
                reply => answers.push((asked, reply)),
            }
        }
        while self.old.is_none() {
            let parsed = sutra_wire::parse(&inbox[at..], limits::MAX_PAYLOAD)
                .map_err(|error| format!("the server sent what is no frame: {error}"))?;
            let Parsed::Frame(frame, length) = parsed else { break };
            at += length;
            note(&frame.header, frame.payload);
            if frame.header.opcode == Opcode::Hello as u8 {
                self.is_greeted = frame.header.status == 0;
                continue;
            }
            answers.extend(self.answered(plan, &frame.header, frame.payload)?);
        }
        self.inbox = inbox[at..].to_vec();
        Ok(if answers.is_empty() { Heard::Nothing } else { Heard::Answers(answers) })
    }

    /// A frame came: the answer, where it is whole with it. Where another page is to come, it is
    /// asked for.
    fn answered(
        &mut self,
        plan: &Plan,
        header: &Header,
        payload: &[u8],
    ) -> Result<Option<(InFlight, Reply)>, String> {
        let Some(mut asked) = self.in_flight.remove(&header.request) else {
            return self.told(header, payload).map(|()| None);
        };
        let page = read(asked.operation.opcode(), header, payload)?;
        match &mut asked.pages {
            None => asked.pages = Some(page.reply),
            Some(pages) => pages.append(page.reply),
        }
        if page.cursor == 0 {
            let reply = asked.pages.take().expect("a page was just put there");
            return Ok(Some((asked, reply)));
        }
        let request = self.next_request;
        self.next_request += 1;
        self.unsent.extend_from_slice(&asked.operation.frame(plan, request, page.cursor));
        self.in_flight.insert(request, asked);
        Ok(None)
    }

    /// Something came that answers nothing: the server may say why it closes the connection.
    fn told(&self, header: &Header, payload: &[u8]) -> Result<(), String> {
        let opcode = Opcode::from_number(header.opcode).unwrap_or(Opcode::Hello);
        let as_reply = Header { opcode: opcode as u8, ..*header };
        let told = read(opcode, &as_reply, payload)?.reply;
        match &told {
            // Where it had waited for the rest of a frame, or of Hello.
            Reply::Refused(Status::Malformed, message)
                if header.request == 0 && message.contains("did not arrive") =>
            {
                Ok(())
            }
            _ => Err(format!(
                "an answer came to request {}, which is not under way: {told}",
                header.request
            )),
        }
    }
}
