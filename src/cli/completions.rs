//! `sutra completions`: a script by which a shell completes commands, flags and their values.

use clap::{Args, Command, ValueEnum};
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};
use serde_json::json;

use crate::exit::{Answer, Failure};
use crate::output::Output;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra completions bash\n\n\
    The package for Debian has them installed. Without it a shell reads them from a file: for bash \
    ~/.local/share/bash-completion/completions/sutra, for fish \
    ~/.config/fish/completions/sutra.fish, and for zsh a file _sutra in a folder of $fpath.")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells that Debian has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(
    completions: &Completions,
    mut definition: Command,
    output: Output,
) -> Result<Answer, Failure> {
    let (mut script, name) = (Vec::new(), definition.get_name().to_owned());
    match completions.shell {
        Shell::Bash => generate(Bash, &mut definition, name, &mut script),
        Shell::Zsh => generate(Zsh, &mut definition, name, &mut script),
        Shell::Fish => generate(Fish, &mut definition, name, &mut script),
    }
    let script = String::from_utf8_lossy(&script);
    output.answer(&json!({ "script": script }), || script.trim_end().to_owned())?;
    Ok(Answer::Yes)
}
