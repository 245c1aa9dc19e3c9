//! What is installed, from `tuning/`: files of blocks, a block for each setting. Of each file only
//! the blocks of the settings that were chosen are installed, behind what stands above the first.

/// A file of blocks.
pub(crate) struct Template {
    /// Where it is installed.
    pub(crate) to: &'static str,
    text: &'static str,
}

/// A block begins with this, and the name of its setting.
const MARK: &str = "# setting: ";

/// All that is installed but for what runs at boot.
pub(crate) const TEMPLATES: [Template; 4] = [
    Template {
        to: "/etc/sysctl.d/90-sutra.conf",
        text: include_str!("../../../tuning/sysctl.d/90-sutra.conf"),
    },
    Template {
        to: "/etc/security/limits.d/90-sutra.conf",
        text: include_str!("../../../tuning/limits.d/90-sutra.conf"),
    },
    Template {
        to: "/etc/udev/rules.d/90-sutra.rules",
        text: include_str!("../../../tuning/udev/90-sutra.rules"),
    },
    Template {
        to: "/etc/tuned/sutra/tuned.conf",
        text: include_str!("../../../tuning/tuned/sutra/tuned.conf"),
    },
];

impl Template {
    /// What stands above the first block.
    fn head(&self) -> &'static str {
        self.text.split(MARK).next().unwrap_or_default()
    }

    /// The blocks, each with the name of its setting.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let blocks = self.text.split(MARK).skip(1);
        blocks.filter_map(|block| block.split_once('\n'))
    }

    /// The settings of these that it has blocks for.
    pub(crate) fn settings(&self, chosen: &[String]) -> Vec<String> {
        let names = self.blocks().map(|(name, _)| name.to_owned());
        names.filter(|name| chosen.contains(name)).collect()
    }

    /// What is installed for these settings; `None` where none has a block.
    pub(crate) fn rendered(&self, chosen: &[String]) -> Option<String> {
        let mut text = self.head().to_owned();
        let blocks: Vec<_> =
            self.blocks().filter(|(name, _)| chosen.iter().any(|one| one == name)).collect();
        for (name, block) in &blocks {
            text += &format!("{MARK}{name}\n{}\n\n", block.trim_end());
        }
        (!blocks.is_empty()).then(|| text.trim_end().to_owned() + "\n")
    }
}

/// Whether a setting has something to install.
pub(crate) fn has_block(setting: &str) -> bool {
    TEMPLATES.iter().any(|template| template.blocks().any(|(name, _)| name == setting))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::tests::NEEDS;
    use crate::table::table;

    /// The lines of a block that are no comments.
    fn values(template: &Template, setting: &str) -> Vec<(String, String)> {
        let (_, block) = template.blocks().find(|(name, _)| *name == setting).unwrap();
        let pairs = block.lines().filter(|line| !line.starts_with('#'));
        let pair = |line: &str| {
            let (key, value) = line.split_once('=')?;
            Some((key.trim_start_matches('-').trim().to_owned(), value.trim().to_owned()))
        };
        pairs.filter_map(pair).collect()
    }

    #[test]
    fn every_block_is_of_a_setting_that_can_be_tuned_and_says_why() {
        for template in &TEMPLATES {
            assert!(template.head().contains("sutra tune"), "{}", template.to);
            let names: Vec<_> = template.blocks().map(|(name, _)| name).collect();
            assert!(!names.is_empty(), "{}", template.to);
            for (name, block) in template.blocks() {
                let is_tuned =
                    |name: &str| table().iter().any(|one| one.name == name && one.tuning.is_some());
                assert!(is_tuned(name), "{}: {name}", template.to);
                assert!(block.starts_with('#'), "{}: {name} says why first", template.to);
            }
        }
    }

    #[test]
    fn only_the_blocks_that_were_chosen_are_installed() {
        let sysctl = &TEMPLATES[0];
        let one = sysctl.rendered(&["swappiness".into(), "governor".into()]).unwrap();
        assert!(one.contains("vm.swappiness = 1\n") && !one.contains("somaxconn"), "{one}");
        assert!(one.ends_with('\n') && !one.ends_with("\n\n"));
        assert_eq!(sysctl.rendered(&["governor".into()]), None);
        assert!(has_block("nofile") && !has_block("governor"));
    }

    /// What boots is what is set now: files and table name the same values.
    #[test]
    fn installed_values_are_those_that_are_set_at_once() {
        let sysctl = |setting: &str| values(&TEMPLATES[0], setting);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let backlog = NEEDS.backlog.to_string();
        assert_eq!(sysctl("somaxconn"), [pair("net.core.somaxconn", &backlog)]);
        assert_eq!(sysctl("syn-backlog"), [pair("net.ipv4.tcp_max_syn_backlog", &backlog)]);
        assert_eq!(sysctl("io-uring-disabled"), [pair("kernel.io_uring_disabled", "0")]);
        assert_eq!(sysctl("swappiness"), [pair("vm.swappiness", "1")]);
        assert_eq!(sysctl("numa-balancing"), [pair("kernel.numa_balancing", "0")]);
        assert_eq!(sysctl("rfs"), [pair("net.core.rps_sock_flow_entries", "32768")]);
        // tuned's own profile says the same of what it has.
        let tuned = values(&TEMPLATES[3], "tuned");
        for (setting, key) in [("somaxconn", "net.core.somaxconn"), ("swappiness", "vm.swappiness")]
        {
            assert!(tuned.contains(&sysctl(setting)[0]), "{key}");
        }
    }
}
