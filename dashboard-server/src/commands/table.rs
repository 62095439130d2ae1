//! Rows as a table for people: numbers to the right, wide letters counted as two.

/// The table, one line a row, ready to print.
#[must_use]
pub(super) fn draw(columns: &[String], rows: &[Vec<Cell>]) -> String {
    let mut widths: Vec<usize> = columns.iter().map(|name| width(name)).collect();
    for row in rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = (*most).max(width(&cell.text));
        }
    }
    let mut out = String::new();
    let head: Vec<Cell> =
        columns.iter().map(|name| Cell { text: name.clone(), is_number: false }).collect();
    write_line(&mut out, &head, &widths);
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    out.push_str(&rule.join("  "));
    out.push('\n');
    for row in rows {
        write_line(&mut out, row, &widths);
    }
    out
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    /// As printed.
    pub(super) text: String,
    /// Whether it stands to the right.
    pub(super) is_number: bool,
}

fn write_line(out: &mut String, cells: &[Cell], widths: &[usize]) {
    let mut line = String::new();
    for (cell, most) in cells.iter().zip(widths) {
        let space = " ".repeat(most.saturating_sub(width(&cell.text)));
        let (before, after) =
            if cell.is_number { (space.as_str(), "") } else { ("", space.as_str()) };
        line.push_str(&format!("{before}{}{after}  ", cell.text));
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// Columns a text takes on a terminal. Chinese letters and full-width forms take two.
fn width(text: &str) -> usize {
    let wide = |letter: char| matches!(u32::from(letter), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x20000..=0x3FFFD);
    text.chars().map(|letter| if wide(letter) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_chinese_counts_double() {
        let cell = |text: &str, is_number| Cell { text: text.to_owned(), is_number };
        let rows = [
            vec![cell("浙江", false), cell("9.50", true)],
            vec![cell("Guangdong", false), cell("1234.00", true)],
        ];
        let drawn = draw(&["province".to_owned(), "gmv".to_owned()], &rows);
        assert_eq!(
            drawn,
            "province   gmv\n---------  -------\n浙江          9.50\nGuangdong  1234.00\n"
        );
    }
}
