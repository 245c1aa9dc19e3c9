//! A grid's agents, as its master sees them: they register, and send heartbeats.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpListener;

use sutra_wire::grid::{
    AgentHeartbeat, AgentRegistered, AgentRegistration, AgentReport, HeartbeatAck,
};
use sutra_wire::{Checked, FrameBuffer, Header, Opcode, encode_archive};

use crate::workload::{expect_bare_ok, expect_ok};
use crate::{Reply, Routes, Workload};

/// The name of the agent with this number: as long as the old documentation's `agent-001`, and
/// longer from number 1,000 on.
fn name(number: u64, into: &mut String) {
    into.clear();
    write!(into, "agent-{number:03}").expect("writing to a string can't fail");
}

/// Registers agents, each once.
#[derive(Debug)]
pub struct RegisterAgents {
    next: u64,
    count: u64,
    registration: AgentRegistration,
}

/// The old grid's error for a node that an agent does not have. The master asks a new agent back at
/// its endpoint, and any agent may answer it with this.
const NO_SUCH_NODE: &[u8] = b"\0\0\0\x10\x08\0\0\0\x04\0\0\0\0\0\0\0none";

/// Answers every question of a master until the process ends. Returns the address at which it
/// answers.
fn answering() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut length = [0; 4];
            let mut message = Vec::new();
            let read = stream.read_exact(&mut length).and_then(|()| {
                message.resize(u32::from_be_bytes(length).min(1 << 16) as usize, 0);
                stream.read_exact(&mut message)
            });
            // A master that hangs up needs no answer.
            let _ = read.and_then(|()| stream.write_all(NO_SUCH_NODE));
        }
    });
    Ok(address.to_string())
}

impl RegisterAgents {
    /// Agents numbered from 0, for which this process answers.
    ///
    /// # Errors
    /// The system gives no port to answer on.
    pub fn new(count: u64) -> io::Result<Self> {
        let registration = AgentRegistration {
            hostname: "bench".into(),
            platform: "linux".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            endpoint: answering()?,
            max_nodes: 8,
            ..AgentRegistration::default()
        };
        Ok(Self { next: 0, count, registration })
    }
}

impl Workload for RegisterAgents {
    fn name(&self) -> &'static str {
        "register"
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        if self.next == self.count {
            return None;
        }
        name(self.next, &mut self.registration.agent_id);
        self.next += 1;
        self.registration.incarnation = self.next;
        let header =
            Header { opcode: Opcode::RegisterAgent as u8, request: number, ..Header::default() };
        encode_archive(out, header, &self.registration);
        Some(0)
    }

    fn check(&mut self, _: u64, reply: &Reply<'_>) -> Result<(), String> {
        expect_ok(reply)?;
        Checked::<AgentRegistered>::new(reply.payload).map(drop).map_err(|error| error.to_string())
    }
}

/// Sends heartbeats of registered agents, one agent after the other. When the master asks an agent
/// for a report, the agent reports that it has no nodes.
#[derive(Debug)]
pub struct AgentHeartbeats {
    /// Heartbeats sent so far. A heartbeat's number modulo `count` is its agent.
    sent: u64,
    count: u64,
    heartbeat: AgentHeartbeat,
    /// Agents that the master has asked for a report, and that have not sent it.
    asked: Vec<u64>,
    reports: u64,
}

/// The tag of a report. The tag of a heartbeat is its number.
const REPORT: u64 = u64::MAX;
/// The most reports, on average for each agent, that a master may ask for. It may ask in the answer
/// to every heartbeat that is in flight when it first asks.
const REPORTS_EACH: u64 = 64;

impl AgentHeartbeats {
    /// Heartbeats of `count` agents that [`RegisterAgents`] has registered.
    pub fn new(count: u64) -> Self {
        let heartbeat = AgentHeartbeat::default();
        Self { sent: 0, count: count.max(1), heartbeat, asked: Vec::new(), reports: 0 }
    }
}

impl Workload for AgentHeartbeats {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn open(&mut self, _: &Routes) {}

    fn write(&mut self, _: usize, number: u64, out: &mut FrameBuffer) -> Option<u64> {
        if let Some(agent) = self.asked.pop() {
            let mut report = AgentReport { incarnation: agent + 1, ..AgentReport::default() };
            name(agent, &mut report.agent_id);
            let header =
                Header { opcode: Opcode::ReportNodes as u8, request: number, ..Header::default() };
            encode_archive(out, header, &report);
            return Some(REPORT);
        }
        let agent = self.sent % self.count;
        name(agent, &mut self.heartbeat.agent_id);
        self.heartbeat.incarnation = agent + 1;
        self.heartbeat.sent = self.sent;
        self.sent += 1;
        let header =
            Header { opcode: Opcode::AgentHeartbeat as u8, request: number, ..Header::default() };
        encode_archive(out, header, &self.heartbeat);
        Some(self.heartbeat.sent)
    }

    fn check(&mut self, sent: u64, reply: &Reply<'_>) -> Result<(), String> {
        if sent == REPORT {
            return expect_bare_ok(reply);
        }
        expect_ok(reply)?;
        let ack = Checked::<HeartbeatAck>::new(reply.payload).map_err(|error| error.to_string())?;
        if ack.sent.to_native() != sent {
            return Err("got the answer to another heartbeat".into());
        }
        if ack.wants_report {
            self.asked.push(sent % self.count);
            self.reports += 1;
        }
        if self.reports > self.count * REPORTS_EACH {
            Err("the master asks again for what was reported".into())
        } else {
            Ok(())
        }
    }
}
