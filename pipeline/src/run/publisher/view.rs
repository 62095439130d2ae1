//! One view: its state, what it shows, and what is known about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::Result;

use super::PublisherLimits;
use crate::ledger::Change;
use crate::model::{EventTime, Offset, PartitionId, Zone};
use crate::results::Keep;
use crate::results::published::{NewWindow, schema_with_papers};
use crate::results::snapshot::{Bilingual, ROW_KEY};
use crate::results::{Mark, PublishedView, ViewInfo};
use crate::run::accounting::ViewRef;
use crate::run::build::ViewToRun;
use crate::sql::ScopeDefinition;
use crate::sql::catalog::{Catalog, ViewDefinition, ViewQuery};
use crate::sql::options::{Emit, Retention};
use crate::state::{SavedFold, Since};
use crate::windows::Drained;
use crate::windows::fire::{Fired, Progress, ViewState};
use crate::windows::sides::Side;

/// One view over a stream with its state and its published rows.
#[derive(Debug)]
pub struct ViewRuntime {
    /// See [`ViewToRun::key`].
    pub key: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The streams it reads: one, or the left and the right one of a join, of two logs.
    pub inputs: Vec<ViewInput>,
    /// SHA-256 of its definition.
    pub hash: String,
    /// Zone of its stream.
    zone: Zone,
    /// How it folds.
    pub run: ViewToRun,
    /// Bytes of state at which it is stopped.
    state_bytes_max: u64,
    /// Its late records, until it is shown.
    pub late: LateOfFill,
    /// The engine's state.
    pub state: ViewState,
    /// What is shown.
    pub published: PublishedView,
    /// Windows that an idle partition changed after they were shown as settled; they wait for the log now.
    unsettled: BTreeSet<(i64, i64)>,
    /// Why it was stopped, if it was.
    pub failed: Option<String>,
    /// Why it is stopped once what came before has been shown.
    failing: Option<String>,
    /// Whether it is filled again at the next start if it is stopped: what stopped it is not in the log.
    is_filled_again: bool,
    /// Windows that have no row because an expression fails on what they hold at this cut, and why.
    pub problems: BTreeMap<(i64, i64), String>,
    /// Whether it stands at the cut, so that it is part of it.
    pub is_shown: bool,
    /// Partitions that have not taken it over yet; it is shown when there are none.
    pub joining: BTreeSet<PartitionId>,
    /// Where it began in partitions whose log had been cut.
    pub since: BTreeMap<PartitionId, Since>,
}

/// A stream that a view reads.
#[derive(Debug, Clone)]
pub struct ViewInput {
    /// The stream.
    pub stream: Arc<str>,
    /// The stream of the log that its rows come from: the same, unless it is derived.
    pub base: Arc<str>,
    /// The side of the view's state that it feeds.
    pub side: Side,
}

impl ViewInput {
    fn of(catalog: &Catalog, stream: &str, side: Side) -> Self {
        let known = catalog.streams.get(stream);
        let base = known.map_or(stream, |known| known.definition.base());
        Self { stream: stream.into(), base: base.into(), side }
    }
}

/// Late records of a view that is not shown yet: they go to the ledger when it is, in place of those of the
/// definition before.
#[derive(Debug, Default)]
pub struct LateOfFill {
    changes: Vec<Change>,
    raw_bytes: usize,
}

/// Bytes of raw records that wait with a view; later entries are without, and the record is found in the log
/// by its place.
const LATE_RAW_BYTES_MAX: usize = 64 << 20;

/// Windows without a row that are told by name; of more the earliest are forgotten.
const PROBLEMS_MAX: usize = 1_000;

impl LateOfFill {
    /// Takes the entry of a late record.
    pub fn note(&mut self, mut change: Change) {
        if let Change::Begins(_, entry) = &mut change {
            match self.raw_bytes + entry.raw.len() {
                bytes if bytes <= LATE_RAW_BYTES_MAX => self.raw_bytes = bytes,
                _ => entry.raw = Vec::new(),
            }
        }
        self.changes.push(change);
    }

    /// Gives them away.
    pub fn take(&mut self) -> Vec<Change> {
        self.raw_bytes = 0;
        std::mem::take(&mut self.changes)
    }
}

impl ViewRuntime {
    /// A view before its first record; `None` for one over the engine's own tables.
    ///
    /// # Errors
    /// When its state cannot be made.
    pub fn new(
        catalog: &Catalog,
        view: &ViewDefinition,
        limits: PublisherLimits,
    ) -> Result<Option<Self>> {
        let ViewQuery::Stream(plan) = &view.query else { return Ok(None) };
        let stream = catalog.streams.get(&plan.stream);
        let zone = stream.map_or(Zone::UTC, |stream| stream.definition.zone);
        let inputs = plan.streams().zip([Side::Left, Side::Right]);
        let Some(run) = view_to_run(view) else { return Ok(None) };
        Ok(Some(Self {
            key: Arc::clone(&run.key),
            name: view.name.as_str().into(),
            inputs: inputs.map(|(name, side)| ViewInput::of(catalog, name, side)).collect(),
            hash: view.hash.clone(),
            state: run.state(zone)?,
            zone,
            run,
            state_bytes_max: view.state_bytes_max,
            late: LateOfFill::default(),
            published: published(catalog, view, limits),
            unsettled: BTreeSet::new(),
            failed: None,
            failing: None,
            is_filled_again: false,
            problems: BTreeMap::new(),
            is_shown: true,
            joining: BTreeSet::new(),
            since: BTreeMap::new(),
        }))
    }

    /// The same view before its first record. It is part of the cut when this one is.
    ///
    /// # Errors
    /// When its state cannot be made.
    pub fn alike(&self) -> Result<Self> {
        Ok(Self {
            key: Arc::clone(&self.key),
            name: Arc::clone(&self.name),
            inputs: self.inputs.clone(),
            hash: self.hash.clone(),
            state: self.run.state(self.zone)?,
            zone: self.zone,
            state_bytes_max: self.state_bytes_max,
            late: LateOfFill::default(),
            run: self.run.clone(),
            published: self.published.alike(),
            unsettled: BTreeSet::new(),
            failed: self.failed.clone(),
            failing: self.failing.clone(),
            is_filled_again: self.is_filled_again,
            problems: BTreeMap::new(),
            is_shown: self.is_shown,
            joining: BTreeSet::new(),
            since: BTreeMap::new(),
        })
    }

    /// What it reads of a stream of the log; `None` if it reads another.
    #[must_use]
    pub fn input(&self, base: &str) -> Option<&ViewInput> {
        self.inputs.iter().find(|input| *input.base == *base)
    }

    /// The streams of the log that it reads, in the order of its inputs.
    #[must_use]
    pub fn bases(&self) -> Vec<Arc<str>> {
        self.inputs.iter().map(|input| Arc::clone(&input.base)).collect()
    }

    /// Adds what one partition of a stream of the log folded; `failed` says why it cannot go on there, and
    /// `fold` where it began.
    pub fn absorb(
        &mut self,
        (base, partition, offsets): (&str, PartitionId, (Offset, Offset)),
        drained: Drained,
        failed: Option<String>,
        fold: &SavedFold,
    ) {
        let Some(side) = self.input(base).map(|input| input.side) else { return };
        let told = partition;
        let partition = side.partition(partition);
        self.joining.remove(&partition);
        if let Some(since) = fold.since {
            self.since.insert(partition, since);
        }
        if let Some(reason) = failed.filter(|_| self.failed.is_none()) {
            self.failing.get_or_insert(reason);
        }
        if self.failed.is_none()
            && let Err(error) = self.state.absorb(partition, drained)
        {
            let (first, last) = offsets;
            let place = format!("stream {base}, partition {told}, offsets {first} to {last}");
            self.fail(format!("{} ({place})", error.strip_backtrace()));
        }
    }

    /// Windows that begin before this may lack records that had been cut from the log.
    fn whole_from(&self) -> i64 {
        self.since.values().map(|since| since.time.unwrap_or(i64::MAX)).max().unwrap_or(i64::MIN)
    }

    /// Puts together what changed and shows it at `cut`.
    ///
    /// # Errors
    /// Why the view cannot go on.
    pub fn fire_and_show(&mut self, cut: u64, progress: Progress) -> Result<(), String> {
        self.fire_and_tell(cut, progress, &mut |_| {})
    }

    /// As [`Self::fire_and_show`]; every window that is new is told as well.
    ///
    /// # Errors
    /// As there.
    pub fn fire_and_tell(
        &mut self,
        cut: u64,
        progress: Progress,
        tell: &mut dyn FnMut(&Fired),
    ) -> Result<(), String> {
        let whole_from = self.whole_from();
        let firing = self.state.fire(progress).map_err(|error| error.strip_backtrace())?;
        for (start, end) in firing.withdrawn {
            self.published.withdraw(cut, (start, end));
            self.problems.remove(&(start, end));
            self.unsettled.remove(&(start, end));
        }
        let emit = self.run.emit;
        let is_shown = |fired: &Fired| emit == Emit::Changes || fired.mark == Mark::Final;
        for fired in firing.fired.into_iter().filter(is_shown) {
            tell(&fired);
            let problem = fired.problem.clone();
            let mut window = new_window(fired);
            self.note_problem(window.window, problem);
            if window.window.0 < whole_from {
                window.mark = Mark::Provisional;
            }
            window.mark = self.settled_or_not(&window);
            self.published.show(cut, window).map_err(|error| error.to_string())?;
        }
        if let Some(gone_before) = firing.gone_before {
            self.published.drop_before(cut, gone_before);
        }
        self.published.trim(cut);
        match self.state.bytes_above(self.state_bytes_max) {
            None => Ok(()),
            Some(bytes) => Err(format!(
                "it keeps {bytes} bytes of state, and {} are allowed (pipeline.state-bytes-max); use coarser windows, fewer \
                     groups or less 'allowed-lateness'",
                self.state_bytes_max
            )),
        }
    }

    /// The mark of a window without a row, by its start, its end or both: whether one may still come.
    #[must_use]
    pub fn mark_without_rows(
        &self,
        window: (Option<i64>, Option<i64>),
        progress: Progress,
    ) -> Mark {
        let begins = window.0.or(window.1).unwrap_or(i64::MIN);
        // A window that has no row because something fails on it may have one yet, or should have.
        let is_broken = self.problems.keys().any(|(start, end)| {
            window.0.is_none_or(|at| at == *start) && window.1.is_none_or(|at| at == *end)
        });
        if self.failed.is_some() || is_broken || !self.is_shown || begins < self.whole_from() {
            return Mark::Provisional;
        }
        self.state.mark_without_rows(window, progress)
    }

    /// Takes note of why a window has no row, or that it has.
    fn note_problem(&mut self, window: (i64, i64), problem: Option<String>) {
        let Some(reason) = problem else {
            self.problems.remove(&window);
            return;
        };
        if self.problems.is_empty() {
            let name = &self.name;
            tracing::error!(view = %name, reason, "view {name} has no row for a window: {reason}");
        }
        self.problems.insert(window, reason);
        while self.problems.len() > PROBLEMS_MAX {
            self.problems.pop_first();
        }
    }

    /// What is wrong with windows at this cut, in a sentence; `None` while all have their rows.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let ((start, end), reason) = self.problems.first_key_value()?;
        let window = match *start {
            i64::MIN => "it has no row".to_owned(),
            start => format!("no row for the window {} to {}", EventTime(start), EventTime(*end)),
        };
        let more = match self.problems.len() - 1 {
            0 => String::new(),
            more => format!("; {more} more windows"),
        };
        Some(format!("{window}: {reason}{more}"))
    }

    /// The mark a window is shown with. That an idle partition is left out is the clock's doing, and a record it
    /// then brings in time is no revision, which is a matter of the log. So a window whose rows change without
    /// one after they were settled is not called settled again.
    fn settled_or_not(&mut self, new: &NewWindow) -> Mark {
        if new.mark == Mark::Final {
            self.unsettled.remove(&new.window);
            return Mark::Final;
        }
        let shown = self.published.windows().get(&(new.window.1, new.window.0));
        let is_changed = |shown: NewWindow| {
            shown.mark == Mark::Settled
                && shown.revision == new.revision
                && shown.rows.columns() != new.rows.columns()
        };
        if shown.is_some_and(|shown| is_changed(shown.as_new())) {
            self.unsettled.insert(new.window);
        }
        if self.unsettled.contains(&new.window) { Mark::Provisional } else { new.mark }
    }

    /// Offset of the first record it counts, by partition, where the log had been cut before; the partitions
    /// of a join have the names of their streams before them.
    #[must_use]
    pub fn since_offsets(&self) -> BTreeMap<String, Offset> {
        let is_join = self.inputs.len() > 1;
        let name = |at: &PartitionId| {
            let input = self.inputs.iter().find(|input| input.side == Side::of(*at));
            let number = Side::number(*at);
            match input.filter(|_| is_join) {
                Some(input) => format!("{}/{number}", input.base),
                None => number.to_string(),
            }
        };
        self.since.iter().map(|(at, since)| (name(at), since.offset)).collect()
    }

    /// Why its streams cannot be joined by rows, given how many partitions each has.
    pub(super) fn is_uneven(&self, partitions: impl Fn(&str) -> usize) -> Option<String> {
        let [left, right] = self.inputs.as_slice() else { return None };
        let (of_left, of_right) = (partitions(&left.base), partitions(&right.base));
        (self.run.plan.joins_rows() && of_left != of_right).then(|| {
            format!(
                "{} has {of_left} partitions and {} has {of_right}, and rows are joined only where both have the same; give \
                 both the same number and start again, or GROUP BY window_start, window_end in each side first",
                left.base, right.base
            )
        })
    }

    /// What the accounting knows of it.
    pub(super) fn to_account(&self) -> ViewRef<'_> {
        let is_running = self.failed.is_none() && self.failing.is_none();
        let streams = self.inputs.iter().map(|input| &*input.stream).collect();
        ViewRef { name: &self.name, key: &self.key, streams, is_running }
    }

    /// Stops the view: its rows stay, no later ones come, and its name and reason are told.
    ///
    /// Its rows stay as they are, its state goes.
    pub fn fail(&mut self, reason: String) {
        if self.failed.is_none() {
            let name = &self.name;
            tracing::error!(view = %name, reason, "view {name} is stopped: {reason}");
            self.failed = Some(reason);
            self.state.clear();
        }
    }

    /// As [`Self::fail`], until the next start: what stops it is not in the log.
    pub fn fail_for_now(&mut self, reason: String) {
        self.is_filled_again = true;
        self.fail(reason);
    }

    /// Stops it where it cannot go on, after what came before has been shown.
    pub fn stop_where_it_fails(&mut self) {
        if let Some(reason) = self.failing.take() {
            self.fail(reason);
        }
    }

    /// Why it was stopped and the bound of its state, to be saved; `None` while it runs. An inner `None` where it is to
    /// be filled again after a restart.
    #[must_use]
    pub fn stopped(&self) -> Option<Option<(&str, u64)>> {
        let reason = self.failed.as_deref()?;
        Some((!self.is_filled_again).then_some((reason, self.state_bytes_max)))
    }

    /// Whether a view that was stopped with this bound of its state is stopped still.
    #[must_use]
    pub fn is_still_stopped(&self, bytes_max: u64) -> bool {
        bytes_max == self.state_bytes_max
    }
}

/// The views of a catalogue over one stream of the log and what is derived from it, as partitions fold them.
#[must_use]
pub fn views_to_run(catalog: &Catalog, stream: &str) -> Vec<ViewToRun> {
    let base =
        |name: &str| catalog.streams.get(name).is_some_and(|plan| plan.definition.base() == stream);
    let sides = catalog.views.iter().filter_map(view_to_run).flat_map(|view| {
        // Without this the iterator would borrow the view.
        view.sides().collect::<Vec<_>>()
    });
    sides.filter(|side| base(&side.plan.stream)).collect()
}

/// See [`ViewToRun::key`].
#[must_use]
pub fn view_key(view: &ViewDefinition) -> Arc<str> {
    format!("{}#{}", view.name, view.hash.get(..16).unwrap_or(&view.hash)).into()
}

fn view_to_run(view: &ViewDefinition) -> Option<ViewToRun> {
    let ViewQuery::Stream(plan) = &view.query else { return None };
    Some(ViewToRun {
        key: view_key(view),
        plan: Arc::clone(plan),
        allowed_lateness: view.allowed_lateness,
        retention: view.retention,
        emit: view.emit,
    })
}

/// What a view is, for those who read it.
#[must_use]
pub fn view_info(catalog: &Catalog, view: &ViewDefinition) -> ViewInfo {
    let (schema, keys) = (view.query.schema(), view.query.keys());
    let (streams, windows) = match &view.query {
        ViewQuery::Stream(plan) => {
            (plan.streams().map(str::to_owned).collect(), (plan.window_start, plan.window_end))
        }
        ViewQuery::Results(over) => (Vec::new(), (over.windows.start, over.windows.end)),
    };
    let columns = keys.iter().map(|at| schema.field(*at).name().clone());
    let row_key = (!view.query.is_keyed()).then(|| ROW_KEY.to_owned());
    let scopes = scopes_of(catalog, view);
    let stream = streams.first().and_then(|name| catalog.streams.get(name));
    ViewInfo {
        name: view.name.clone(),
        keys: columns.chain(row_key).collect(),
        schema: schema_with_papers(&schema),
        scope: (!scopes.is_empty())
            .then(|| together(&scopes, ", ", |scope| format!("{}@{}", scope.name, scope.version))),
        title: view.title.clone(),
        definition: Bilingual {
            zh: together(&scopes, " ", |scope| scope.definition.zh.clone()),
            en: together(&scopes, " ", |scope| scope.definition.en.clone()),
        },
        unit: view.unit.clone(),
        clear: view.clear.clone(),
        time_zone: stream.map_or("UTC", |stream| stream.definition.zone.name()).to_owned(),
        sql: view.statement.text.clone(),
        hash: view.hash.clone(),
        streams,
        window_start: windows.0,
        window_end: windows.1,
        result_topic: view.result_topic.clone(),
    }
}

/// The scopes that a view counts in: its own, and of one over other views theirs, each once.
fn scopes_of<'a>(catalog: &'a Catalog, view: &'a ViewDefinition) -> Vec<&'a ScopeDefinition> {
    let mut scopes: Vec<&ScopeDefinition> = view.scope.iter().chain(&view.other_scopes).collect();
    if let ViewQuery::Results(over) = &view.query {
        let inputs = catalog.views.iter().filter(|input| over.inputs.contains(&input.name));
        for scope in inputs.flat_map(|input| scopes_of(catalog, input)) {
            if !scopes
                .iter()
                .any(|known| known.name == scope.name && known.version == scope.version)
            {
                scopes.push(scope);
            }
        }
    }
    scopes
}

fn together(
    scopes: &[&ScopeDefinition],
    between: &str,
    words: impl Fn(&ScopeDefinition) -> String,
) -> String {
    scopes.iter().map(|scope| words(scope)).collect::<Vec<_>>().join(between)
}

pub(super) fn published(
    catalog: &Catalog,
    view: &ViewDefinition,
    limits: PublisherLimits,
) -> PublishedView {
    let keys = view.query.keys().to_vec();
    let keep = match view.retention {
        Retention::Rows(rows) => Keep::Rows(rows),
        Retention::Time(ms) => Keep::Time(ms),
    };
    PublishedView::new(Arc::new(view_info(catalog, view)), keys, keep, limits.tombstones_max)
}

fn new_window(fired: Fired) -> NewWindow {
    NewWindow {
        window: fired.instants.unwrap_or((i64::MIN, i64::MAX)),
        rows: fired.rows,
        mark: fired.mark,
        revision: fired.revision,
    }
}
