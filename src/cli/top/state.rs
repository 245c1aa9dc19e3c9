//! What the screen is about: the last look, what happened since the one before, which list is
//! chosen and where it stands.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::interval::Interval;
use super::poll::{Look, Polled};
use super::theme::Theme;
use crate::admin_port::AdminAddress;

/// Intervals whose rates are remembered: as many as a wide screen has columns.
const REMEMBERED: usize = 512;

/// What a key asks for beyond the screen itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    Nothing,
    Quit,
    /// Ctrl-C.
    Interrupt,
}

/// The lists that can be moved in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Operations,
    Cores,
    Slow,
}

impl List {
    const ALL: [List; 3] = [List::Operations, List::Cores, List::Slow];

    fn step(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// Where a list stands, and how much of it was seen when it was drawn last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scroll {
    /// The first line that is seen.
    pub(super) first: usize,
    lines: usize,
    seen: usize,
}

impl Scroll {
    /// So many lines there are, and so many have room. Keeps the place within them.
    pub(super) fn fit(&mut self, lines: usize, seen: usize) {
        self.lines = lines;
        self.seen = seen;
        self.first = self.first.min(self.last());
    }

    fn last(&self) -> usize {
        self.lines.saturating_sub(self.seen)
    }

    /// How many lines lie below those that are seen.
    pub(super) fn below(&self) -> usize {
        self.last() - self.first.min(self.last())
    }

    fn up(&mut self, lines: usize) {
        self.first = self.first.saturating_sub(lines);
    }

    fn down(&mut self, lines: usize) {
        self.first = (self.first + lines).min(self.last());
    }
}

/// What is shown of the server.
pub(super) struct Shown {
    pub(super) look: Look,
    pub(super) interval: Interval,
}

pub(super) struct State {
    pub(super) address: AdminAddress,
    pub(super) every: Duration,
    pub(super) theme: Theme,
    /// The last look that was shown.
    pub(super) shown: Option<Shown>,
    /// Looks that came while it was paused: the last of them.
    kept: Option<Look>,
    /// Why there was no answer, since when.
    pub(super) silent: Option<(String, Instant)>,
    /// When an answer came last, or it was begun.
    pub(super) heard: Instant,
    pub(super) paused: bool,
    pub(super) help: bool,
    pub(super) chosen: List,
    scrolls: [Scroll; 3],
    /// Requests a second, the newest last.
    pub(super) rates: VecDeque<u64>,
}

impl State {
    pub(super) fn new(address: &AdminAddress, every: Duration, theme: Theme) -> Self {
        Self {
            address: address.clone(),
            every,
            theme,
            shown: None,
            kept: None,
            silent: None,
            heard: Instant::now(),
            paused: false,
            help: false,
            chosen: List::Operations,
            scrolls: [Scroll::default(); 3],
            rates: VecDeque::new(),
        }
    }

    pub(super) fn scroll(&mut self, list: List) -> &mut Scroll {
        &mut self.scrolls[list as usize]
    }

    /// The server was asked.
    pub(super) fn take(&mut self, polled: Polled) {
        match polled {
            Ok(look) => {
                self.silent = None;
                self.heard = Instant::now();
                if self.paused { self.kept = Some(look) } else { self.show(look) }
            }
            Err(error) => {
                let since = self.silent.take().map_or(self.heard, |(_, since)| since);
                self.silent = Some((error.to_string(), since));
            }
        }
    }

    fn show(&mut self, look: Look) {
        let before = self.shown.as_ref().map(|shown| &shown.look.stats);
        let is_first = before.is_none();
        let interval = Interval::between(before, &look.stats);
        // The first look tells of all the time since the start.
        if !is_first {
            if self.rates.len() == REMEMBERED {
                self.rates.pop_front();
            }
            self.rates.push_back(interval.requests as u64);
        }
        self.shown = Some(Shown { look, interval });
    }

    pub(super) fn press(&mut self, key: KeyEvent) -> Pressed {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if std::mem::take(&mut self.help) && !matches!(key.code, KeyCode::Char('q' | 'c')) {
            return Pressed::Nothing;
        }
        let chosen = self.chosen;
        let page = self.scroll(chosen).seen.max(1);
        match key.code {
            KeyCode::Char('c') if is_control => return Pressed::Interrupt,
            KeyCode::Char('q') | KeyCode::Esc => return Pressed::Quit,
            KeyCode::Char('p' | ' ') => self.pause(),
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Tab | KeyCode::Right => self.chosen = chosen.step(1),
            KeyCode::BackTab | KeyCode::Left => self.chosen = chosen.step(2),
            KeyCode::Up => self.scroll(chosen).up(1),
            KeyCode::Down => self.scroll(chosen).down(1),
            KeyCode::PageUp => self.scroll(chosen).up(page),
            KeyCode::PageDown => self.scroll(chosen).down(page),
            KeyCode::Home => self.scroll(chosen).up(usize::MAX),
            KeyCode::End => self.scroll(chosen).first = usize::MAX / 2,
            _ => {}
        }
        Pressed::Nothing
    }

    fn pause(&mut self) {
        self.paused = !self.paused;
        if !self.paused
            && let Some(look) = self.kept.take()
        {
            self.show(look);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::admin_port::AdminPortError;

    fn state() -> State {
        let address = "127.0.0.1:9050".parse().unwrap();
        State::new(&address, Duration::from_secs(1), Theme::Plain)
    }

    fn look(seconds: u64, queries: u64) -> Polled {
        let stats = json!({
            "uptime_us": seconds * 1_000_000, "requests": { "query": queries },
        });
        let slow = json!({ "threshold_us": 10_000, "seen": 0, "kept": 0, "requests": [] });
        Ok(Look {
            stats: serde_json::from_value(stats).unwrap(),
            slow: serde_json::from_value(slow).unwrap(),
        })
    }

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    #[test]
    fn a_pause_holds_what_is_shown_and_its_end_shows_what_happened_meanwhile() {
        let mut state = state();
        state.take(look(10, 0));
        state.take(look(11, 100));
        state.press(key(KeyCode::Char('p')));
        state.take(look(12, 300));
        state.take(look(13, 700));
        let shown = |state: &State| state.shown.as_ref().unwrap().interval.requests;
        assert_eq!(shown(&state), 100.0);
        state.press(key(KeyCode::Char('p')));
        assert_eq!(shown(&state), 300.0, "600 in two seconds");
        assert_eq!(state.rates, [100, 300]);
    }

    #[test]
    fn a_server_that_is_gone_is_told_with_its_reason_until_it_is_back() {
        let mut state = state();
        state.take(look(10, 0));
        let gone = |problem: &str| {
            let address = "127.0.0.1:9050".parse().unwrap();
            Err(AdminPortError::Unreachable { address, problem: problem.into() })
        };
        state.take(gone("one"));
        let since = state.silent.clone().unwrap().1;
        state.take(gone("another"));
        let (problem, same) = state.silent.clone().unwrap();
        assert!(problem.contains("another") && same == since, "{problem}");
        assert!(state.shown.is_some(), "the last figures stay");
        state.take(look(1, 5));
        assert!(state.silent.is_none());
        assert_eq!(state.shown.as_ref().unwrap().interval.requests, 5.0);
    }

    #[test]
    fn keys_choose_a_list_and_move_in_it_within_its_lines() {
        let mut state = state();
        state.press(key(KeyCode::Tab));
        state.press(key(KeyCode::Tab));
        assert_eq!(state.chosen, List::Slow);
        state.scroll(List::Slow).fit(100, 10);
        for (code, first) in [
            (KeyCode::Up, 0),
            (KeyCode::Down, 1),
            (KeyCode::PageDown, 11),
            (KeyCode::Home, 0),
            (KeyCode::End, 90),
            (KeyCode::Down, 90),
            (KeyCode::PageUp, 80),
        ] {
            assert_eq!(state.press(key(code)), Pressed::Nothing);
            state.scroll(List::Slow).fit(100, 10);
            assert_eq!(state.scroll(List::Slow).first, first, "{code:?}");
        }
        assert_eq!(state.scroll(List::Slow).below(), 10);
        state.scroll(List::Slow).fit(5, 10);
        assert_eq!((state.scroll(List::Slow).first, state.scroll(List::Slow).below()), (0, 0));
        state.press(key(KeyCode::Left));
        assert_eq!(state.chosen, List::Cores);
    }

    #[test]
    fn q_escape_and_control_c_end_it_and_other_keys_close_the_help_first() {
        let mut state = state();
        assert_eq!(state.press(key(KeyCode::Char('q'))), Pressed::Quit);
        assert_eq!(state.press(key(KeyCode::Esc)), Pressed::Quit);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(state.press(interrupt), Pressed::Interrupt);
        state.press(key(KeyCode::Char('?')));
        assert!(state.help);
        assert_eq!(state.press(key(KeyCode::Esc)), Pressed::Nothing);
        assert!(!state.help);
    }
}
