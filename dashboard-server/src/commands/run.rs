//! `tidemark run`: a SQL script as a local job.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::{Args, ValueEnum};
use tidemark_pipeline::config::DEDUP_MEMORY_BYTES_MAX;
use tidemark_pipeline::results::Mark;
use tidemark_pipeline::results::json::write_row;
use tidemark_pipeline::run::job::{self, JobEvent, JobOptions};

/// Arguments of `tidemark run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark run job.sql                      print the final rows as JSON lines\n  \
    tidemark run job.sql --emit changes       every change, as it happens\n  \
    tidemark run job.sql --format csv > result.csv\n  \
    cat orders.jsonl | tidemark run job.sql   with 'connector' = 'stdin'\n\n\
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
        dedup_memory_bytes_max: DEDUP_MEMORY_BYTES_MAX,
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
    if !args.quiet {
        let (read, accepted, duplicate) = (records.read, records.accepted, records.duplicate);
        eprintln!("{read} records read, {accepted} accepted, {duplicate} duplicate");
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
            if self.emit == Emit::Changes {
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

    fn csv_header(&mut self, columns: &SchemaRef) -> anyhow::Result<()> {
        let mut names: Vec<&str> =
            columns.fields().iter().map(|field| field.name().as_str()).collect();
        if self.emit == Emit::Changes {
            names.extend(["_mark", "_revision"]);
        }
        let quoted: Vec<String> = names.into_iter().map(quoted).collect();
        writeln!(self.out, "{}", quoted.join(","))?;
        Ok(())
    }

    fn csv(&mut self, rows: &RecordBatch, mark: Mark, revision: u64) -> anyhow::Result<()> {
        let mut text = Vec::new();
        arrow::csv::WriterBuilder::new().with_header(false).build(&mut text).write(rows)?;
        if self.emit == Emit::Final {
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
