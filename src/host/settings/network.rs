//! What the kernel keeps of connections before the server takes them, and whether it busy-polls.

use crate::host::Host;
use crate::setting::{Group, Live, Look, Setting, Severity, Tuning, where_there};

const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";
const SYN_BACKLOG: &str = "/proc/sys/net/ipv4/tcp_max_syn_backlog";
const SYN_COOKIES: &str = "/proc/sys/net/ipv4/tcp_syncookies";

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "somaxconn",
        group: Group::Network,
        why: "Connections that the server has not taken yet wait in its listener's queue, which \
              is no longer than this. A restart brings all clients back at once.",
        effect: "1,000 clients that came back at once, to a server that took none for 0.3 s, were \
                 connected after 0.09 s with 4096, and after 1.2 s with 128.",
        source: "measured over the loopback of a 2-core virtual EPYC; listen(2)",
        look: accept_queue,
        tuning: Tuning::unless_good(long_accept_queue),
    },
    Setting {
        name: "syn-backlog",
        group: Group::Network,
        why: "Handshakes that are not finished wait for their end. So many may wait where the \
              kernel makes no SYN cookies.",
        effect: "Near it a handshake is dropped, and its client tries again after 1 s. With SYN \
                 cookies, the default, the kernel goes by the listener's queue instead.",
        source: "tcp(7), tcp_max_syn_backlog; Linux, net/ipv4/tcp_input.c, tcp_conn_request",
        look: syn_queue,
        tuning: Tuning::unless_good(long_syn_queue),
    },
    Setting {
        name: "busy-poll",
        group: Group::Network,
        why: "net.core.busy_poll and busy_read let select, poll, epoll and blocking receives ask \
              the card instead of waiting for its interrupt. The server receives through \
              io_uring, which busy-polls only where a ring has registered for it, and ours have \
              not.",
        effect: "It has no effect on the server. Other programs that poll keep CPUs busy for so \
                 many µs each time. `sutra serve --spin` is the server's own way.",
        source: "Linux, Documentation/networking/napi.rst, Busy polling; io_uring/napi.c",
        look: busy_poll,
        tuning: None,
    },
];

/// A counter of `/proc/net/netstat`.
fn counter(host: &Host, wanted: &str) -> Option<u64> {
    let text = host.root.text("/proc/net/netstat")?;
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|name| name == wanted)?;
    values.split(' ').nth(at)?.parse().ok()
}

/// A setting of the kernel that is to hold what a listener of the server asks for.
fn at_least(host: &Host, file: &str, severity: Severity, remedy: &str) -> Look {
    let Some(current) = host.root.number::<u64>(file) else {
        return Look::unknown(format!("{file} is not there"));
    };
    let wanted = format!("{} or more", host.needs.backlog);
    match current >= host.needs.backlog {
        true => Look::good(current.to_string(), wanted),
        false => Look::wrong(severity, current.to_string(), wanted, remedy),
    }
}

fn accept_queue(host: &Host) -> Look {
    let look = at_least(host, SOMAXCONN, Severity::Warning, "sutra tune somaxconn");
    match counter(host, "ListenDrops") {
        Some(drops) => look.measured(format!("{drops} connections were turned away since boot")),
        None => look,
    }
}

fn long_accept_queue(host: &Host) -> Vec<Live> {
    raised(host, SOMAXCONN)
}

fn syn_queue(host: &Host) -> Look {
    let severity = match host.root.text(SYN_COOKIES).as_deref() {
        Some("0") => Severity::Warning,
        _ => Severity::Hint,
    };
    let look = at_least(host, SYN_BACKLOG, severity, "sutra tune syn-backlog");
    match counter(host, "TCPReqQFullDrop").zip(counter(host, "TCPReqQFullDoCookies")) {
        Some((dropped, cookies)) => look.measured(format!(
            "{dropped} handshakes were dropped and {cookies} got cookies since boot"
        )),
        None => look,
    }
}

fn long_syn_queue(host: &Host) -> Vec<Live> {
    raised(host, SYN_BACKLOG)
}

/// The value that the server asks for; a higher one stays.
fn raised(host: &Host, file: &str) -> Vec<Live> {
    let is_enough =
        host.root.number::<u64>(file).is_some_and(|current| current >= host.needs.backlog);
    let live = where_there(host, file, host.needs.backlog.to_string());
    live.filter(|_| !is_enough).into_iter().collect()
}

fn busy_poll(host: &Host) -> Look {
    let value = |name: &str| host.root.number::<u64>(format!("/proc/sys/net/core/{name}"));
    let (Some(poll), Some(read)) = (value("busy_poll"), value("busy_read")) else {
        return Look::unknown("/proc/sys/net/core/busy_poll is not there");
    };
    let current = format!("busy_poll {poll} µs, busy_read {read} µs");
    match poll + read {
        0 => Look::good(current, "0"),
        _ => Look::wrong(
            Severity::Hint,
            current,
            "0, unless another program needs it",
            "`sysctl net.core.busy_poll=0 net.core.busy_read=0`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    #[test]
    fn a_short_queue_is_a_warning_and_a_long_one_is_left_alone() {
        let sample = Sample::new(&[(SOMAXCONN, "128\n"), (SYN_BACKLOG, "8192\n")]);
        let host = host(sample.root());
        let look = accept_queue(&host);
        assert_eq!((look.state, look.current.as_str()), (State::Wrong(Severity::Warning), "128"));
        let live = long_accept_queue(&host);
        assert_eq!(live, [Live { file: SOMAXCONN.into(), wanted: "4096".into() }]);
        assert_eq!((syn_queue(&host).state, long_syn_queue(&host)), (State::Good, vec![]));
        sample.write(SYN_BACKLOG, "512\n");
        assert_eq!(syn_queue(&host).state, State::Wrong(Severity::Hint));
        sample.write(SYN_COOKIES, "0\n");
        assert_eq!(syn_queue(&host).state, State::Wrong(Severity::Warning));
    }

    #[test]
    fn what_was_turned_away_is_counted() {
        let sample = Sample::new(&[
            (SOMAXCONN, "4096\n"),
            (SYN_BACKLOG, "4096\n"),
            (
                "/proc/net/netstat",
                "TcpExt: SyncookiesSent ListenDrops TCPReqQFullDoCookies TCPReqQFullDrop\n\
                 TcpExt: 0 12 3 4\nIpExt: InNoRoutes\nIpExt: 0\n",
            ),
        ]);
        let host = host(sample.root());
        assert_eq!(accept_queue(&host).measured, "12 connections were turned away since boot");
        let measured = syn_queue(&host).measured;
        assert_eq!(measured, "4 handshakes were dropped and 3 got cookies since boot");
    }

    #[test]
    fn busy_polling_for_nothing_is_a_hint() {
        let at = |poll: &str| {
            let files =
                [("/proc/sys/net/core/busy_poll", poll), ("/proc/sys/net/core/busy_read", "0")];
            busy_poll(&host(Sample::new(&files).root())).state
        };
        assert_eq!((at("0\n"), at("50\n")), (State::Good, State::Wrong(Severity::Hint)));
        assert_eq!(busy_poll(&host(Sample::new(&[]).root())).state, State::Unknown);
    }
}
