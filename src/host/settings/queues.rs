//! The queues of network cards: how many, and which CPUs take packets from them and give packets to
//! them.

use crate::facts::cpus::{mask, of_mask};
use crate::facts::nics::Nic;
use crate::host::Host;
use crate::setting::{Group, Live, Look, Setting, Severity, Tuning, where_there};
use crate::settings::irq::near;
use crate::sys::steers_by_tuple;

const FLOWS: &str = "/proc/sys/net/core/rps_sock_flow_entries";
/// Flows that RFS remembers: what the kernel's documentation proposes for a busy server.
const FLOW_ENTRIES: usize = 32_768;

const NO_CARD: &str = "no network card is known here";

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "nic-queues",
        group: Group::Network,
        why: "A card spreads connections over its receive queues, each with a CPU of its own. \
              With one queue one CPU takes in everything.",
        effect: "The server's core on that CPU has what is left of it, and the host no more \
                 packets than one CPU takes in.",
        source: "Linux, Documentation/networking/scaling.rst, RSS",
        look: enough_queues,
        tuning: None,
    },
    Setting {
        name: "rps",
        group: Group::Network,
        why: "Receive Packet Steering spreads the packets of a queue over CPUs in software, for \
              cards with fewer queues than there are CPUs. With a queue for each CPU it is work \
              for nothing.",
        effect: "The CPU that is interrupted has less to do. Packets that are moved cost an \
                 interrupt between CPUs.",
        source: "Linux, Documentation/networking/scaling.rst, RPS",
        look: packet_steering,
        tuning: Tuning::at_a_cost(
            steer_packets,
            "an interrupt between CPUs for the packets that are moved",
        ),
    },
    Setting {
        name: "rfs",
        group: Group::Network,
        why: "Receive Flow Steering brings a connection's packets to the CPU whose thread reads \
              them. Each connection of the server belongs to one core, which stays on its CPU.",
        effect: "Packets are taken in where they are read, so they are in that CPU's caches. It \
                 works with rps only, and costs what that costs.",
        source: "Linux, Documentation/networking/scaling.rst, RFS",
        look: flow_steering,
        tuning: Tuning::at_a_cost(steer_flows, "the same as rps, which it needs"),
    },
    Setting {
        name: "xps",
        group: Group::Network,
        why: "Transmit Packet Steering gives each CPU a send queue of its own, so that cores do \
              not wait for each other to send.",
        effect: "Without it CPUs share the locks of send queues, and completions come to other \
                 CPUs than have sent.",
        source: "Linux, Documentation/networking/scaling.rst, XPS",
        look: send_steering,
        tuning: Tuning::unless_good(steer_sends),
    },
    Setting {
        name: "ntuple",
        group: Group::Network,
        why: "A card with ntuple filters can bring each connection to the queue of the CPU that \
              reads it, by itself (accelerated RFS).",
        effect: "What rfs does, without its interrupts between CPUs.",
        source: "Linux, Documentation/networking/scaling.rst, Accelerated RFS",
        look: filters,
        tuning: None,
    },
];

fn enough_queues(host: &Host) -> Look {
    let (cards, cores) = (host.nics(), host.cores());
    if cards.is_empty() {
        return Look::unknown(NO_CARD);
    }
    let told: Vec<String> =
        cards.iter().map(|nic| format!("{}: {}", nic.name, nic.receive.len())).collect();
    let few: Vec<&Nic> = cards.iter().filter(|nic| nic.receive.len() < cores).collect();
    let wanted = format!("a receive queue for each of the {cores} cores");
    match few.first() {
        None => Look::good(told.join(", "), wanted),
        Some(nic) => Look::wrong(
            Severity::Hint,
            told.join(", "),
            wanted,
            format!(
                "`ethtool -L {} combined {cores}`, as far as the card has them (`ethtool -l`; a \
                 virtual one may be given more by its host); else sutra tune rps rfs",
                nic.name
            ),
        ),
    }
}

/// The mask that a receive queue of this card is to have.
fn wanted_mask(host: &Host, nic: &Nic) -> String {
    let cpus = near(host, nic);
    if nic.receive.len() < cpus.len() { mask(&cpus) } else { "0".into() }
}

fn packet_steering(host: &Host) -> Look {
    let cards = host.nics();
    let mut told = Vec::new();
    let mut as_wanted = true;
    for nic in &cards {
        let wanted = wanted_mask(host, nic);
        for queue in &nic.receive {
            let Some(current) = host.root.text(nic.queue(queue, "rps_cpus")) else { continue };
            as_wanted &= of_mask(&current) == of_mask(&wanted);
            told.push(format!("{} {queue}: {current}", nic.name));
        }
    }
    if told.is_empty() {
        return Look::unknown("no card's queue has rps_cpus");
    }
    let wanted = "all near CPUs where there are fewer queues than CPUs, else none";
    match as_wanted {
        true => Look::good(told.join(", "), wanted),
        false => Look::wrong(Severity::Hint, told.join(", "), wanted, "sutra tune rps"),
    }
}

fn steer_packets(host: &Host) -> Vec<Live> {
    let mut live = Vec::new();
    for nic in host.nics() {
        let wanted = wanted_mask(host, &nic);
        for queue in &nic.receive {
            let file = nic.queue(queue, "rps_cpus");
            let is_so = host.root.text(&file).and_then(|mask| of_mask(&mask)) == of_mask(&wanted);
            live.extend(where_there(host, file, wanted.clone()).filter(|_| !is_so));
        }
    }
    live
}

/// Whether a card steers packets in software, without which RFS does nothing.
fn is_steered(host: &Host, nic: &Nic) -> bool {
    let masks = nic
        .receive
        .iter()
        .filter_map(|queue| of_mask(&host.root.text(nic.queue(queue, "rps_cpus"))?));
    masks.into_iter().any(|cpus| !cpus.is_empty())
}

fn flow_steering(host: &Host) -> Look {
    let Some(entries) = host.root.number::<usize>(FLOWS) else {
        return Look::unknown(format!("{FLOWS} is not there"));
    };
    let cards = host.nics();
    if cards.is_empty() {
        return Look::unknown(NO_CARD);
    }
    let is_of_use = |nic: &&Nic| is_steered(host, nic) || wanted_mask(host, nic) != "0";
    let steered: Vec<&Nic> = cards.iter().filter(is_of_use).collect();
    if steered.is_empty() {
        return Look::absent("no card steers packets in software, or has to (rps)");
    }
    let short = steered.iter().flat_map(|nic| nic.receive.iter().map(move |queue| (nic, queue)));
    let short = short.filter(|(nic, queue)| {
        host.root.number::<usize>(nic.queue(queue, "rps_flow_cnt")) == Some(0)
    });
    let short = short.count();
    let current = format!("{entries} flows, {short} queues without");
    let wanted = format!("{FLOW_ENTRIES} flows, shared by the queues");
    match entries >= FLOW_ENTRIES && short == 0 {
        true => Look::good(current, wanted),
        false => Look::wrong(Severity::Hint, current, wanted, "sutra tune rps rfs"),
    }
}

fn steer_flows(host: &Host) -> Vec<Live> {
    let few = host.root.number::<usize>(FLOWS).is_none_or(|entries| entries < FLOW_ENTRIES);
    let mut live: Vec<Live> =
        where_there(host, FLOWS, FLOW_ENTRIES.to_string()).filter(|_| few).into_iter().collect();
    for nic in host.nics() {
        let each = FLOW_ENTRIES / nic.receive.len().max(1);
        for queue in &nic.receive {
            live.extend(where_there(host, nic.queue(queue, "rps_flow_cnt"), each.to_string()));
        }
    }
    live
}

/// Each send queue of a card that has several, with the CPUs that it is to have.
fn send_masks(host: &Host, nic: &Nic) -> Vec<(String, String)> {
    let online = host.online().unwrap_or_default();
    let count = nic.send.len();
    if count < 2 || online.is_empty() {
        return Vec::new();
    }
    let of_queue = |at: usize| -> Vec<usize> {
        let places = online.iter().enumerate().filter(|(place, _)| place % count == at % count);
        places.map(|(_, cpu)| *cpu).collect()
    };
    let queues = nic.send.iter().enumerate();
    queues.map(|(at, queue)| (nic.queue(queue, "xps_cpus"), mask(&of_queue(at)))).collect()
}

fn send_steering(host: &Host) -> Look {
    let cards = host.nics();
    if cards.is_empty() {
        return Look::unknown(NO_CARD);
    }
    if cards.iter().all(|nic| nic.send.len() < 2) {
        return Look::absent("every card has one send queue");
    }
    let masks: Vec<_> = cards.iter().flat_map(|nic| send_masks(host, nic)).collect();
    let current: Vec<_> = masks.iter().map(|(file, _)| host.root.text(file)).collect();
    let Some(current) = current.into_iter().collect::<Option<Vec<String>>>() else {
        return Look::unknown("the send queues do not tell their CPUs");
    };
    let none = current.iter().filter(|mask| of_mask(mask).is_none_or(|cpus| cpus.is_empty()));
    let none = none.count();
    let told = format!("{} send queues, {none} of them without CPUs", masks.len());
    let wanted = "every send queue with CPUs of its own";
    match none {
        0 => Look::good(told, wanted),
        _ => Look::wrong(Severity::Hint, told, wanted, "sutra tune xps"),
    }
}

fn steer_sends(host: &Host) -> Vec<Live> {
    let masks = host.nics().into_iter().flat_map(|nic| send_masks(host, &nic));
    let as_is = |file: &str, wanted: &str| {
        host.root.text(file).and_then(|mask| of_mask(&mask)) == of_mask(wanted)
    };
    let changed = masks.filter(|(file, wanted)| !as_is(file, wanted));
    changed.filter_map(|(file, wanted)| where_there(host, file, wanted)).collect()
}

fn filters(host: &Host) -> Look {
    let cards: Vec<Nic> = host.nics().into_iter().filter(|nic| nic.receive.len() > 1).collect();
    if host.nics().is_empty() {
        return Look::unknown(NO_CARD);
    }
    if cards.is_empty() {
        return Look::absent("every card has one receive queue");
    }
    if !host.root.is_here() {
        return Look::unknown("cards are asked on this host only, not below --root");
    }
    let mut told = Vec::new();
    let mut off = Vec::new();
    for nic in &cards {
        match steers_by_tuple(&nic.name) {
            Ok(true) => told.push(format!("{}: on", nic.name)),
            Ok(false) => {
                told.push(format!("{}: off", nic.name));
                off.push(nic.name.clone());
            }
            Err(error) => return Look::unknown(format!("{}: {error}", nic.name)),
        }
    }
    match off.first() {
        None => Look::good(told.join(", "), "on"),
        Some(name) => Look::wrong(
            Severity::Hint,
            told.join(", "),
            "on, where the card has it",
            format!("`ethtool -K {name} ntuple on`, then sutra tune rfs"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    /// A card with so many queues each way, on a host of four CPUs.
    fn card(queues: usize, rps: &str, xps: &str) -> Sample {
        let sample = Sample::new(&[
            ("/sys/devices/system/cpu/online", "0-3\n"),
            ("/proc/self/status", "Cpus_allowed_list:\t0-3\n"),
            ("/sys/class/net/eth0/operstate", "up\n"),
            ("/sys/class/net/eth0/device/numa_node", "-1\n"),
            (FLOWS, "0\n"),
        ]);
        for queue in 0..queues {
            let file = |rest: &str| format!("/sys/class/net/eth0/queues/{rest}");
            sample.write(&file(&format!("rx-{queue}/rps_cpus")), rps);
            sample.write(&file(&format!("rx-{queue}/rps_flow_cnt")), "0\n");
            sample.write(&file(&format!("tx-{queue}/xps_cpus")), xps);
        }
        sample
    }

    fn told(live: &[Live]) -> Vec<(&str, &str)> {
        live.iter()
            .map(|live| (live.file.rsplit("queues/").next().unwrap_or(""), live.wanted.as_str()))
            .collect()
    }

    #[test]
    fn one_queue_for_four_cpus_is_spread_in_software_if_one_likes() {
        let sample = card(1, "0\n", "0\n");
        let host = host(sample.root());
        assert_eq!(enough_queues(&host).state, State::Wrong(Severity::Hint));
        assert_eq!(packet_steering(&host).state, State::Wrong(Severity::Hint));
        assert_eq!(told(&steer_packets(&host)), [("rx-0/rps_cpus", "f")]);
        assert_eq!(
            (flow_steering(&host).state, send_steering(&host).state),
            (State::Wrong(Severity::Hint), State::Absent)
        );
        assert_eq!(filters(&host).state, State::Absent);
        sample.write("/sys/class/net/eth0/queues/rx-0/rps_cpus", "0000000f\n");
        assert_eq!(packet_steering(&host).state, State::Good);
        assert_eq!(flow_steering(&host).state, State::Wrong(Severity::Hint));
        assert_eq!(told(&steer_flows(&host)), [(FLOWS, "32768"), ("rx-0/rps_flow_cnt", "32768")]);
    }

    #[test]
    fn a_queue_for_each_cpu_needs_no_steering_but_of_what_is_sent() {
        let sample = card(4, "f\n", "0\n");
        let host = host(sample.root());
        assert_eq!(enough_queues(&host).state, State::Good);
        assert_eq!(packet_steering(&host).state, State::Wrong(Severity::Hint));
        assert_eq!(steer_packets(&host).len(), 4);
        sample.write("/sys/class/net/eth0/queues/rx-0/rps_cpus", "0\n");
        assert_eq!(steer_packets(&host).len(), 3);
        assert_eq!(send_steering(&host).state, State::Wrong(Severity::Hint));
        let masks: Vec<_> = steer_sends(&host).into_iter().map(|live| live.wanted).collect();
        assert_eq!(masks, ["1", "2", "4", "8"]);
        assert_eq!(filters(&host).state, State::Unknown, "a card elsewhere can't be asked");
    }

    #[test]
    fn a_host_without_cards_is_not_known() {
        let host = host(Sample::new(&[]).root());
        for look in [enough_queues, packet_steering, flow_steering, send_steering, filters] {
            assert_eq!(look(&host).state, State::Unknown);
        }
    }
}
