//! `tidemark demo`: a generated Double 11 on an embedded log.

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;
use tidemark_pipeline::generator::{Generator, GeneratorOptions, play};
use tidemark_pipeline::results::Mode;
use tidemark_pipeline::source::local_log::LocalLogWriter;
use tidemark_pipeline::source::pace::{Speed, SystemClock};
use tidemark_pipeline::source::player::Stage;
use tidemark_pipeline::source::progress::Progress;
use tidemark_pipeline::sql::Catalog;

use super::serve::Embedded;
use super::serving::{self, Input};
use super::{ConfigArgs, DoorArgs};
use crate::server::Bound;

/// Arguments of `tidemark demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tidemark demo                           then open http://127.0.0.1:8080\n  \
    tidemark demo --rate 20000 --speed 60   an hour of the day each minute\n  \
    tidemark demo --from 20:00              begin in the evening\n  \
    tidemark demo --listen 127.0.0.1:9000 --data-dir /tmp/demo\n\n\
    The wall says DEMO as long as the orders are generated. Every demo begins anew, in the folder\n\
    demo/ of the data folder.")]
pub struct DemoArgs {
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Addresses.
    #[command(flatten)]
    pub doors: DoorArgs,
    /// Mean orders per second, by the wall clock
    #[arg(long, value_name = "ORDERS", default_value_t = 1_000.0)]
    pub rate: f64,
    /// Seconds of the generated day per second of the wall clock
    #[arg(long, value_name = "FACTOR", default_value_t = 60.0)]
    pub speed: f64,
    /// Time of the day at which it begins
    #[arg(long, value_name = "HH:MM", default_value = "00:00")]
    pub from: String,
    /// Stream that is played, where the SQL folder declares several [default: orders]
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// Seed of the generated orders: the same seed is the same day
    #[arg(long, value_name = "NUMBER", default_value_t = 11)]
    pub seed: u64,
}

/// Name of the stream the shipped SQL declares for what is generated.
const ORDERS: &str = "orders";

/// Generates and serves until it is told to stop.
///
/// # Errors
/// When it cannot start, or stops by itself.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut config = args.config.load(&args.doors)?;
    config.pipeline.data_dir = config.pipeline.data_dir.join("demo");
    begin_anew(&config.pipeline.data_dir)?;
    // The demo needs no Kafka, whatever the stream says.
    set_for_all(&mut config, "connector", "embedded")?;
    let catalog = serving::load_catalog(&config)?;
    let played = played(&catalog, args.stream.as_deref())?;
    let generator = Generator::new(options(&args)?).map_err(|mistakes| anyhow::anyhow!(mistakes.join("\n")))?;
    let mut embedded = Embedded::default();
    let streams = catalog.logs().map(|plan| embedded.add(&config, &plan.definition));
    let streams = streams.collect::<anyhow::Result<_>>()?;
    let writer = embedded.writer(&played)?;
    let input = Input { streams, mode: Mode::Demo, ingest: embedded.ingest() };
    let stop = Arc::new(AtomicBool::new(false));
    let playing = start_playing(generator, writer, args.speed, Arc::clone(&stop))?;
    let is_quiet = args.config.quiet;
    let served = serving::run(config, catalog, input, |bound, _| {
        serving::print_addresses(bound);
        if !is_quiet {
            welcome(bound);
        }
    });
    stop.store(true, Ordering::Relaxed);
    if playing.join().is_err() {
        bail!("the generator panicked");
    }
    served
}

/// The stream that is played: the named one, the only one, or among several the one the orders are for.
fn played(catalog: &Catalog, wanted: Option<&str>) -> anyhow::Result<String> {
    let orders = catalog.streams.contains_key(ORDERS).then_some(ORDERS);
    let wanted = wanted.or(orders.filter(|_| catalog.logs().count() > 1));
    Ok(serving::chosen_stream(catalog, wanted)?.definition.name.clone())
}

/// Every demo begins with an empty folder of its own.
fn begin_anew(dir: &std::path::Path) -> anyhow::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot clear {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}

/// Overrides an option of every stream the SQL folder declares.
fn set_for_all(config: &mut crate::config::Config, key: &str, value: &str) -> anyhow::Result<()> {
    let catalog = serving::load_catalog(config)?;
    for plan in catalog.logs() {
        let options = config.pipeline.streams.entry(plan.definition.name.clone()).or_default();
        options.insert(key.to_owned(), value.to_owned());
    }
    Ok(())
}

fn options(args: &DemoArgs) -> anyhow::Result<GeneratorOptions> {
    let time = chrono::NaiveTime::parse_from_str(&args.from, "%H:%M")
        .with_context(|| format!("--from {}: write a time of the day, as 20:00", args.from))?;
    if args.speed.is_nan() || args.speed <= 0.0 {
        bail!("--speed {}: must be above 0", args.speed);
    }
    let options = GeneratorOptions {
        seed: args.seed,
        days: None,
        from_second: chrono::Timelike::num_seconds_from_midnight(&time),
        ..GeneratorOptions::default()
    };
    // Orders a second of the wall clock are fewer a second of the faster day.
    Ok(options.with_rates(Some(args.rate / args.speed), None))
}

fn start_playing(
    mut generator: Generator,
    mut writer: LocalLogWriter,
    speed: f64,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("tidemark-generator".to_owned());
    let playing = thread.spawn(move || {
        let stage = Stage {
            writer: &mut writer,
            clock: &SystemClock::start(),
            progress: &Progress::hidden(),
            stop: &stop,
        };
        if let Err(error) = play(&mut generator, Speed::Times(speed), stage) {
            tracing::error!(%error, "the generator stopped: {error}");
        }
    })?;
    Ok(playing)
}

#[expect(clippy::print_stderr, reason = "a word to the person who started it, apart from the addresses")]
fn welcome(bound: Bound) {
    eprintln!("\n  A generated Double 11 is playing. Open  http://{}\n", bound.http);
    if let Some(postgres) = bound.postgres {
        eprintln!("  psql:      psql -h {} -p {} -c 'SELECT * FROM gmv_by_province'", postgres.ip(), postgres.port());
    }
    eprintln!("  a figure:  curl http://{}/api/headline/gmv_day", bound.http);
    eprintln!("  stop:      Ctrl-C\n");
}
