//! The unit that applies the settings at boot: those values of the kernel that no file of the
//! system's own sets.

use crate::tune::content::Content;
use crate::tune::state::Boot;

const UNIT: &str = include_str!("../../../tuning/boot/sutra-tune.service");

/// Where the unit is, and the link by which it is enabled, as `systemctl enable` makes it.
pub(super) const FILE: &str = "/etc/systemd/system/sutra-tune.service";
pub(super) const LINK: &str = "/etc/systemd/system/multi-user.target.wants/sutra-tune.service";

/// The unit for these settings.
pub(super) fn unit(boot: &Boot, settings: &[String]) -> Content {
    let text = UNIT
        .replace("@PROGRAM@", &quoted(&boot.program))
        .replace("@DATA@", &quoted(&boot.data))
        .replace("@SETTINGS@", &settings.join(" "));
    Content::installed(text)
}

/// The link to it.
pub(super) fn link() -> Content {
    Content::Link(FILE.into())
}

/// A word as systemd reads it (systemd.service(5), Command lines; systemd.unit(5), Specifiers).
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if word.chars().all(plain) {
        return word.into();
    }
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' | '$' => text.extend([c, c]),
            c => text.push(c),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_tune_with_the_settings_and_the_data_folder() {
        let boot = Boot { program: "/usr/bin/sutra".into(), data: "/srv/a b%".into() };
        let text = unit(&boot, &["governor".into(), "swappiness".into()]).shown();
        let text = text.unwrap_or_default();
        let line = "ExecStart=/usr/bin/sutra tune --data \"/srv/a b%%\" governor swappiness\n";
        assert!(text.contains(line), "{text}");
        assert!(!text.contains('@') && text.contains("WantedBy=multi-user.target"), "{text}");
    }
}
