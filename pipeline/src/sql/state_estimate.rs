//! How much state a view would keep, told before it is created.
//!
//! The estimate is *slices × partitions × (groups × bytes of a group + values × bytes of a value)*: what a
//! view keeps while its windows are open or may be revised. Values are those that COUNT(DISTINCT) and the
//! like keep one by one, and the rows of a view that does not aggregate. How many groups and values a window
//! has the SQL does not say; the view's options or the configured defaults do.

use arrow::datatypes::DataType;
use datafusion::common::Result;

use super::options::{Options, Retention};
use super::plan::{AggregateCall, Shape, ViewPlan};
use super::window_function::WindowKind;

/// How much state a view may need, and what is assumed where its SQL does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateBounds {
    /// Bytes of one view over all partitions; a view that would pass them is refused.
    pub bytes_max: u64,
    /// Groups of a window where the view has keys and no `'state.groups'`.
    pub groups: u64,
    /// Values kept a window, over all its groups, by COUNT(DISTINCT), ARRAY_AGG and the like, and rows of a
    /// view that does not aggregate, without `'state.values'`.
    pub values: u64,
    /// Partitions of the stream.
    pub partitions: u64,
}

impl Default for StateBounds {
    fn default() -> Self {
        Self { bytes_max: 512 << 20, groups: 10_000, values: 20_000, partitions: 8 }
    }
}

/// Option that says how many groups a window has.
pub const GROUPS_OPTION: &str = "state.groups";
/// Option that says how many values a window keeps.
pub const VALUES_OPTION: &str = "state.values";

impl StateBounds {
    /// The bounds with what a view's options say.
    ///
    /// # Errors
    /// When a hint is not a number from 1 up.
    pub fn with_hints(mut self, hints: &Options) -> Result<Self, String> {
        for (key, own) in [(GROUPS_OPTION, &mut self.groups), (VALUES_OPTION, &mut self.values)] {
            if let Some(text) = hints.get(key) {
                *own = match text.trim().parse() {
                    Ok(number) if number > 0 => number,
                    _ => return Err(format!("option '{key}': '{text}' is not a number from 1 up")),
                };
            }
        }
        Ok(self)
    }
}

/// What a view keeps, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEstimate {
    /// Slices of a partition that are kept apart.
    pub slices: u64,
    /// Groups of a slice.
    pub groups: u64,
    /// Bytes of a group with its key, apart from values kept one by one.
    pub group_bytes: u64,
    /// Values of a slice that are kept one by one.
    pub values: u64,
    /// Bytes of one of them, over all calls; 0 where none are kept.
    pub value_bytes: u64,
    /// Partitions.
    pub partitions: u64,
    /// The largest call and its bytes, where one makes up most of a group.
    largest: Option<(String, u64)>,
    /// What a join's right side keeps beside the left one, over the same slices.
    right: Option<Box<StateEstimate>>,
}

/// Bytes of a slice beyond its groups: its place in the tree and its allocation.
const SLICE_BYTES: u64 = 96;
/// A HyperLogLog of DataFusion, and a quantile sketch of about 1,400 buckets.
const SKETCH_BYTES: u64 = 16 << 10;
/// The exact sum of floats of like magnitude.
const FLOAT_SUM_BYTES: u64 = 96;
/// A text as it is kept, padded.
const TEXT_BYTES: u64 = 33;

impl StateEstimate {
    /// The estimate of a view, with both sides where it joins two streams.
    ///
    /// # Errors
    /// DataFusion's own, when a function does not tell its state.
    pub fn of(
        plan: &ViewPlan,
        allowed_lateness: i64,
        retention: Retention,
        bounds: StateBounds,
    ) -> Result<Self> {
        let of_side = |plan: &ViewPlan| Self::of_side(plan, allowed_lateness, retention, bounds);
        let right = plan.right_side().map(|right| of_side(&right).map(Box::new)).transpose()?;
        Ok(Self { right, ..of_side(plan)? })
    }

    fn of_side(
        plan: &ViewPlan,
        allowed_lateness: i64,
        retention: Retention,
        bounds: StateBounds,
    ) -> Result<Self> {
        let slices = slices_of(plan, allowed_lateness, retention);
        let StateBounds { values, partitions, .. } = bounds;
        let Shape::Aggregate(aggregate) = &plan.shape else {
            let fields = plan.kept_schema.fields().iter();
            let value_bytes = fields.map(|field| width(field.data_type())).sum();
            return Ok(Self {
                slices,
                groups: 0,
                group_bytes: 0,
                values,
                value_bytes,
                partitions,
                largest: None,
                right: None,
            });
        };
        let mut group_bytes =
            4 + aggregate.keys.iter().map(|key| width(key.data_type())).sum::<u64>();
        let mut value_bytes = 0;
        let mut largest: Option<(String, u64)> = None;
        for call in &aggregate.calls {
            let (group, value) = state_width(call)?;
            group_bytes += group;
            value_bytes += value;
            if largest.as_ref().is_none_or(|(_, most)| group > *most) {
                largest = Some((call.function.name().to_owned(), group));
            }
        }
        let keys = if aggregate.keys.is_empty() { 1 } else { bounds.groups };
        let sets = u64::try_from(aggregate.grouping_sets.len()).unwrap_or(u64::MAX);
        Ok(Self {
            slices,
            groups: keys.saturating_mul(sets),
            largest: largest.filter(|(_, bytes)| *bytes * 2 > group_bytes),
            group_bytes,
            values: if value_bytes > 0 { values.saturating_mul(sets) } else { 0 },
            value_bytes,
            partitions,
            right: None,
        })
    }

    /// All bytes together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let groups = self.groups.saturating_mul(self.group_bytes);
        let values = self.values.saturating_mul(self.value_bytes);
        let slice = groups.saturating_add(values).saturating_add(SLICE_BYTES);
        let right = self.right.as_ref().map_or(0, |right| right.bytes());
        self.slices.saturating_mul(self.partitions).saturating_mul(slice).saturating_add(right)
    }

    /// Why a view is refused, in words; `None` when it stays within its bound.
    #[must_use]
    pub fn refusal(&self, bounds: StateBounds) -> Option<String> {
        if self.bytes() <= bounds.bytes_max {
            return None;
        }
        let parts: Vec<String> =
            std::iter::once(self).chain(self.right.as_deref()).flat_map(Self::parts).collect();
        let largest = match &self.largest {
            Some((call, bytes)) => format!(" - {} of a group are {call}'s -", in_words(*bytes)),
            None => String::new(),
        };
        Some(format!(
            "the view may keep {} of state: {} slices x {} partitions x ({}){largest}; the bound is {} \
             (pipeline.state-bytes-max). Use coarser steps or a day's TUMBLE, less 'allowed-lateness' or a shorter \
             'result.retention', or say how many groups and values a window has: \
             WITH ('{GROUPS_OPTION}' = '100', '{VALUES_OPTION}' = '1000')",
            in_words(self.bytes()),
            self.slices,
            self.partitions,
            parts.join(" + "),
            in_words(bounds.bytes_max),
        ))
    }

    /// What a slice holds, in words.
    fn parts(&self) -> Vec<String> {
        let mut parts = Vec::new();
        if self.groups > 0 {
            parts.push(format!("{} groups of {}", self.groups, in_words(self.group_bytes)));
        }
        if self.value_bytes > 0 {
            parts.push(format!("{} values of {}", self.values, in_words(self.value_bytes)));
        }
        parts
    }
}

/// Slices that are open, or closed and may be revised.
fn slices_of(plan: &ViewPlan, allowed_lateness: i64, retention: Retention) -> u64 {
    let Some(window) = &plan.window else { return 1 };
    let parts = |long: i64, slice: i64| {
        u64::try_from(long.max(0).div_euclid(slice) + 1).unwrap_or(u64::MAX)
    };
    if let Some(outer) = &plan.outer {
        // Inner slices are kept until the outer windows over them are closed.
        return 1 + parts(outer.window.kind.size(), window.kind.slice());
    }
    match window.kind {
        // One is filled while the one before it waits for the watermark.
        WindowKind::Tumble { size } => 1 + parts(allowed_lateness, size),
        WindowKind::Hop { size, .. } => {
            1 + parts(size.saturating_add(allowed_lateness), window.kind.slice())
        }
        // Steps that are no longer shown are merged into one.
        WindowKind::Cumulate { step, .. } => {
            let shown = match retention {
                Retention::Rows(rows) => u64::try_from(rows).unwrap_or(u64::MAX),
                Retention::Time(ms) => parts(ms, step),
            };
            3 + parts(allowed_lateness, step).min(shown)
        }
        WindowKind::Session { .. } => 1,
    }
}

/// Bytes of a value in the row format.
fn width(data_type: &DataType) -> u64 {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary => TEXT_BYTES,
        DataType::List(item) | DataType::LargeList(item) => width(item.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| width(field.data_type())).sum(),
        other => 1 + other.primitive_width().map_or(8, |bytes| u64::try_from(bytes).unwrap_or(8)),
    }
}

/// Bytes of a call's state: of a group, and of each value it keeps one by one.
fn state_width(call: &AggregateCall) -> Result<(u64, u64)> {
    let mut bytes = (0, 0);
    for field in call.function.state_fields()? {
        match (call.function.fun().name(), field.data_type()) {
            ("sum" | "avg", DataType::Binary) => bytes.0 += FLOAT_SUM_BYTES,
            // Of the functions with a state in bytes of its own, all others are sketches.
            (_, DataType::Binary) => bytes.0 += SKETCH_BYTES,
            (_, list @ (DataType::List(_) | DataType::LargeList(_))) => bytes.1 += width(list),
            (_, other) => bytes.0 += width(other),
        }
    }
    Ok(bytes)
}

fn in_words(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}
