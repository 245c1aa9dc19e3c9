//! Huge pages, and whether what is in memory stays there.

use crate::host::Host;
use crate::setting::{Group, Live, Look, Setting, Severity, Tuning, where_there};

const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const SWAPPINESS: &str = "/proc/sys/vm/swappiness";
/// Up to this the kernel takes back cached files long before it swaps.
const MOST_SWAPPINESS: u64 = 10;

pub(crate) const ALL: &[Setting] = &[
    Setting {
        name: "huge-pages",
        group: Group::Memory,
        why: "The server asks for huge pages for its log segments, which madvise allows. never \
              refuses them, and always gives them to every program, which the kernel then pays \
              for with compaction at any time.",
        effect: "10,000 records read at random, 16 deep: 0.61 of an echo's rate with huge pages, \
                 0.52 without.",
        source: "src/runtime/README.md, measured on a 2-core virtual EPYC; Linux, \
                 Documentation/admin-guide/mm/transhuge.rst",
        look: huge_pages,
        tuning: Tuning::of(on_demand),
    },
    Setting {
        name: "swap",
        group: Group::Memory,
        why: "A shard is memory that is read at any time. What was swapped out is read from the \
              disk, and the core that needs it stands still meanwhile.",
        effect: "While a page is swapped in the core answers nobody: as long as a read of the \
                 disk takes, for each page of 4 KiB.",
        source: "Linux, Documentation/admin-guide/mm/concepts.rst, Reclaim",
        look: swap,
        tuning: None,
    },
    Setting {
        name: "swappiness",
        group: Group::Memory,
        why: "How readily the kernel swaps out a program's memory instead of giving up cached \
              files. The server's memory is its data; it needs no cached files.",
        effect: "At 60, the default, cold records are swapped out on a host that copies large \
                 files, with memory to spare.",
        source: "Linux, Documentation/admin-guide/sysctl/vm.rst, swappiness",
        look: swappiness,
        tuning: Tuning::of(rarely),
    },
];

fn huge_pages(host: &Host) -> Look {
    let Some(current) = host.root.chosen(HUGE_PAGES) else {
        return Look::unknown(format!("{HUGE_PAGES} is not there"));
    };
    let wanted = "madvise";
    let severity = match current.as_str() {
        "madvise" => return Look::good(current, wanted),
        "always" => Severity::Hint,
        _ => Severity::Warning,
    };
    Look::wrong(severity, current, wanted, "sutra tune huge-pages")
}

fn on_demand(host: &Host) -> Vec<Live> {
    where_there(host, HUGE_PAGES, "madvise").into_iter().collect()
}

/// What the host swaps to, and how much of it is used, in KiB; `None` where it is not told.
fn swaps(host: &Host) -> Option<Vec<(String, u64)>> {
    let text = host.root.text("/proc/swaps")?;
    let swap = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.nth(2)?.parse().ok()?))
    };
    Some(text.lines().skip(1).filter_map(swap).collect())
}

/// Pages that were swapped in since boot.
fn swapped_in(host: &Host) -> String {
    let text = host.root.text("/proc/vmstat").unwrap_or_default();
    let pages = text.lines().find_map(|line| line.strip_prefix("pswpin "));
    pages.map_or(String::new(), |pages| format!("{pages} pages were swapped in since boot"))
}

fn swap(host: &Host) -> Look {
    let Some(swaps) = swaps(host) else {
        return Look::unknown("/proc/swaps is not there");
    };
    let wanted = "none";
    if swaps.is_empty() {
        return Look::good("none", wanted);
    }
    let told: Vec<String> =
        swaps.iter().map(|(name, used)| format!("{name}, {} MiB used", used >> 10)).collect();
    let remedy = "`swapoff -a`, and take its line out of /etc/fstab; or keep the server alone from \
                  it: systemd MemorySwapMax=0";
    Look::wrong(Severity::Hint, told.join("; "), wanted, remedy).measured(swapped_in(host))
}

fn swappiness(host: &Host) -> Look {
    let Some(current) = host.root.number::<u64>(SWAPPINESS) else {
        return Look::unknown(format!("{SWAPPINESS} is not there"));
    };
    if swaps(host).is_some_and(|swaps| swaps.is_empty()) {
        return Look::absent(format!("nothing to swap to (swappiness {current})"));
    }
    let wanted = format!("at most {MOST_SWAPPINESS}; tune sets 1");
    if current <= MOST_SWAPPINESS {
        return Look::good(current.to_string(), wanted);
    }
    Look::wrong(Severity::Warning, current.to_string(), wanted, "sutra tune swappiness")
        .measured(swapped_in(host))
}

fn rarely(host: &Host) -> Vec<Live> {
    where_there(host, SWAPPINESS, "1").into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;
    use crate::root::tests::Sample;
    use crate::setting::State;

    #[test]
    fn huge_pages_on_demand_are_wanted() {
        for (text, state) in [
            ("always [madvise] never\n", State::Good),
            ("[always] madvise never\n", State::Wrong(Severity::Hint)),
            ("always madvise [never]\n", State::Wrong(Severity::Warning)),
        ] {
            let sample = Sample::new(&[(HUGE_PAGES, text)]);
            assert_eq!(huge_pages(&host(sample.root())).state, state, "{text}");
        }
        let nowhere = host(Sample::new(&[]).root());
        let states = [huge_pages, swap, swappiness].map(|look| look(&nowhere).state);
        assert_eq!(states, [State::Unknown; 3]);
    }

    #[test]
    fn swappiness_matters_where_there_is_something_to_swap_to() {
        let none = "Filename Type Size Used Priority\n";
        let some = "Filename Type Size Used Priority\n/dev/sda2 partition 8388604 20480 -2\n";
        let at = |swaps: &str, swappiness_is: &str| {
            let files = [
                ("/proc/swaps", swaps),
                (SWAPPINESS, swappiness_is),
                ("/proc/vmstat", "pgpgin 5\npswpin 77\n"),
            ];
            let sample = Sample::new(&files);
            let host = host(sample.root());
            (swap(&host), swappiness(&host).state)
        };
        let (look, state) = at(some, "60\n");
        assert_eq!(
            (look.state, state),
            (State::Wrong(Severity::Hint), State::Wrong(Severity::Warning))
        );
        assert_eq!(look.current, "/dev/sda2, 20 MiB used");
        assert_eq!(look.measured, "77 pages were swapped in since boot");
        assert_eq!(at(some, "1\n").1, State::Good);
        let (look, state) = at(none, "60\n");
        assert_eq!((look.state, state), (State::Good, State::Absent));
    }
}
