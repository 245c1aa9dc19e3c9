//! `sutra top`: what a server does, on a screen that is drawn anew every second, or once as text.
//!
//! A thread asks the admin port (`poll.rs`), another one reads keys (`terminal.rs`). What they
//! bring comes through one channel to the loop here, which alone draws. So a server that does not
//! answer holds up no key.

mod draw;
mod interval;
mod plain;
mod poll;
mod sample;
mod state;
mod tables;
mod terminal;
mod theme;

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use signal_hook::consts::SIGINT;

use crate::admin_port::AdminPort;
use crate::exit::{Answer, Failure, SIGNALLED};
use crate::output::Output;
use crate::signals;
use crate::target::Admin;
use crate::values::some_duration;
use interval::Interval;
use poll::Polled;
use state::{Pressed, State};
use terminal::{Input, Screen};
use theme::Theme;

/// Samples are at least so far apart: the cores answer each of them.
const LEAST: Duration = Duration::from_millis(100);
/// How long an orderly end may take: it waits for the terminal, which may take nothing any more.
const END: Duration = Duration::from_secs(1);
/// How often the screen is drawn though nothing happens: it says how old its figures are.
const REDRAW: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra top --once\n\n\
    Keys: q, Esc or Ctrl-C end it, p pauses, Tab or Left and Right choose a list, \
    Up, Down, PgUp and PgDn move in it, ? shows help.")]
pub(crate) struct Top {
    /// How far apart two looks at the server are (1s, 500ms)
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1s",
        value_parser = every,
        allow_hyphen_values = true
    )]
    every: Duration,
    /// Print what happens between two looks as text, and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    admin: Admin,
}

fn every(text: &str) -> Result<Duration, String> {
    let every = some_duration(text)?;
    if every < LEAST { Err("it is too short; write 100ms or longer".into()) } else { Ok(every) }
}

/// What happens while the screen is there.
enum Happened {
    Polled(Box<Polled>),
    Input(Input),
    /// Somebody asks for the end.
    Signal(i32),
}

pub(crate) fn run(top: &Top, output: Output) -> Result<Answer, Failure> {
    if top.once {
        return once(top, output);
    }
    if output.is_json() {
        return Err(Failure::Usage(
            "sutra top draws a screen; for JSON add --once, which tells what happens between two \
             looks"
                .into(),
        ));
    }
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() || is_dumb {
        return Err(Failure::Usage(
            "sutra top draws a screen, and there is no terminal to draw on (or TERM does not say \
             which); --once prints as text what happens between two looks"
                .into(),
        ));
    }
    watch(top)
}

/// Looks twice, and tells what lies between.
fn once(top: &Top, output: Output) -> Result<Answer, Failure> {
    let port = AdminPort::new(&top.admin.address);
    let before = poll::look(&port)?;
    thread::sleep(top.every);
    let now = poll::look(&port)?;
    let interval = Interval::between(Some(&before.stats), &now.stats);
    output.answer(&plain::for_programs(&interval, &now), || {
        plain::for_people(&interval, &now, &top.admin.address)
    })?;
    Ok(Answer::Yes)
}

/// Has the process end after this long, if it is still there. Whether it will.
fn end_within(time: Duration, signal: i32) -> bool {
    let end = move || {
        thread::sleep(time);
        terminal::give_up();
        std::process::exit(SIGNALLED + signal);
    };
    thread::Builder::new().name("end".into()).spawn(end).is_ok()
}

/// Shows the screen until somebody asks for its end.
fn watch(top: &Top) -> Result<Answer, Failure> {
    let (happens, happened) = mpsc::sync_channel(64);
    let signalled = happens.clone();
    let mut is_first = true;
    signals::heed_at_screen(move |signal| {
        // The second one ends the process at once, and so does a first that nobody looks at.
        let goes_on = std::mem::take(&mut is_first) && end_within(END, signal);
        if goes_on {
            let _ = signalled.try_send(Happened::Signal(signal));
        } else {
            terminal::give_up();
        }
        goes_on
    })?;
    let mut state = State::new(&top.admin.address, top.every, Theme::of_environment());
    let mut screen = Screen::enter()?;
    let typed = happens.clone();
    terminal::read_keys(move |input| typed.send(Happened::Input(input)).is_ok())?;
    poll::start(AdminPort::new(&top.admin.address), top.every, move |polled| {
        happens.send(Happened::Polled(Box::new(polled))).is_ok()
    })?;
    let mut drawn: Option<Instant> = None;
    loop {
        if drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
            screen.draw(|frame| draw::draw(frame, &mut state))?;
            drawn = Some(Instant::now());
        }
        let first = match happened.recv_timeout(REDRAW) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => unreachable!("the signals' thread never ends"),
        };
        // All that has come is taken before the screen is drawn once.
        for happened in std::iter::once(first).chain(happened.try_iter()) {
            match happened {
                Happened::Polled(polled) => state.take(*polled),
                Happened::Input(Input::Key(key)) => match state.press(key) {
                    Pressed::Nothing => {}
                    Pressed::Quit => return Ok(Answer::Yes),
                    Pressed::Interrupt => return Ok(Answer::Interrupted(SIGINT)),
                },
                Happened::Input(Input::Resized) => {}
                Happened::Input(Input::Lost(error)) => return Err(error.into()),
                Happened::Signal(signal) => return Ok(Answer::Interrupted(signal)),
            }
        }
        drawn = None;
    }
}
