//! `tidemark run`: a SQL script as a local job.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::{Args, ValueEnum};
use tidemark_pipeline::admit::RecordCounts;
use tidemark_pipeline::config::DEDUP_MEMORY_BYTES_MAX;
use tidemark_pipeline::results::Mark;
use tidemark_pipeline::results::json::write_row;
use tidemark_pipeline::results::snapshot::MARK_COLUMN;
use tidemark_pipeline::run::job::{self, JobEvent, JobOptions};
use tidemark_pipeline::sql::StateBounds;

/// Arguments of `tidemark run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark run job.sql                      print the final rows as JSON lines\n  \
    tidemark run job.sql --emit changes       every change, as it happens\n  \
    tidemark run job.sql --format csv > result.csv\n  \
    cat orders.jsonl | tidemark run job.sql   with 'connector' = 'stdin'\n\n\
    CREATE MATERIALIZED VIEW is planned as a server plans it, with its options and its refusals. A view that no other \
    statement reads is printed at its place, as a SELECT of its query would be, with the revisions that \
    'allowed-lateness' allows and the rows that 'result.retention' keeps; one that a SELECT or INSERT INTO reads is \
    run first, to the end of its input. 'result.topic' is not written.\n\n\
    A file without a WATERMARK that a query joins is read whole before the first record, as the tables of reference/ \
    are. Where no table of a query has a WATERMARK, the first one in FROM is the stream.\n\n\
    late_orders, dead_letters, unmatched, records_accounted, views_accounted, sources_accounted and \
    lifecycle_accounted tell of what the statements before have read, views first. A SELECT or INSERT INTO is known \
    there by the place of its statement. The accounting is checked after every statement.\n\n\
    The first INSERT INTO of a script begins the file of its table anew, and each later one adds its rows.\n\n\
    The exit code is 0 only if every statement ran. Records that do not count are named on stderr.")]
pub struct RunArgs {
    /// Script of SQL statements
    #[arg(value_name = "SCRIPT")]
    pub script: PathBuf,
    /// Which rows are printed
    #[arg(long, value_enum, default_value_t = Emit::Final)]
    pub emit: Emit,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = RowFormat::Jsonl)]
    pub format: RowFormat,
    /// Records folded at a time; the rows do not depend on it
    #[arg(long, value_name = "RECORDS", default_value_t = 8_192, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_records: u32,
    /// Bytes of state a view may need by its estimate, and any query keep; past it the job stops
    #[arg(long, value_name = "BYTES", default_value_t = StateBounds::default().bytes_max)]
    pub state_bytes_max: u64,
    /// Bytes of memory for dedup keys; the others go to a temporary folder
    #[arg(long, value_name = "BYTES", default_value_t = DEDUP_MEMORY_BYTES_MAX)]
    pub dedup_memory_bytes_max: usize,
    /// Do not count the records on stderr at the end
    #[arg(long)]
    pub quiet: bool,
}

/// Which rows a job prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// Each row once, when its window has closed
    Final,
    /// Each change of a row, with its mark and revision
    Changes,
}

/// How a job prints rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
    /// A table for people
    Table,
}

/// Runs the script to the end of its input.
///
/// # Errors
/// The first statement that failed, with file, line and column.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(&args.script)
        .with_context(|| format!("cannot read the script {}", args.script.display()))?;
    let options = JobOptions {
        emit: match args.emit {
            Emit::Final => job::Emit::Final,
            Emit::Changes => job::Emit::Changes,
        },
        batch_records: usize::try_from(args.batch_records)?,
        dedup_memory_bytes_max: args.dedup_memory_bytes_max,
        state_bounds: StateBounds { bytes_max: args.state_bytes_max, ..StateBounds::default() },
        ..JobOptions::default()
    };
    let mut printer = Printer::new(args.format, args.emit);
    let mut broken = None;
    let outcome = job::run_script(&args.script, &text, &options, &mut |event| {
        if let (None, Err(error)) = (&broken, printer.event(event)) {
            end_if_unread(&error);
            broken = Some(error);
        }
    });
    if broken.is_none() {
        broken = printer.finish().err();
    }
    if let Some(error) = broken {
        return Err(error);
    }
    let summary = outcome?;
    let records = summary.records;
    if records.rejected > 0 || summary.late > 0 {
        eprintln!("dead letters: {}, late records: {}", records.rejected, summary.late);
    }
    let events = summary.life_cycle;
    if events.waiting + events.expired + events.refused + events.capped > 0 {
        eprintln!(
            "events of orders: {} taken, {} wait for their order, {} expired, {} refused, {} refunds above what was paid",
            events.taken, events.waiting, events.expired, events.refused, events.capped
        );
    }
    if summary.beyond_retention > 0 {
        eprintln!(
            "{} final rows of views are older than their 'result.retention' keeps, and are not shown",
            summary.beyond_retention
        );
    }
    if !args.quiet {
        let RecordCounts { read, accepted, duplicate, rejected, shadow, control, .. } = records;
        eprintln!(
            "{read} records read = {accepted} accepted + {duplicate} duplicate + {rejected} rejected + {shadow} shadow + \
             {control} control; the accounting of every query adds up"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends the program, content, when whoever reads the rows has seen enough (`tidemark run … | head`).
fn end_if_unread(error: &anyhow::Error) {
    let io = error.downcast_ref::<std::io::Error>();
    if io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
        std::process::exit(0);
    }
}

/// Prints the rows of one query after another.
struct Printer {
    out: BufWriter<std::io::Stdout>,
    format: RowFormat,
    emit: Emit,
    columns: Option<SchemaRef>,
    table: Vec<RecordBatch>,
}

impl Printer {
    fn new(format: RowFormat, emit: Emit) -> Self {
        Self {
            out: BufWriter::new(std::io::stdout()),
            format,
            emit,
            columns: None,
            table: Vec::new(),
        }
    }

    fn event(&mut self, event: JobEvent<'_>) -> anyhow::Result<()> {
        match event {
            JobEvent::Columns(columns) => {
                self.print_table()?;
                if self.format == RowFormat::Csv {
                    self.csv_header(&columns)?;
                }
                self.columns = Some(columns);
                Ok(())
            }
            JobEvent::Rows { rows, mark, revision } => match self.format {
                RowFormat::Jsonl => self.lines(rows, mark, revision),
                RowFormat::Csv => self.csv(rows, mark, revision),
                RowFormat::Table => {
                    self.table.push(rows.clone());
                    Ok(())
                }
            },
            // What has been printed is to be seen while more is waited for.
            JobEvent::Read { .. } => Ok(self.out.flush()?),
            JobEvent::DeadLetter(letter) => {
                eprintln!("dead letter: {}: {}", letter.position, letter.reason);
                Ok(())
            }
        }
    }

    fn lines(&mut self, rows: &RecordBatch, mark: Mark, revision: u64) -> anyhow::Result<()> {
        let columns: Vec<usize> = (0..rows.num_columns()).collect();
        let mut text = String::new();
        for row in 0..rows.num_rows() {
            write_row(&mut text, rows, &columns, row);
            if self.tells_papers(&rows.schema()) {
                text.pop();
                text.push_str(&format!(
                    ",\"_mark\":\"{}\",\"_revision\":{revision}}}",
                    mark.as_str()
                ));
            }
            text.push('\n');
        }
        self.out.write_all(text.as_bytes())?;
        Ok(())
    }

    /// Whether mark and revision are added to rows; those of a view have them already.
    fn tells_papers(&self, columns: &SchemaRef) -> bool {
        self.emit == Emit::Changes && columns.column_with_name(MARK_COLUMN).is_none()
    }

    fn csv_header(&mut self, columns: &SchemaRef) -> anyhow::Result<()> {
        let mut names: Vec<&str> =
            columns.fields().iter().map(|field| field.name().as_str()).collect();
        if self.tells_papers(columns) {
            names.extend(["_mark", "_revision"]);
        }
        let quoted: Vec<String> = names.into_iter().map(quoted).collect();
        writeln!(self.out, "{}", quoted.join(","))?;
        Ok(())
    }

    fn csv(&mut self, rows: &RecordBatch, mark: Mark, revision: u64) -> anyhow::Result<()> {
        let mut text = Vec::new();
        arrow::csv::WriterBuilder::new().with_header(false).build(&mut text).write(rows)?;
        if !self.tells_papers(&rows.schema()) {
            self.out.write_all(&text)?;
            return Ok(());
        }
        let mut reader = csv_records(&text);
        for record in reader.by_ref() {
            writeln!(self.out, "{record},{},{revision}", mark.as_str())?;
        }
        Ok(())
    }

    fn print_table(&mut self) -> anyhow::Result<()> {
        if self.format != RowFormat::Table {
            return Ok(());
        }
        let Some(columns) = self.columns.take() else { return Ok(()) };
        let mut batches = std::mem::take(&mut self.table);
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(Arc::clone(&columns)));
        }
        writeln!(self.out, "{}", arrow::util::pretty::pretty_format_batches(&batches)?)?;
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.print_table()?;
        self.out.flush()?;
        Ok(())
    }
}

/// A field as RFC 4180 writes it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// The records of CSV text; a line break within quotes belongs to its record.
fn csv_records(text: &[u8]) -> impl Iterator<Item = String> {
    let text = String::from_utf8_lossy(text).into_owned();
    let mut records = Vec::new();
    let (mut from, mut within) = (0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => within = !within,
            '\n' if !within => {
                records.push(text[from..at].trim_end_matches('\r').to_owned());
                from = at + 1;
            }
            _ => {}
        }
    }
    records.into_iter()
}
