//! `sutra man`: the manual pages, made from what `--help` says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use serde_json::json;

use crate::exit::{Answer, Failure};
use crate::output::Output;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra man man1\n\n\
    Read one with `man man1/sutra-serve.1`. The package for Debian has them installed: \
    `man sutra-serve`.")]
pub(crate) struct Man {
    /// A folder for the pages of all commands, made where it does not exist. Without it the page
    /// of sutra itself is printed
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// A manual page.
struct Page {
    /// Its file: sutra-grid-spawn.1.
    file: String,
    text: Vec<u8>,
}

pub(crate) fn run(man: &Man, definition: Command, output: Output) -> Result<Answer, Failure> {
    let mut definition = definition.disable_help_subcommand(true);
    definition.build();
    let mut pages = Vec::new();
    gather(&definition, &mut pages)?;
    let Some(folder) = &man.folder else {
        let text = String::from_utf8_lossy(&pages[0].text);
        output.answer(&json!({ "page": text }), || text.trim_end().to_owned())?;
        return Ok(Answer::Yes);
    };
    write(folder, &pages).map_err(|error| {
        Failure::Host(format!("cannot write manual pages to {}: {error}", folder.display()))
    })?;
    let value = json!({ "folder": folder, "pages": pages.len() });
    output
        .answer(&value, || format!("wrote {} manual pages to {}", pages.len(), folder.display()))?;
    Ok(Answer::Yes)
}

/// The page of a command, and those of the commands in it.
fn gather(command: &Command, pages: &mut Vec<Page>) -> io::Result<()> {
    let page = clap_mangen::Man::new(command.clone()).manual("Sutra");
    let mut text = Vec::new();
    page.render(&mut text)?;
    pages.push(Page { file: page.get_filename(), text });
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        gather(inner, pages)?;
    }
    Ok(())
}

fn write(folder: &Path, pages: &[Page]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for page in pages {
        fs::write(folder.join(&page.file), &page.text)?;
    }
    Ok(())
}
