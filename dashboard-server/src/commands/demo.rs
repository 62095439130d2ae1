//! `tidemark demo`: a generated Double 11 on an embedded log.

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;
use tidemark_pipeline::generator::last_year::last_year_points;
use tidemark_pipeline::generator::{
    Generator, GeneratorOptions, Records, Service, Services, Shares, play,
};
use tidemark_pipeline::results::{Mode, Results, ViewInfo};
use tidemark_pipeline::run::live;
use tidemark_pipeline::source::local_log::LocalLogWriter;
use tidemark_pipeline::source::pace::{Speed, SystemClock};
use tidemark_pipeline::source::player::Stage;
use tidemark_pipeline::source::progress::Progress;
use tidemark_pipeline::sql::Catalog;

use super::prepared::prepared;
use super::serve::Embedded;
use super::serving::{self, Input, ORDERS};
use super::sole::{self, Sole};
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
    demo/ of the data folder, and is refused where another one runs in it.")]
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
    /// Share of records that are load test: they count in no figure and show on /screens/NAME?space=shadow
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub shadow: f64,
    /// Seed of the generated orders: the same seed is the same day
    #[arg(long, value_name = "NUMBER", default_value_t = 11)]
    pub seed: u64,
}

/// Generates and serves until it is told to stop.
///
/// # Errors
/// When it cannot start, or stops by itself.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let (mut config, _) = prepared(&args.config, &args.doors, |_| None)?;
    config.pipeline.data_dir = config.pipeline.data_dir.join("demo");
    let mut sole = Sole::take(&config.pipeline.data_dir)?;
    begin_anew(&config.pipeline.data_dir)?;
    // With nothing of an earlier demo anywhere: its log is gone.
    let own = |name: &str| config.pipeline.data_dir.join(name);
    let (checkpoints, history, key) = (own("checkpoints"), own("history"), own("history.key"));
    config.pipeline.checkpoint_store = checkpoints.display().to_string();
    config.pipeline.history.store = history.display().to_string();
    config.pipeline.history.key_file = key;
    // The demo needs no Kafka, whatever the stream says.
    set_for_all(&mut config, "connector", "embedded")?;
    give_last_year(&mut config, &options(&args)?)?;
    let catalog = serving::load_catalog(&config)?;
    let played = played(&catalog, args.stream.as_deref())?;
    let generator = || {
        let options = options(&args)?;
        Generator::new(options).map_err(|mistakes| anyhow::anyhow!(mistakes.join("\n")))
    };
    refuse_another_schema(&mut generator()?, &catalog, &played)?;
    let generator = generator()?;
    let mut embedded = Embedded::default();
    let streams = catalog.logs().map(|plan| embedded.add(&config, &plan.definition));
    let streams = streams.collect::<anyhow::Result<_>>()?;
    let mut playing: Vec<(Box<dyn Records>, LocalLogWriter)> =
        vec![(Box::new(generator), embedded.writer(&played)?)];
    if played == ORDERS {
        for plan in catalog.logs() {
            let name = &plan.definition.name;
            let Some(service) = Service::of_stream(name) else { continue };
            let services = Services::new(service, options(&args)?)
                .map_err(|mistakes| anyhow::anyhow!(mistakes.join("\n")))?;
            playing.push((Box::new(services), embedded.writer(name)?));
        }
    }
    let input = Input { streams, mode: Mode::Demo, ingest: embedded.ingest(), start: live::start };
    let stop = Arc::new(AtomicBool::new(false));
    let start = |(records, writer)| start_playing(records, writer, args.speed, Arc::clone(&stop));
    let playing: Vec<_> = playing.into_iter().map(start).collect::<anyhow::Result<_>>()?;
    let is_quiet = args.config.quiet;
    let again = (args.config.clone(), args.doors.clone());
    let again = Box::new(move || again.0.load(&again.1));
    let started = |bound: Bound, results: &Arc<Results>| {
        sole.is_at(&bound.http.to_string());
        serving::print_addresses(bound);
        if !is_quiet {
            welcome(bound, &results.views());
        }
    };
    let served = serving::run(config, catalog, input, started, again);
    stop.store(true, Ordering::Relaxed);
    for thread in playing {
        if thread.join().is_err() {
            bail!("the generator panicked");
        }
    }
    served
}

/// The stream that is played: the named one, the only one, or among several the one the orders are for.
fn played(catalog: &Catalog, wanted: Option<&str>) -> anyhow::Result<String> {
    let orders = catalog.streams.contains_key(ORDERS).then_some(ORDERS);
    let wanted = wanted.or(orders.filter(|_| catalog.logs().count() > 1));
    Ok(serving::chosen_stream(catalog, wanted)?.definition.name.clone())
}

/// Records that are looked at to see whether a stream takes what the generator makes.
const LOOKED_AT: usize = 200;

/// A stream of another schema would reject every record, and the wall would stay empty without a word.
fn refuse_another_schema(
    generator: &mut Generator,
    catalog: &Catalog,
    stream: &str,
) -> anyhow::Result<()> {
    let Some(plan) = catalog.streams.get(stream) else { return Ok(()) };
    let mut made = BTreeSet::new();
    for _ in 0..LOOKED_AT {
        let Some(generated) = generator.next_record() else { break };
        let record: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(generated.record.payload).unwrap_or_default();
        made.extend(record.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name));
    }
    let needed = plan.definition.columns.iter().filter(|column| column.is_field());
    let needed =
        needed.filter(|column| !column.field.is_nullable()).map(|column| column.field.name());
    let missing: Vec<&str> =
        needed.filter(|name| !made.contains(*name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "stream {stream} needs columns the demo's generated orders do not have: {}. Every record would be \
         rejected. Play your own records: `tidemark serve` with 'connector' = 'embedded' and POST \
         /api/ingest/{stream} or `tidemark replay`",
        missing.join(", ")
    )
}

/// Reference table of running totals, which the demo fills with a year it has made up.
const POINTS: &str = "reference_points";

/// The demo is compared with a generated last year, never with a real one.
fn give_last_year(
    config: &mut crate::config::Config,
    options: &GeneratorOptions,
) -> anyhow::Result<()> {
    if !serving::load_catalog(config)?.reference.contains_key(POINTS) {
        return Ok(());
    }
    let file = std::path::absolute(config.pipeline.data_dir.join("last_year.csv"))?;
    fs::write(&file, last_year_points(options))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let table = config.pipeline.streams.entry(POINTS.to_owned()).or_default();
    table.insert("path".to_owned(), file.display().to_string());
    Ok(())
}

/// What a demo keeps of the one before: who is let in, which is of no log, so that a paired wall stays paired; and its lock.
const KEPT: [&str; 2] = ["devices.json", sole::FILE];

/// Every demo begins with a folder of its own in which nothing is of an earlier log.
fn begin_anew(dir: &std::path::Path) -> anyhow::Result<()> {
    let cleared = || format!("cannot clear {}", dir.display());
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for entry in fs::read_dir(dir).with_context(cleared)? {
        let entry = entry.with_context(cleared)?;
        if KEPT.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        let is_folder = entry.file_type().with_context(cleared)?.is_dir();
        let path = entry.path();
        if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) }
            .with_context(cleared)?;
    }
    Ok(())
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
    let base = GeneratorOptions::default();
    let options = GeneratorOptions {
        shares: Shares { shadow: args.shadow, ..base.shares },
        seed: args.seed,
        days: None,
        from_second: chrono::Timelike::num_seconds_from_midnight(&time),
        ..base
    };
    // Orders a second of the wall clock are fewer a second of the faster day.
    Ok(options.with_rates(Some(args.rate / args.speed), None))
}

fn start_playing(
    mut generator: Box<dyn Records>,
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
        if let Err(error) = play(generator.as_mut(), Speed::Times(speed), stage) {
            tracing::error!(%error, "the generator stopped: {error}");
        }
    })?;
    Ok(playing)
}

#[expect(
    clippy::print_stderr,
    reason = "a word to the person who started it, apart from the addresses"
)]
fn welcome(bound: Bound, views: &[Arc<ViewInfo>]) {
    eprintln!("\n  A generated Double 11 is playing. Open  http://{}\n", bound.http);
    if let (Some(postgres), Some(view)) = (bound.postgres, views.first()) {
        let (ip, port, name) = (postgres.ip(), postgres.port(), &view.name);
        eprintln!("  psql:      psql -h {ip} -p {port} -c 'SELECT * FROM {name}'");
    }
    if let Some(view) = views.iter().find(|view| is_one_figure(view)) {
        eprintln!("  a figure:  curl http://{}/api/headline/{}", bound.http, view.name);
    }
    eprintln!("  stop:      Ctrl-C\n");
}

/// Whether a view has one row a window, so that its headline needs no key.
fn is_one_figure(view: &ViewInfo) -> bool {
    let window = [view.window_start, view.window_end];
    let window = window.into_iter().flatten().filter_map(|at| view.schema.fields().get(at));
    let window: Vec<&String> = window.map(|field| field.name()).collect();
    view.scope.is_some() && view.keys.iter().all(|key| window.contains(&key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql_dir: &std::path::Path, stream: &str) -> anyhow::Result<()> {
        let catalog = tidemark_pipeline::run::reference::catalog(
            sql_dir,
            &std::collections::BTreeMap::new(),
            Default::default(),
        )
        .map_err(serving::together)?;
        let mut generator = Generator::new(GeneratorOptions::default()).expect("valid");
        refuse_another_schema(&mut generator, &catalog, stream)
    }

    #[test]
    fn a_demo_begins_with_nothing_of_the_one_before_but_its_paired_walls() {
        let folder = tempfile::tempdir().expect("folder");
        let dir = folder.path().join("demo");
        begin_anew(&dir).expect("made");
        fs::create_dir(dir.join("checkpoints")).expect("folder");
        fs::write(dir.join("checkpoints/1"), "old").expect("written");
        fs::write(dir.join("history.key"), "old").expect("written");
        fs::write(dir.join("devices.json"), "[]").expect("written");
        let _sole = Sole::take(&dir).expect("free");
        begin_anew(&dir).expect("cleared");
        let mut left: Vec<_> =
            fs::read_dir(&dir).expect("there").flatten().map(|entry| entry.file_name()).collect();
        left.sort();
        assert_eq!(left, ["demo.lock", "devices.json"]);
        assert!(Sole::take(&dir).is_err(), "it is still the first one's");
    }

    #[test]
    fn the_shipped_stream_takes_what_the_demo_makes_and_another_schema_is_refused() {
        let shipped = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql"));
        check(shipped, ORDERS).expect("fits");
        let folder = tempfile::tempdir().expect("folder");
        std::fs::create_dir(folder.path().join("streams")).expect("folder");
        let sql = "CREATE TABLE parcels (parcel STRING NOT NULL, weighed_at TIMESTAMP(3) NOT NULL, note STRING,\n\
                   WATERMARK FOR weighed_at AS weighed_at - INTERVAL '5' SECOND) WITH ('connector' = 'embedded');";
        std::fs::write(folder.path().join("streams/parcels.sql"), sql).expect("writes");
        let refused = check(folder.path(), "parcels").expect_err("fits nothing").to_string();
        assert!(refused.contains("parcel, weighed_at") && !refused.contains("note"), "{refused}");
    }
}
