//! The examples that `--help` of each command prints.

use super::shell::Session;
use crate::support::run;

/// The help of a command.
fn help(command: &[String]) -> String {
    let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
    String::from_utf8(run(&words).stdout).unwrap()
}

/// The commands below one, itself first.
fn commands(command: Vec<String>) -> Vec<Vec<String>> {
    let text = help(&command);
    let listed = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    let below: Vec<Vec<String>> =
        names.flat_map(|name| commands([command.as_slice(), &[name.into()]].concat())).collect();
    [vec![command], below].concat()
}

/// The examples in a command's help.
fn examples(command: &[String]) -> Vec<String> {
    let text = help(command);
    let after = text.lines().skip_while(|line| !["Example:", "Examples:"].contains(line)).skip(1);
    let examples: Vec<String> = after
        .take_while(|line| line.starts_with("  "))
        .map(|line| line.trim_start().to_owned())
        .collect();
    assert!(!examples.is_empty(), "sutra {}: --help gives no example", command.join(" "));
    examples
}

/// Runs the examples of these commands, in order.
fn run_all(session: &mut Session, commands: &[Vec<String>]) {
    for command in commands {
        for example in examples(command) {
            eprintln!("{example}");
            assert!(example.starts_with("sutra "), "{example:?} is no command line");
            session.command(&example);
        }
    }
}

#[test]
fn the_examples_of_each_commands_help_run_in_order() {
    let all = commands(Vec::new());
    let (grid, storage): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|command| command.first().is_some_and(|first| first == "grid"));
    assert!(storage.len() > 12 && grid.len() > 8, "{storage:?} {grid:?}");
    run_all(&mut Session::new(), &storage);
    run_all(&mut Session::new(), &grid);
}
