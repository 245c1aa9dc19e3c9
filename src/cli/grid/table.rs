//! Columns that people can read: as wide as their widest cell, the last one cut to the terminal.

use console::measure_text_width;

use crate::output::columns;
use crate::printable::name;
use crate::words::first_line;

/// Rows under a head.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row; what is in it can't steer the terminal.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| name(cell)).collect());
    }

    /// The table's lines, without columns that are empty in every row.
    pub(super) fn lines(&self) -> String {
        let Some(head) = self.rows.first() else { return String::new() };
        let widths: Vec<usize> = (0..head.len()).map(|column| self.width(column)).collect();
        let lines = self.rows.iter().map(|row| {
            let shown = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
            let cells = shown.map(|(cell, width)| {
                cell.clone() + &" ".repeat(width - measure_text_width(cell).min(*width))
            });
            first_line(cells.collect::<Vec<_>>().join("  ").trim_end(), columns())
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn width(&self, column: usize) -> usize {
        let is_empty =
            self.rows.iter().skip(1).all(|row| row.get(column).is_none_or(String::is_empty));
        if is_empty {
            return 0;
        }
        self.rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| measure_text_width(cell))
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_are_left_out() {
        let mut table = Table::new(&["NODE", "NAME", "STATE", "DETAIL"]);
        table.row(vec!["node-1".into(), String::new(), "running".into(), String::new()]);
        table.row(vec!["n".into(), String::new(), "gave up".into(), "a\u{1b}b".into()]);
        assert_eq!(
            table.lines(),
            "NODE    STATE    DETAIL\nnode-1  running\nn       gave up  a\\u{1b}b"
        );
    }
}
