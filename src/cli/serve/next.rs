//! What to try next, as a server prints it.

use std::net::SocketAddr;

use crate::target::DEFAULT_SERVER;

/// Command lines that work where this one was typed.
pub(super) fn suggestions(address: SocketAddr, commands: &[(&str, &str)]) -> String {
    let program = program();
    let server = if address.to_string() == DEFAULT_SERVER {
        String::new()
    } else {
        format!(" --server {address}")
    };
    commands
        .iter()
        .map(|(command, words)| {
            format!(
                "\n  {}",
                format!("{program} {command} {words}").trim_end().to_owned() + &server
            )
        })
        .collect()
}

/// How this program was called: through cargo, or by a path.
fn program() -> String {
    if std::env::var_os("CARGO_MANIFEST_DIR").is_some() {
        return if cfg!(debug_assertions) {
            "cargo run --".into()
        } else {
            "cargo run --release --".into()
        };
    }
    std::env::args().next().unwrap_or_else(|| "sutra".into())
}

/// The text as a shell takes it for one word.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_name_the_server_where_it_is_not_the_default() {
        let with =
            |address: &str| suggestions(address.parse().expect("an address"), &[("query", "dog")]);
        assert!(with("127.0.0.1:50050").ends_with(" query dog"));
        assert!(with("127.0.0.1:7").ends_with(" query dog --server 127.0.0.1:7"));
    }

    #[test]
    fn names_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(["n02084071", "a b", "it's"].map(quoted), ["n02084071", "'a b'", "'it'\\''s'"]);
    }
}
