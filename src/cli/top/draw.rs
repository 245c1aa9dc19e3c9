//! The screen: what is shown where, at any size of the terminal.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Sparkline, Wrap};

use super::state::{List, Shown, State};
use super::tables::{self, Table};
use crate::slow::{self, Columns};
use crate::words::{duration, short_duration};

/// Below this nothing can be read.
const LEAST: (u16, u16) = (40, 10);
/// From this height on there is room for a chart, which takes so many lines.
const CHART_FROM: u16 = 32;
const CHART: u16 = 6;
/// Columns of what stands beside the operations, at least; its lines may take what these leave.
const FACTS: u16 = 30;
/// From this width on the operations have their totals.
const TOTALS_FROM: u16 = 110;

const HELP: &str = "\
q, Esc, Ctrl-C    end
p                 pause, and go on
Tab, Left, Right  choose a list
Up, Down          move in it by a line
PgUp, PgDn        move in it by a page
Home, End         to its beginning, its end
?                 this help; any key closes it

Rates are those between two looks; p50 is what half of the requests of that time did not \
exceed, p99.9 what 999 of 1,000 did not. In flight: requests without their answer. Pending: \
writes that are not acknowledged. Slow: as serve --slow says.";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("The terminal is too small: at least {} by {}", LEAST.0, LEAST.1);
        return frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
    }
    let [title, summary, body, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(title_line(state), title);
    frame.render_widget(summary_line(state), summary);
    // Taken out, so that the lists' places can be changed while it is drawn.
    if let Some(shown) = state.shown.take() {
        draw_body(frame, state, &shown, body);
        state.shown = Some(shown);
    }
    let words = "q end  p pause  Tab list  Up Down PgUp PgDn move  ? help";
    frame.render_widget(Line::styled(words, state.theme.quiet()), keys);
    if state.help {
        draw_help(frame, area);
    }
}

fn title_line(state: &State) -> Line<'static> {
    let theme = state.theme;
    let mut spans = vec![Span::styled(format!("sutra top {}", state.address), theme.title())];
    if let Some(shown) = &state.shown {
        let stats = &shown.look.stats;
        let style = if stats.healthy && stats.ready { Style::new() } else { theme.wrong() };
        spans.push(Span::styled(format!("  {}", tables::server(stats)), style));
    }
    spans.push(Span::styled(format!("  every {}", short_duration(state.every)), theme.quiet()));
    if state.paused {
        spans.push(Span::styled("  PAUSED", theme.heading(true)));
    }
    Line::from(spans)
}

/// What goes on; or that there is no answer, and that what is seen is old.
fn summary_line(state: &State) -> Line<'static> {
    let theme = state.theme;
    if let Some((problem, since)) = &state.silent {
        let age = duration(since.elapsed());
        let old = if state.shown.is_some() { "old figures: " } else { "" };
        return Line::styled(format!("! {old}silent for {age}: {problem}"), theme.wrong());
    }
    let late = state.heard.elapsed().saturating_sub(state.every);
    if late.as_secs() >= 2 {
        let age = duration(state.heard.elapsed());
        return Line::styled(format!("! waiting for an answer for {age}"), theme.wrong());
    }
    match &state.shown {
        Some(shown) => Line::from(tables::summary(&shown.look.stats, &shown.interval)),
        None => Line::styled("asking …", theme.quiet()),
    }
}

fn draw_body(frame: &mut Frame<'_>, state: &mut State, shown: &Shown, area: Rect) {
    let (stats, interval) = (&shown.look.stats, &shown.interval);
    let operations = tables::operations(interval, area.width >= TOTALS_FROM);
    let cores = tables::cores(stats, interval);
    let facts = tables::facts(stats, interval);
    let rows = |rows: usize| u16::try_from(rows + 1).unwrap_or(u16::MAX);
    let chart = if frame.area().height >= CHART_FROM { CHART } else { 0 };
    let left = area.height - chart;
    // Some lines are left for the slow requests whatever there is of the others.
    let upper = rows(operations.lines.len().max(facts.len())).min((left / 2).max(4));
    let middle = rows(cores.lines.len()).min(((left - upper) / 2).max(2));
    let [upper, chart, middle, lower] = Layout::vertical([
        Constraint::Length(upper),
        Constraint::Length(chart),
        Constraint::Length(middle),
        Constraint::Min(0),
    ])
    .areas(area);
    let [asked, beside] = Layout::horizontal([
        Constraint::Min(0),
        Constraint::Length(facts_width(&facts, &operations, area.width)),
    ])
    .areas(upper);
    draw_list(frame, state, List::Operations, &operations, asked);
    draw_facts(frame, state, &facts, beside);
    draw_chart(frame, state, chart);
    draw_list(frame, state, List::Cores, &cores, middle);
    let all = slow_requests(shown, Columns::Today);
    let slow = match all.width() <= usize::from(area.width) {
        true => all,
        false => slow_requests(shown, Columns::Few),
    };
    draw_list(frame, state, List::Slow, &slow, lower);
}

/// As wide as the facts are, where the operations leave so much.
fn facts_width(facts: &[(&str, String)], operations: &Table, width: u16) -> u16 {
    let widest = facts.iter().map(|fact| fact_line(fact).chars().count()).max().unwrap_or(0);
    let left = usize::from(width).saturating_sub(operations.width());
    let widest = u16::try_from(widest.min(left)).unwrap_or(u16::MAX);
    widest.max(FACTS.min(width / 2))
}

/// What stands in front of a fact's value.
fn fact_name(name: &str) -> String {
    format!("  {name:<8} ")
}

fn fact_line((name, value): &(&str, String)) -> String {
    fact_name(name) + value
}

/// The slow requests, or why there are none.
fn slow_requests(shown: &Shown, columns: Columns) -> Table {
    let slow = &shown.look.slow;
    let mut lines = slow::table(&slow.requests, columns);
    let heading = lines.remove(0);
    match slow.threshold_us.map(Duration::from_micros).map(short_duration) {
        None => lines.push("none are kept: the server was started with --slow off".into()),
        Some(threshold) if lines.is_empty() => {
            lines.push(format!("no request has taken {threshold} or longer"));
        }
        Some(_) => {}
    }
    Table { heading, lines }
}

fn draw_list(frame: &mut Frame<'_>, state: &mut State, list: List, table: &Table, area: Rect) {
    if area.height == 0 {
        return;
    }
    let room = usize::from(area.height - 1);
    let scroll = state.scroll(list);
    scroll.fit(table.lines.len(), room);
    let (first, below) = (scroll.first, scroll.below());
    let style = state.theme.heading(state.chosen == list);
    let mut lines = vec![Line::styled(table.heading.as_str(), style)];
    lines.extend(table.lines.iter().skip(first).take(room).map(|line| Line::from(line.as_str())));
    frame.render_widget(Paragraph::new(lines), area);
    if first + below > 0 {
        let mark = Line::styled(format!("  ↑{first} ↓{below}"), style).right_aligned();
        let width = u16::try_from(mark.width()).unwrap_or(u16::MAX).min(area.width);
        let corner = Rect { x: area.right() - width, width, height: 1, ..area };
        frame.render_widget(mark, corner);
    }
}

fn draw_facts(frame: &mut Frame<'_>, state: &State, facts: &[(&str, String)], area: Rect) {
    let heading = Line::styled("  server", state.theme.heading(false));
    let line = |(name, value): &(&str, String)| {
        Line::from(vec![
            Span::styled(fact_name(name), state.theme.quiet()),
            Span::raw(value.clone()),
        ])
    };
    let lines: Vec<Line<'_>> = [heading].into_iter().chain(facts.iter().map(line)).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

/// Requests a second, as far back as there are columns.
fn draw_chart(frame: &mut Frame<'_>, state: &State, area: Rect) {
    if area.height < 2 {
        return;
    }
    let columns = usize::from(area.width);
    let rates: Vec<u64> =
        state.rates.iter().copied().skip(state.rates.len().saturating_sub(columns)).collect();
    let most = rates.iter().max().copied().unwrap_or(0);
    let heading = format!("requests a second, up to {}", tables::rate(most as f64));
    let [above, below] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    frame.render_widget(Line::styled(heading, state.theme.heading(false)), above);
    let chart = Sparkline::default().data(&rates).style(state.theme.coloured(Color::Green));
    frame.render_widget(chart, below);
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (area.width.min(72), area.height.min(16));
    let help = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, help);
    let block = Block::bordered().title(" sutra top ");
    frame.render_widget(Paragraph::new(HELP).wrap(Wrap { trim: false }).block(block), help);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;
    use crate::top::poll::Look;
    use crate::top::theme::Theme;

    fn look(seconds: u64) -> Look {
        let cores: Vec<_> = (0..12).map(|core| json!({ "core": core, "answers": true })).collect();
        let stats = json!({
            "status": "ok", "healthy": true, "ready": true, "version": "0.1.0",
            "uptime_us": seconds * 1_000_000,
            "requests": { "query": seconds * 1_000 },
            "disk": { "free_bytes": 5u64 << 30, "size_bytes": 10u64 << 30 },
            "by_core": cores,
        });
        let slow = json!({ "threshold_us": 10_000, "seen": 0, "kept": 0, "requests": [] });
        Look {
            stats: serde_json::from_value(stats).unwrap(),
            slow: serde_json::from_value(slow).unwrap(),
        }
    }

    fn drawn(state: &mut State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal.backend().to_string()
    }

    fn state() -> State {
        let address = "127.0.0.1:9050".parse().unwrap();
        let mut state = State::new(&address, Duration::from_secs(1), Theme::Plain);
        state.take(Ok(look(10)));
        state.take(Ok(look(11)));
        state
    }

    #[test]
    fn a_usual_terminal_has_room_for_everything() {
        let screen = drawn(&mut state(), 80, 24);
        for words in [
            "sutra top 127.0.0.1:9050  ok, up 11.0 s",
            "1,000 requests/s, 0 in flight, 0 errors/s",
            "query         1,000",
            "5.00 GiB free, 50 %",
            "core  requests  in flight  pending",
            "slow at",
            "no request has taken 10.0 ms",
            "q end  p pause",
        ] {
            assert!(screen.contains(words), "{words} in\n{screen}");
        }
        assert!(!screen.contains("requests a second, up to"), "{screen}");
    }

    #[test]
    fn a_larger_one_has_a_chart_and_totals_and_a_tiny_one_says_so() {
        let screen = drawn(&mut state(), 120, 50);
        for words in ["requests a second, up to 1,000", "since the start", "11,000", "█"] {
            assert!(screen.contains(words), "{words} in\n{screen}");
        }
        assert!(drawn(&mut state(), 30, 8).contains("too small"));
        for (width, height) in [(40, 10), (81, 11), (500, 200)] {
            drawn(&mut state(), width, height);
        }
    }

    #[test]
    fn what_is_wide_is_cut_at_no_width_that_has_room_for_it() {
        let slow = json!({
            "threshold_us": 1_000, "seen": 1, "kept": 1, "requests": [{
                "at_us": 1_700_000_000_000_000u64, "operation": "learn", "peer": "10.0.0.1:50051",
                "core": 1, "took_us": 12_400, "bytes_in": 1_000, "bytes_out": 48, "status": "ok",
                "subject": "ab".repeat(16), "others": 0, "stages": {
                    "receive_us": 300, "wait_us": 3_200, "execute_us": 300, "commit_us": 12_000,
                    "send_us": 100,
                },
            }],
        });
        let mut state = state();
        let mut seen = look(12);
        seen.slow = serde_json::from_value(slow).unwrap();
        seen.stats.stored.log_bytes = 1234 << 30;
        seen.stats.stored.log_segments = 19_744;
        state.take(Ok(seen));
        for (width, has_stages) in [(100, false), (120, false), (140, false), (200, true)] {
            let screen = drawn(&mut state, width, 40);
            assert!(screen.contains(&"ab".repeat(16)), "{width}:\n{screen}");
            assert!(screen.contains("19,744 segments"), "{width}:\n{screen}");
            assert_eq!(screen.contains("execute 300"), has_stages, "{width}:\n{screen}");
        }
    }

    #[test]
    fn a_list_that_is_longer_than_its_room_says_what_is_above_and_below() {
        let mut state = state();
        state.chosen = List::Cores;
        let screen = drawn(&mut state, 80, 24);
        assert!(screen.contains("↑0 ↓"), "{screen}");
    }
}
