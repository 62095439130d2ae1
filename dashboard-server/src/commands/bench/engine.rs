//! The engine against DataFusion: the same Arrow batches in memory, one view after another.
//!
//! The engine folds every batch, takes its states out as often as a publish would, merges them and puts
//! the windows together. DataFusion makes one pass over all batches with the same query, in which the
//! window function has become what it means to a batch: `date_bin`. Both have one thread.

use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};
use tidemark_pipeline::model::Zone;
use tidemark_pipeline::run::build::ViewToRun;
use tidemark_pipeline::run::publisher::views_to_run;
use tidemark_pipeline::run::reference;
use tidemark_pipeline::sql::Catalog;
use tidemark_pipeline::sql::catalog::{ViewDefinition, ViewQuery};
use tidemark_pipeline::windows::ViewFold;
use tidemark_pipeline::windows::fire::Progress;
use tidemark_pipeline::windows::fold::Accepted;

use super::process::thread_seconds;
use super::records::Records;
use super::stages::{BATCHES_A_DRAIN, Batch, admitted};
use super::table::{Row, Table, best_and_median};
use super::{BATCH_RECORDS, Bench, serving};

/// Midnight of the generated day.
const MIDNIGHT: &str = "TIMESTAMP '2020-11-10T16:00:00Z'";

/// Measures every view over the stream itself, and all together.
///
/// # Errors
/// When a view fails.
pub(super) fn measure(
    bench: &Bench,
    catalog: &Catalog,
    day: &Records,
    table: &mut Table,
) -> anyhow::Result<()> {
    let plan = serving::chosen_stream(catalog, None)?;
    let batches = admitted(plan, day)?;
    let rows: usize = batches.iter().map(|(rows, _)| rows.len()).sum();
    let name = plan.definition.name.as_str();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let context = runtime.block_on(datafusion_over(catalog, name, &batches))?;
    let (mut ours_ns, mut theirs_ns) = (0.0, 0.0);
    for view in views_to_run(catalog, name).iter().filter(|view| view.plan.stream == name) {
        let definition =
            catalog.views.iter().find(|one| view.key.starts_with(&format!("{}#", one.name)));
        let definition = definition.context("a view without a definition")?;
        // A join of two streams is no pass over one.
        if matches!(&definition.query, ViewQuery::Stream(plan) if plan.join.is_some()) {
            continue;
        }
        if let Err(error) = runtime.block_on(pass(&context, definition)) {
            let what = format!("view {}: the pass cannot be made", definition.name);
            let figure = format!("{error:#}").chars().take(80).collect();
            table.push(Row { what, figure, ..Row::default() });
            continue;
        }
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups = (0, 0);
        for _ in 0..bench.args.rounds {
            let began = thread_seconds()?;
            groups.0 = engine(view, plan.definition.zone, &batches)?;
            let engine_s = thread_seconds()? - began;
            let began = thread_seconds()?;
            groups.1 = runtime.block_on(pass(&context, definition))?;
            let pass_s = thread_seconds()? - began;
            ours.push(engine_s / rows as f64 * 1e9);
            theirs.push(pass_s / rows as f64 * 1e9);
            // Turned over, so that the best round of the ratio is its first too.
            ratios.push(engine_s / pass_s);
        }
        let ((ours, _), (theirs, _), (best, median)) =
            (best_and_median(&ours), best_and_median(&theirs), best_and_median(&ratios));
        ours_ns += ours;
        theirs_ns += theirs;
        table.push(Row {
            what: format!(
                "view {}: {} rows of result, {} of the pass",
                definition.name, groups.0, groups.1
            ),
            records: u64::try_from(rows)?,
            bytes: 0,
            cores: 1,
            figure: format!("{ours:.1} ns a row, DataFusion {theirs:.1}"),
            ratio: format!("{:.2}, median {:.2}", 1.0 / best, 1.0 / median),
        });
    }
    table.push(Row {
        what: format!(
            "all views over {name}, batches of {BATCH_RECORDS}, a drain every {BATCHES_A_DRAIN}"
        ),
        records: u64::try_from(rows)?,
        bytes: 0,
        cores: 1,
        figure: format!("{ours_ns:.0} ns a row, DataFusion {theirs_ns:.0}"),
        ratio: format!("{:.2} of DataFusion's speed", theirs_ns / ours_ns),
    });
    Ok(())
}

/// Folds all batches into a view and puts its windows together; how many rows they have.
fn engine(view: &ViewToRun, zone: Zone, batches: &[Batch]) -> anyhow::Result<usize> {
    let mut fold = ViewFold::new(Arc::clone(&view.plan), view.windows(zone))?;
    let mut state = view.state(zone)?;
    let mut shown = 0;
    for (at, (rows, _)) in batches.iter().enumerate() {
        let accepted = Accepted {
            batch: &rows.batch,
            times: &rows.times,
            watermarks: &rows.watermarks,
            arrivals: &rows.arrivals,
            records: None,
            corrections: &[],
        };
        fold.fold(accepted, &mut |_| {})?;
        let is_last = at + 1 == batches.len();
        if at % BATCHES_A_DRAIN == 0 || is_last {
            let watermark = rows.watermarks.last().copied().unwrap_or(i64::MIN);
            state.absorb(0, fold.drain(watermark)?)?;
            // Not ended: closing a day of one-second steps is no part of these records.
            let progress = Progress {
                watermark,
                settled: watermark,
                as_of: rows.as_of,
                partitions: 1,
                ended: false,
            };
            let firing = state.fire(progress)?;
            shown = firing.fired.iter().map(|fired| fired.rows.num_rows()).sum();
        }
    }
    Ok(shown)
}

/// A session with the batches under the stream's name, the scopes and the reference tables.
async fn datafusion_over(
    catalog: &Catalog,
    stream: &str,
    batches: &[Batch],
) -> anyhow::Result<SessionContext> {
    let config = SessionConfig::new().with_target_partitions(1).with_batch_size(BATCH_RECORDS);
    let context = SessionContext::new_with_config(config);
    let rows: Vec<RecordBatch> = batches.iter().map(|(rows, _)| rows.batch.clone()).collect();
    let schema = rows.first().context("no rows")?.schema();
    context.register_table(stream, Arc::new(MemTable::try_new(schema, vec![rows])?))?;
    for (name, table) in reference::load(catalog).map_err(serving::together)? {
        context.register_table(name.as_str(), table)?;
    }
    for scope in catalog.scopes.values() {
        // Those over a life cycle have no table here.
        let _not_over_the_stream = context.sql(&scope.text).await;
    }
    let levels = catalog.context.sql("SELECT * FROM milestone_levels").await;
    if let Ok(levels) = levels {
        let schema = Arc::new(levels.schema().as_arrow().clone());
        context.register_table(
            "milestone_levels",
            Arc::new(MemTable::try_new(schema, vec![levels.collect().await?])?),
        )?;
    }
    Ok(context)
}

async fn pass(context: &SessionContext, view: &ViewDefinition) -> anyhow::Result<usize> {
    let query =
        as_batch(&view.statement.text).with_context(|| format!("the query of {}", view.name))?;
    let plan = context.sql(&query).await?.create_physical_plan().await?;
    let rows = collect(plan, context.task_ctx()).await?;
    Ok(rows.iter().map(RecordBatch::num_rows).sum())
}

/// A view's query for a batch engine: window functions as `date_bin`, `CUMULATE` by its steps, our
/// percentile as DataFusion's.
fn as_batch(statement: &str) -> Option<String> {
    let (_, query) = statement.split_once("AS\nSELECT")?;
    let mut query = format!("SELECT{query}").replace(';', "");
    for share in ["0.5", "0.99"] {
        let ours = format!("APPROX_PERCENTILE(lag_ms, {share})");
        query = query.replace(
            &ours,
            &format!("approx_percentile_cont({share}) WITHIN GROUP (ORDER BY lag_ms)"),
        );
    }
    let Some((before, rest)) = query.split_once("TABLE(") else { return Some(query) };
    let (call, after) = rest.split_once("))")?;
    let (_, arguments) = call.split_once('(')?;
    let mut arguments = arguments.split(", ");
    let table = arguments.next()?.strip_prefix("TABLE ")?;
    let time = arguments.next()?.strip_prefix("DESCRIPTOR(")?.strip_suffix(')')?;
    let size = arguments.next()?;
    let start = format!("date_bin({size}, {time}, {MIDNIGHT})");
    Some(format!(
        "{before}(SELECT *, {start} AS window_start, {start} + {size} AS window_end FROM {table}){after}"
    ))
}
