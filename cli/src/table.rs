//! Plain tables for people.

use std::fmt;

pub(crate) use autorma_schemas::printable;
use unicode_width::UnicodeWidthStr;

/// A table with a line of names above its rows; numbers stand to the right.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    names: [&'static str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(names: [&'static str; COLUMNS]) -> Self {
        Self { names, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| printable(&cell)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].width());
            cells.chain([self.names[column].width()]).max().unwrap_or(0)
        };
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        let numbers = |column: usize| self.rows.iter().all(|row| is_number(&row[column]));
        let right: [bool; COLUMNS] = std::array::from_fn(numbers);
        let names = self.names.map(str::to_owned);
        for row in std::iter::once(&names).chain(&self.rows) {
            let cells = row.iter().zip(widths).zip(right).map(|((cell, width), right)| {
                let space = " ".repeat(width - cell.width());
                if right { space + cell } else { cell.to_owned() + &space }
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Whether a cell is a number, or stands for one that isn't known.
fn is_number(cell: &str) -> bool {
    cell == "-" || cell.parse::<f64>().is_ok()
}

/// The values of JSON as cells, each named by its way there, in order.
pub(crate) fn flattened(value: &serde_json::Value) -> Vec<(String, String)> {
    values(value).into_iter().map(|(name, value)| (name, cell(value))).collect()
}

/// The values of JSON, each named by its way there, in order.
pub(crate) fn values(value: &serde_json::Value) -> Vec<(String, &serde_json::Value)> {
    let mut values = Vec::new();
    flatten("", value, &mut values);
    values
}

/// A value of JSON: text stands for itself.
pub(crate) fn cell(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn flatten<'a>(name: &str, value: &'a serde_json::Value, values: &mut Vec<(String, &'a serde_json::Value)>) {
    let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| flatten(&inner(key), value, values));
        }
        serde_json::Value::Array(items) => {
            let numbered = items.iter().enumerate();
            numbered.for_each(|(number, value)| flatten(&inner(&number.to_string()), value, values));
        }
        other => values.push((name.into(), other)),
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["class", "images"]);
        table.row(["handbags".into(), "7".into()]);
        table.row(["tops".into(), "12".into()]);
        assert_eq!(table.to_string(), "class     images\nhandbags       7\ntops          12\n");
    }

    #[test]
    fn what_is_not_known_stands_where_numbers_do() {
        let mut table = Table::new(["run", "predictions"]);
        table.row(["a".into(), "-".into()]);
        table.row(["b".into(), "12".into()]);
        assert_eq!(table.to_string(), "run  predictions\na              -\nb             12\n");
    }

    #[test]
    fn names_take_the_columns_that_terminals_give_them() {
        let mut table = Table::new(["photo", "class"]);
        // Six columns, four with an accent of its own, and two.
        for name in ["\u{5199}\u{771F}\u{FF11}", "cafe\u{301}", "\u{1F45C}"] {
            table.row([name.into(), "tops".into()]);
        }
        let expected =
            ["photo   class", "\u{5199}\u{771F}\u{FF11}  tops", "cafe\u{301}    tops", "\u{1F45C}      tops"];
        assert_eq!(table.to_string().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_name_plays_with_the_terminal() {
        let mut table = Table::new(["name"]);
        table.row(["\u{202e}gpj\n\u{1b}[2J".into()]);
        assert_eq!(table.to_string(), "name\n\\u{202e}gpj\\u{a}\\u{1b}[2J\n");
    }
}
