//! The terminal: made ready for a screen, and given back as it was on every way out.

use std::fs::OpenOptions;
use std::io::{self, Stdout, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Once;
use std::thread;

use crossterm::cursor::Show;
use crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

use crate::exit::Failure;

/// The screen. Dropped, it gives the terminal back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal over. From here on a panic gives it back, too, before it says why.
    pub(super) fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let told = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                told(panic);
            }));
        });
        enable_raw_mode()?;
        let entered = execute!(io::stdout(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match entered {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was. What can't be given back is gone.
pub(super) fn restore() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// The same where whoever draws may wait for a terminal that takes nothing, and holds standard
/// output meanwhile: never waits itself. Where there is no room to say so, what is drawn stays.
pub(super) fn give_up() {
    let mut words = Vec::new();
    let _ = queue!(words, LeaveAlternateScreen, Show);
    let terminal = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open("/dev/tty");
    let _ = terminal.and_then(|mut terminal| terminal.write_all(&words));
    let _ = disable_raw_mode();
}

/// What a terminal tells.
pub(super) enum Input {
    Key(KeyEvent),
    /// It has another size.
    Resized,
    /// It can't be read any more: this is the last that is told.
    Lost(io::Error),
}

/// Tells of what is typed, on a thread of its own, as long as `told` is `true`.
pub(super) fn read_keys(told: impl Fn(Input) -> bool + Send + 'static) -> Result<(), Failure> {
    let read = move || {
        loop {
            let input = match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Input::Key(key),
                Ok(Event::Resize(..)) => Input::Resized,
                Ok(_) => continue,
                Err(error) => {
                    told(Input::Lost(error));
                    return;
                }
            };
            if !told(input) {
                return;
            }
        }
    };
    let spawned = thread::Builder::new().name("keys".into()).spawn(read);
    spawned.map(|_| ()).map_err(|error| Failure::Host(format!("cannot start a thread: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::Command;

    use sutra_testing::terminal;

    use super::*;

    /// Set in the process that panics.
    const PANICS: &str = "SUTRA_TEST_PANICS_AT_SCREEN";

    #[test]
    fn a_panic_gives_the_terminal_back_and_says_why_there() {
        if std::env::var_os(PANICS).is_some() {
            // As in a release, where nothing is dropped after a panic.
            std::mem::forget(Screen::enter().unwrap());
            panic!("on purpose");
        }
        let terminal = terminal::Terminal::open(24, 80);
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = "top::terminal::tests::a_panic_gives_the_terminal_back_and_says_why_there";
        command.args(["--exact", name, "--nocapture"]).env(PANICS, "1");
        // A backtrace would push the reason off the screen.
        command.env_remove("RUST_BACKTRACE");
        let mut child = terminal.start(command);
        assert!(!terminal.wait(&mut child).success());
        let text = terminal.text();
        assert!(text.contains("on purpose"), "{text}");
        assert!(terminal.is_as_before(), "{text}");
        assert!(String::from_utf8_lossy(&terminal.bytes()).contains("\x1b[?1049h"), "it drew");
    }
}
