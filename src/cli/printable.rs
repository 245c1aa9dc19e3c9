//! Text that could steer or deceive the terminal that shows it is escaped. It may be stored, given
//! or another server's.

/// A text of several lines, escaped but for its line ends and tabs.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |c| c != '\n' && c != '\t')
}

/// A name on one line: line ends and tabs are escaped as well.
pub(crate) fn name(text: &str) -> String {
    escaped(text, |_| true)
}

/// Words for where it was looked for, where that is not the default.
pub(crate) fn in_namespace(namespace: &str) -> String {
    if namespace.is_empty() {
        String::new()
    } else {
        format!(" in the namespace {}", name(namespace))
    }
}

fn escaped(text: &str, also: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) && also(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character changes how the text around it is shown: control characters, those that turn
/// the direction of writing, and invisible ones. They are Unicode's categories Cc, Cf, Zl and Zp,
/// and the letters that it says to show as nothing.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\nd\u{9b}"), "a\\u{1b}[2Jb\tc\nd\\u{9b}");
        assert_eq!(name("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        for c in
            "\u{202e}\u{2066}\u{200b}\u{200d}\u{feff}\u{61c}\u{2028}\u{e0041}\u{7f}\u{85}\u{ad}"
                .chars()
        {
            assert_eq!(printable(&format!("a{c}b")), format!("a{}b", c.escape_unicode()));
        }
        let plain = "naïve e\u{301} 犬 🐕\u{fe0f} עברית ภาษา \u{a0}";
        assert_eq!(name(plain), plain);
    }
}
