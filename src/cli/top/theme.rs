//! How the screen's words look. Colours only underline what the words say already, and there are
//! none where NO_COLOR is set.

use ratatui::style::{Color, Modifier, Style};

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Theme {
    Plain,
    Colours,
}

impl Theme {
    /// As NO_COLOR has it (no-color.org).
    pub(super) fn of_environment() -> Self {
        let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if is_set { Theme::Plain } else { Theme::Colours }
    }

    pub(super) fn coloured(self, colour: Color) -> Style {
        match self {
            Theme::Plain => Style::new(),
            Theme::Colours => Style::new().fg(colour),
        }
    }

    pub(super) fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn heading(self, is_chosen: bool) -> Style {
        let style = self.coloured(Color::Cyan).add_modifier(Modifier::BOLD);
        if is_chosen { style.add_modifier(Modifier::REVERSED) } else { style }
    }

    pub(super) fn wrong(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}
