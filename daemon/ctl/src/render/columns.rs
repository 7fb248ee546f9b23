//! Tables without lines.

use super::text::fit;
use std::ops::Range;

/// A column's alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table that is put together row by row.
#[derive(Debug)]
pub(crate) struct Columns {
    heads: Vec<(&'static str, Align)>,
    groups: Vec<(&'static str, Range<usize>)>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    cells: Vec<String>,
    notes: Vec<String>,
}

const GAP: &str = "  ";

impl Columns {
    pub(crate) fn new(heads: &[(&'static str, Align)]) -> Self {
        Self {
            heads: heads.to_vec(),
            groups: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Names what some columns have in common, in a line above the heads. From left to right.
    pub(crate) fn group(&mut self, name: &'static str, columns: Range<usize>) {
        self.groups.push((name, columns));
    }

    /// Adds a row, and lines to print below it.
    pub(crate) fn row(&mut self, cells: Vec<String>, notes: Vec<String>) {
        self.rows.push(Row { cells, notes });
    }

    /// The lines. The column `elastic` gives way when the table would be wider than `width`.
    pub(crate) fn lines(&self, elastic: usize, width: usize) -> Vec<String> {
        let mut widths: Vec<usize> = self.heads.iter().map(|(head, _)| head.len()).collect();
        for row in &self.rows {
            for (column, cell) in row.cells.iter().enumerate() {
                widths[column] = widths[column].max(cell.chars().count());
            }
        }
        let total = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        let over = total.saturating_sub(width);
        let least = self.heads[elastic].0.len().max(8).min(widths[elastic]);
        widths[elastic] = widths[elastic].saturating_sub(over).max(least);

        let heads: Vec<_> = self
            .heads
            .iter()
            .map(|(head, _)| (*head).to_owned())
            .collect();
        let mut lines = Vec::new();
        if !self.groups.is_empty() {
            lines.push(self.group_line(&widths));
        }
        lines.push(self.line(&heads, &widths));
        for row in &self.rows {
            lines.push(self.line(&row.cells, &widths));
            lines.extend(row.notes.iter().cloned());
        }
        lines
    }

    fn group_line(&self, widths: &[usize]) -> String {
        let start = |column: usize| {
            widths[..column]
                .iter()
                .map(|w| w + GAP.len())
                .sum::<usize>()
        };
        let mut line = String::new();
        for (name, columns) in &self.groups {
            let begin = start(columns.start);
            let width = start(columns.end) - GAP.len() - begin;
            line.push_str(&" ".repeat(begin - line.len()));
            line.push_str(&format!("{:-^width$}", format!(" {name} ")));
        }
        line
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let width = widths[column];
            let cell = fit(cell, width);
            let padding = " ".repeat(width - cell.chars().count());
            if column > 0 {
                line.push_str(GAP);
            }
            match self.heads[column].1 {
                Align::Left => line.extend([cell, padding]),
                Align::Right => line.extend([padding, cell]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Two blocks side by side; the left one takes `left_width`.
pub(crate) fn beside(left: &[String], right: &[String], left_width: usize) -> Vec<String> {
    let count = left.len().max(right.len());
    let empty = String::new();
    (0..count)
        .map(|index| {
            let left = left.get(index).unwrap_or(&empty);
            let right = right.get(index).unwrap_or(&empty);
            let line = format!("{left:left_width$}{right}");
            line.trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_one_gives_way() {
        let mut table = Columns::new(&[("NAME", Align::Left), ("N", Align::Right)]);
        table.row(vec!["a-rather-long-name".into(), "7".into()], vec![]);
        table.row(vec!["b".into(), "1234".into()], vec!["  note".into()]);
        assert_eq!(
            table.lines(0, 80),
            [
                "NAME                   N",
                "a-rather-long-name     7",
                "b                   1234",
                "  note",
            ]
        );
        table.group("G", 0..2);
        assert_eq!(table.lines(0, 80)[0], "---------- G -----------");
        table.groups.clear();
        assert_eq!(
            table.lines(0, 16),
            [
                "NAME           N",
                "a-rather-…     7",
                "b           1234",
                "  note"
            ]
        );
    }
}
