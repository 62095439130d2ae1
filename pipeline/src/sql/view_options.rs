//! What the WITH of a materialized view says, and whether it goes with what the view runs.

use super::options::{self, Emit, Options, Retention};
use super::state_estimate::{GROUPS_OPTION, StateBounds, VALUES_OPTION};
use super::view::ViewQuery;
use super::window_function::WindowKind;

/// Options of a materialized view.
const VIEW_OPTIONS: [&str; 6] =
    ["allowed-lateness", "result.retention", "result.topic", "emit", GROUPS_OPTION, VALUES_OPTION];
/// Rows a view holds when it does not say.
const DEFAULT_RETENTION: Retention = Retention::Rows(10_000);

/// The options of a view.
#[derive(Debug)]
pub(super) struct ViewOptions {
    /// How long a closed window may be revised, in milliseconds.
    pub(super) allowed_lateness: i64,
    /// How much the snapshot holds.
    pub(super) retention: Retention,
    /// Which of its rows are shown.
    pub(super) emit: Emit,
    /// How much state it may need.
    pub(super) bounds: StateBounds,
    /// Kafka topic it goes to, empty for none; `None` where it does not say.
    pub(super) result_topic: Option<String>,
}

impl ViewOptions {
    /// Reads them; `bounds` hold where they say nothing else.
    ///
    /// # Errors
    /// Every mistake.
    pub(super) fn read(options: &Options, bounds: StateBounds) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut wrong = |message: String| errors.push(message);
        for key in options.keys().filter(|key| !VIEW_OPTIONS.contains(&key.as_str())) {
            let hint = options::nearest(key, &VIEW_OPTIONS)
                .map_or(String::new(), |near| format!("; did you mean '{near}'?"));
            wrong(format!("unknown option '{key}'{hint}"));
        }
        let allowed_lateness = read(options, "allowed-lateness", 0, &mut wrong, |text| {
            options::duration(text).map(options::ms)
        });
        let retention =
            read(options, "result.retention", DEFAULT_RETENTION, &mut wrong, options::retention);
        let emit = read(options, "emit", Emit::Changes, &mut wrong, options::emit);
        let bounds = bounds.with_hints(options).unwrap_or_else(|message| {
            wrong(message);
            bounds
        });
        let result_topic = options.get("result.topic").cloned();
        match errors.is_empty() {
            true => Ok(Self { allowed_lateness, retention, emit, bounds, result_topic }),
            false => Err(errors),
        }
    }

    /// Why a view that runs `query` cannot have them.
    pub(super) fn refusal(&self, query: &ViewQuery) -> Option<String> {
        let plan = match query {
            ViewQuery::Stream(plan) => Some(plan),
            ViewQuery::Results(_) => None,
        };
        let window = plan.and_then(|plan| plan.window.as_ref());
        let refused = if self.emit == Emit::Final && window.is_none() {
            "'emit' = 'final' shows windows once they are closed, and this view has none of its own; use it with TUMBLE, \
             HOP, CUMULATE or SESSION over a stream"
        } else if self.allowed_lateness == 0 {
            return None;
        } else if plan.is_none() {
            "'allowed-lateness' on a view over views: it revises what they revise; give it to the views whose windows it reads"
        } else if plan.is_some_and(|plan| plan.outer.is_some()) {
            "'allowed-lateness' on windows over windows: a late record is judged by the inner window; keep the inner \
             windows as a view of their own"
        } else if window.is_none() {
            "'allowed-lateness' without a window: nothing is late for a running total; leave it out"
        } else if window.is_some_and(|window| matches!(window.kind, WindowKind::Session { .. })) {
            "'allowed-lateness' on SESSION: a late record may make one session of two that have both been told; give \
             the stream's WATERMARK a longer delay, or use a TUMBLE, HOP or CUMULATE"
        } else {
            return None;
        };
        Some(refused.to_owned())
    }
}

fn read<T>(
    options: &Options,
    key: &str,
    otherwise: T,
    wrong: &mut impl FnMut(String),
    parse: impl Fn(&str) -> Result<T, String>,
) -> T {
    match options.get(key).map(|text| parse(text)) {
        None => otherwise,
        Some(Ok(value)) => value,
        Some(Err(message)) => {
            wrong(format!("option '{key}': {message}"));
            otherwise
        }
    }
}
