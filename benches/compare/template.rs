//! The report's prose and table heads: sections of `report.md` with named gaps.
//!
//! A section stands between a line `<!-- its name -->` and the next one. Its paragraphs are one
//! line each until the report is whole, and are then wrapped with what came into their gaps.

use std::borrow::Cow;

const TEMPLATE: &str = include_str!("report.md");

/// The section of this name, each gap filled with what `fill` gives for its name.
pub(crate) fn section(name: &str, fill: impl Fn(&str) -> String) -> String {
    let mark = format!("<!-- {name} -->\n");
    let (_, behind) =
        TEMPLATE.split_once(&mark).unwrap_or_else(|| panic!("report.md has a section {name}"));
    let text = behind.split_once("<!-- ").map_or(behind, |(text, _)| text);
    let mut filled = String::new();
    for part in unwrapped(text).split('{') {
        match part.split_once('}') {
            Some((gap, rest)) => filled.extend([&fill(gap), rest]),
            None => filled.push_str(part),
        }
    }
    filled
}

/// A section of the template with values for its gaps.
pub(crate) fn with(name: &str, gaps: &[(&str, String)]) -> String {
    section(name, |gap| {
        let found = gaps.iter().find(|(known, _)| *known == gap);
        found.map_or_else(
            || panic!("section {name} of report.md has a gap {gap}"),
            |(_, value)| value.clone(),
        )
    })
}

/// Puts each paragraph on one line. Rows of tables, and gaps that stand for rows, are lines of
/// their own.
fn unwrapped(text: &str) -> String {
    let is_prose = |line: &str| !line.is_empty() && !line.starts_with(['|', '#']);
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        out.push_str(line);
        let goes_on =
            lines.peek().is_some_and(|next| is_prose(line) && is_prose(next) && !is_gap(line));
        out.push(if goes_on { ' ' } else { '\n' });
    }
    out
}

/// The whole report with its prose in lines of a hundred columns. Rows of tables, headings and
/// pictures stay as they are.
pub(crate) fn wrapped(report: &str) -> String {
    let wrap = |line| -> Cow<'_, str> {
        let is_prose = !str::starts_with(line, ['|', '#', '!']);
        if is_prose { filled(line).into() } else { line.into() }
    };
    report.lines().map(|line| wrap(line) + "\n").collect()
}

/// A paragraph or an item of a list over as many lines as it takes.
fn filled(paragraph: &str) -> String {
    let indent = paragraph.len() - paragraph.trim_start_matches([' ', '-']).len();
    let mut out = paragraph[..indent].to_owned();
    let mut columns = indent;
    for word in paragraph[indent..].split(' ') {
        let length = word.chars().count();
        // A line that begins so would be an item.
        let is_mark = length < 4
            && (word.starts_with(['-', '+', '*', '#', '>']) || word.ends_with(['.', ')']));
        let is_first = columns == indent;
        if !is_first && columns + 1 + length > 100 && !is_mark {
            out = out + "\n" + &" ".repeat(indent);
            columns = indent;
        } else if !is_first {
            out.push(' ');
            columns += 1;
        }
        out.push_str(word);
        columns += length;
    }
    out
}

/// Whether the line is one gap and nothing else.
fn is_gap(line: &str) -> bool {
    line.strip_prefix('{').and_then(|rest| rest.find('}')) == line.len().checked_sub(2)
}

/// A row of a table.
pub(crate) fn row<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) -> String {
    cells.into_iter().fold("|".to_owned(), |row, cell| row + " " + cell.as_ref() + " |")
}

/// Rows, one a line.
pub(crate) fn rows(rows: impl IntoIterator<Item = String>) -> String {
    rows.into_iter().collect::<Vec<_>>().join("\n")
}

/// The dashes below the names of `columns` columns, behind the columns that the template has.
pub(crate) fn dashes(columns: usize) -> String {
    "---|".repeat(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_one_line_and_gaps_are_filled() {
        assert_eq!(
            unwrapped("One\ntwo.\n\n| a |\n|---|\n{rows}\n"),
            "One two.\n\n| a |\n|---|\n{rows}\n"
        );
        let filled = with("no-model", &[("missing", "all".to_owned())]);
        assert_eq!(filled, "There is no model of more cores: all.\n\n");
        assert_eq!(row(["a", "", "b"]), "| a |  | b |");
    }

    #[test]
    fn prose_is_wrapped_and_tables_are_not() {
        let (words, cells) = ("word ".repeat(30), "| cell ".repeat(30));
        let text =
            format!("# {words}\n\n{cells}\n- {words}- end\n  - {words}\n![{words}](a.svg)\n");
        let wrapped = wrapped(&text);
        let long: Vec<_> = wrapped.lines().filter(|line| line.len() > 100).collect();
        assert!(long.iter().all(|line| line.starts_with(['#', '|', '!'])), "{long:?}");
        assert_eq!((long.len(), wrapped.lines().count()), (3, 8), "{wrapped}");
        let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(joined(&wrapped), joined(&text));
    }
}
