//! `tidemark load`: generated orders into Kafka, the embedded log or a Parquet file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use chrono::NaiveDate;
use clap::Args;
use tidemark_pipeline::generator::{
    Generator, GeneratorOptions, Records, Service, Services, Shares, play,
};
use tidemark_pipeline::source::pace::{Speed, SystemClock};
use tidemark_pipeline::source::parquet_writer::ParquetFileWriter;
use tidemark_pipeline::source::player::Stage;
use tidemark_pipeline::source::progress::Progress;
use tidemark_pipeline::source::writer::LogWriter;

use super::destination::{self, Destination, DestinationArgs};
use super::{ConfigArgs, DoorArgs, serving};

/// Arguments of `tidemark load`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark load --bootstrap kafka:9092 --topic orders --orders 10000000\n  \
    tidemark load --bootstrap kafka:9092 --topic orders --rate 50000 --speed 1\n  \
    tidemark load --to local --data-dir data --orders 1000000 --duplicate 0.3\n  \
    tidemark load --to parquet --file day.parquet --orders 1000000 --seed 7\n\n\
    The same seed and options are the same bytes. Shares are from 0 to 0.95.")]
pub struct LoadArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where to.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// Stream that is written, where the SQL folder declares several
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// The file, with --to parquet
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Orders in a day
    #[arg(long, value_name = "ORDERS", default_value_t = 1_000_000)]
    pub orders: u64,
    /// Mean orders per second of the day, in place of --orders
    #[arg(long, value_name = "ORDERS", conflicts_with = "orders")]
    pub rate: Option<f64>,
    /// Orders in the peak second, 26 s after midnight, in place of --orders
    #[arg(long, value_name = "ORDERS", conflicts_with = "orders")]
    pub peak: Option<f64>,
    /// Seconds of the day per second of the wall clock; as fast as it goes if not given
    #[arg(long, value_name = "FACTOR")]
    pub speed: Option<f64>,
    /// The day
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2020-11-11")]
    pub date: NaiveDate,
    /// Days, one after another
    #[arg(long, value_name = "DAYS", default_value_t = 1)]
    pub days: u32,
    /// Seed: the same seed is the same orders
    #[arg(long, value_name = "NUMBER", default_value_t = 11)]
    pub seed: u64,
    /// Share of events sent again
    #[arg(long, value_name = "SHARE", default_value_t = 0.005)]
    pub duplicate: f64,
    /// Share of events that arrive late
    #[arg(long, value_name = "SHARE", default_value_t = 0.003)]
    pub late: f64,
    /// Share of events of which a broken copy comes first
    #[arg(long, value_name = "SHARE", default_value_t = 0.000_02)]
    pub malformed: f64,
    /// Share of orders with something out of the ordinary, as two cancellations or a refund too large
    #[arg(long, value_name = "SHARE", default_value_t = 0.002)]
    pub oddities: f64,
    /// Share of paid orders that are refunded
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub refunded: f64,
    /// Share of orders that are cancelled
    #[arg(long, value_name = "SHARE", default_value_t = 0.06)]
    pub cancelled: f64,
    /// Share of orders bought ahead, with deposit and balance
    #[arg(long, value_name = "SHARE", default_value_t = 0.08)]
    pub presale: f64,
    /// Share of records that are load test
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub shadow: f64,
}

/// Generates the day to its end.
///
/// # Errors
/// When the options do not fit or the destination cannot be written.
pub fn run(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let told_mistakes = |mistakes: Vec<String>| anyhow::anyhow!(mistakes.join("\n"));
    let orders = Generator::new(options(&args)).map_err(told_mistakes)?;
    let config = args.config.load(&DoorArgs::default())?;
    let catalog = serving::load_catalog(&config)?;
    let plan = serving::chosen_stream(&catalog, args.stream.as_deref())?;
    let speed = destination::speed(args.speed)?;
    let (mut generator, expected): (Box<dyn Records>, _) =
        match Service::of_stream(&plan.definition.name) {
            Some(service) => {
                (Box::new(Services::new(service, options(&args)).map_err(told_mistakes)?), None)
            }
            None => {
                let expected = orders.records_expected();
                (Box::new(orders), expected)
            }
        };
    let progress = Progress::new("records", expected, args.config.quiet);
    if args.destination.to == Destination::Parquet {
        let path = args.file.context("--to parquet needs --file FILE")?;
        let mut writer = ParquetFileWriter::create(&path, plan.fields())?;
        let written = write(generator.as_mut(), &mut writer, speed, &progress)?;
        writer.finish()?;
        return Ok(told(written, &path.display().to_string(), writer.left_out()));
    }
    let mut writer = destination::open(&args.destination, &config, &plan.definition)?;
    let written = write(generator.as_mut(), writer.as_mut(), speed, &progress)?;
    let origin = writer.origin().to_owned();
    Ok(told(written, &origin, 0))
}

fn write(
    generator: &mut dyn Records,
    writer: &mut dyn LogWriter,
    speed: Speed,
    progress: &Progress,
) -> anyhow::Result<u64> {
    let stop = AtomicBool::new(false);
    let stage = Stage { writer, clock: &SystemClock::start(), progress, stop: &stop };
    let summary = play(generator, speed, stage)?;
    progress.finish();
    Ok(summary.records)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn told(records: u64, origin: &str, left_out: u64) -> ExitCode {
    println!("{records} records written to {origin}");
    if left_out > 0 {
        println!(
            "{left_out} records have no place in a table and were left out (broken copies, control records)"
        );
    }
    ExitCode::SUCCESS
}

fn options(args: &LoadArgs) -> GeneratorOptions {
    let shares = Shares {
        cancelled: args.cancelled,
        refunded: args.refunded,
        presale: args.presale,
        duplicate: args.duplicate,
        late: args.late,
        malformed: args.malformed,
        oddities: args.oddities,
        shadow: args.shadow,
        ..Shares::default()
    };
    let options = GeneratorOptions {
        orders_a_day: args.orders,
        seed: args.seed,
        date: args.date,
        days: Some(args.days),
        shares,
        ..GeneratorOptions::default()
    };
    match (args.rate, args.peak) {
        (None, None) => options,
        (mean, peak) => options.with_rates(mean, peak),
    }
}
