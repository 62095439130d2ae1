//! The folder `sql/` into a catalogue: its files in the order in which they need one another.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;

use super::catalog::Catalog;
use super::error::SqlError;
use super::folder::read_folder;
use super::lifecycle;
use super::options::Options;
use super::refusal::located;
use super::scope::without_later;
use super::script::{Statement, StatementKind};
use super::session::{analyzed, tables_of};
use super::state_estimate::StateBounds;
use super::stream_plan::StreamPlan;
use super::view::ViewDefinition;
use crate::config::StreamOverrides;
use crate::model::Zone;

/// Reads all rows of a reference table; sources are no matter of the planner's.
pub type ReadRows<'a> = &'a dyn Fn(&StreamPlan) -> Result<RecordBatch, Vec<SqlError>>;

/// A view, or every mistake in it.
type Planned = Result<ViewDefinition, Vec<SqlError>>;

/// As much stack as the main thread has: planning recurses into the query.
const STACK_BYTES: usize = 8 << 20;

impl Catalog {
    /// Reads and plans a folder; `read_rows` reads its reference tables.
    ///
    /// # Errors
    /// Every mistake in it, in the order of the files.
    pub fn load_with(
        dir: &Path,
        overrides: &StreamOverrides,
        bounds: StateBounds,
        read_rows: ReadRows<'_>,
    ) -> Result<Self, Vec<SqlError>> {
        let mut catalog = Self { bounds, ..Self::empty() };
        let mut errors = Vec::new();
        let zone = Zone::named("Asia/Shanghai").unwrap_or(Zone::UTC);
        for folder in ["streams", "reference", "scopes", "views"] {
            let mut statements = read_folder(&dir.join(folder), &mut errors);
            // A derived table may stand in a file before its source's.
            statements.sort_by_key(|statement| match &statement.kind {
                StatementKind::CreateTable(table) => {
                    (lifecycle::is_derived(table), table.like.is_some())
                }
                _ => (false, false),
            });
            while !statements.is_empty() {
                let (ready, rest) = catalog.ready(statements);
                statements = rest;
                let planned = catalog.planned_views(folder, &ready);
                for (statement, planned) in ready.iter().zip(planned) {
                    let added = match planned {
                        Some(view) => view.and_then(|view| catalog.keep_view(view)),
                        None => catalog.add(folder, statement, (zone, overrides), read_rows),
                    };
                    errors.extend(added.err().into_iter().flatten());
                }
            }
        }
        errors.extend(without_later(&catalog.scopes));
        if catalog.streams.is_empty() && errors.is_empty() {
            let message =
                "no stream is declared; put a CREATE TABLE … WITH ('connector' = …) into streams/";
            errors.push(SqlError::of_file(dir, message));
        }
        let is_known =
            |name: &str| catalog.streams.contains_key(name) || catalog.reference.contains_key(name);
        for name in overrides.keys().filter(|name| !is_known(name)) {
            let message =
                format!("the config has [streams.{name}], but no file declares that stream");
            errors.push(SqlError::of_file(&dir.join("streams"), message));
        }
        catalog.views.sort_by(|left, right| left.name.cmp(&right.name));
        if errors.is_empty() { Ok(catalog) } else { Err(errors) }
    }

    /// The statements that read none of the others, and the rest. Views may stand in any order; those that
    /// read one another in a circle come last, and are then refused for what they do not find.
    fn ready(&self, statements: Vec<Statement>) -> (Vec<Statement>, Vec<Statement>) {
        let name = |statement: &Statement| match &statement.kind {
            StatementKind::CreateView(view) => Some(view.name.clone()),
            _ => None,
        };
        let names: BTreeSet<String> = statements.iter().filter_map(name).collect();
        let state = self.context.state();
        let waits = |statement: &Statement| match &statement.kind {
            StatementKind::CreateView(view) => {
                tables_of(&state, &view.query).iter().any(|read| names.contains(read))
            }
            _ => false,
        };
        let (waiting, ready): (Vec<_>, Vec<_>) = statements.into_iter().partition(waits);
        if ready.is_empty() { (waiting, Vec::new()) } else { (ready, waiting) }
    }

    /// Plans the materialized views among statements that read none of one another, side by side: planning them is
    /// most of a start. `None` for every other statement.
    fn planned_views(&self, folder: &str, statements: &[Statement]) -> Vec<Option<Planned>> {
        let one = |statement: &Statement| match &statement.kind {
            StatementKind::CreateView(view) if folder == "views" && view.materialized => {
                let failed = |error| vec![located(statement, &view.query, &error)];
                let logical = analyzed(&self.context.state(), &view.query).map_err(failed);
                Some(logical.and_then(|logical| self.planned_view(statement, view, &logical)))
            }
            _ => None,
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let next = AtomicUsize::new(0);
        let take = || {
            let mut taken = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(statement) = statements.get(at) else { return taken };
                taken.push((at, one(statement)));
            }
        };
        let mut planned = std::thread::scope(|scope| {
            let beside = (1..threads.min(statements.len())).filter_map(|_| {
                // Where the system gives no thread, this one plans what is left.
                std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, take).ok()
            });
            let beside: Vec<_> = beside.collect();
            let mut planned = take();
            for thread in beside {
                match thread.join() {
                    Ok(taken) => planned.extend(taken),
                    Err(panicked) => std::panic::resume_unwind(panicked),
                }
            }
            planned
        });
        planned.sort_unstable_by_key(|(at, _)| *at);
        planned.into_iter().map(|(_, view)| view).collect()
    }

    fn add(
        &mut self,
        folder: &str,
        statement: &Statement,
        (zone, overrides): (Zone, &StreamOverrides),
        read_rows: ReadRows<'_>,
    ) -> Result<(), Vec<SqlError>> {
        match (&statement.kind, folder) {
            (StatementKind::CreateTable(table), "streams") => {
                let none = Options::new();
                let overrides = overrides.get(&table.name).unwrap_or(&none);
                self.add_stream(statement, table, zone, overrides).map(drop)
            }
            (StatementKind::CreateTable(table), "reference") => {
                let none = Options::new();
                let overrides = overrides.get(&table.name).unwrap_or(&none);
                self.add_reference(statement, table, overrides, read_rows)
            }
            (StatementKind::CreateView(view), "scopes") if !view.materialized => {
                self.add_scope(statement, view)
            }
            (StatementKind::CreateView(view), "views") if view.materialized => {
                self.add_view(statement, view)
            }
            (StatementKind::CreateView(view), "views") => self.add_view_table(statement, view),
            _ => {
                let message = format!(
                    "{folder}/ holds {} only",
                    match folder {
                        "streams" | "reference" => "CREATE TABLE statements",
                        "scopes" => "CREATE VIEW statements",
                        _ => "CREATE MATERIALIZED VIEW and CREATE VIEW statements",
                    }
                );
                Err(vec![SqlError::at(&statement.file, statement.place, message)])
            }
        }
    }
}
