//! The rows of the benchmark as text.

/// One row.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// What is measured.
    pub(super) what: String,
    /// How many records.
    pub(super) records: u64,
    /// How many bytes of payload; 0 where it says nothing.
    pub(super) bytes: u64,
    /// Threads that may work at one time.
    pub(super) cores: usize,
    /// The figure with its unit.
    pub(super) figure: String,
    /// The figure beside what it is compared with.
    pub(super) ratio: String,
}

/// All rows so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a row, and shows it at once: the whole takes minutes.
    #[expect(clippy::print_stderr, reason = "progress of a command that takes minutes")]
    pub(super) fn push(&mut self, row: Row) {
        eprintln!("{}: {} {}", row.what, row.figure, row.ratio);
        self.rows.push(row);
    }

    /// The rows below one another, a Markdown table.
    pub(super) fn text(&self) -> String {
        let head = ["what", "records", "bytes", "cores", "figure", "ratio"].map(str::to_owned);
        let cells = |row: &Row| {
            let bytes = if row.bytes == 0 { "-".to_owned() } else { row.bytes.to_string() };
            [
                row.what.clone(),
                row.records.to_string(),
                bytes,
                row.cores.to_string(),
                row.figure.clone(),
                row.ratio.clone(),
            ]
        };
        let all: Vec<[String; 6]> =
            std::iter::once(head).chain(self.rows.iter().map(cells)).collect();
        let width =
            |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..6).map(width).collect();
        let mut text = String::new();
        for (at, row) in all.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                text += &format!("| {cell:width$} ");
            }
            text += "|\n";
            if at == 0 {
                widths.iter().for_each(|width| text += &format!("|{}", "-".repeat(width + 2)));
                text += "|\n";
            }
        }
        text
    }
}

/// The smallest and the middle one of some figures.
pub(super) fn best_and_median(figures: &[f64]) -> (f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2))
}
