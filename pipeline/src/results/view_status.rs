//! Whether a view stands at the cut, and since which record it counts.

use std::collections::BTreeMap;

use crate::model::Offset;

/// Whether a view goes on with the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewState {
    /// It stands at the cut.
    #[default]
    Live,
    /// It is new or changed and reads the log from its earliest record. Until it stands at the cut its
    /// rows are those of the definition before, or none.
    CatchingUp,
    /// It failed on a record, and its rows are as of the cut before; or it failed as it was catching up.
    Stopped,
}

impl ViewState {
    /// The word used in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::CatchingUp => "catching_up",
            Self::Stopped => "stopped",
        }
    }
}

/// How far a view that catches up has come.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filled {
    /// Offsets read since the earliest record.
    pub records_read: i64,
    /// Offsets up to where the other views stand.
    pub records_total: i64,
    /// Records a second since it began.
    pub records_per_second: f64,
    /// Why it does not get on, while it does not.
    pub problem: Option<String>,
    /// Whether it has ended by that problem and will not get on by itself.
    pub has_failed: bool,
}

impl Filled {
    /// The share that is read, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.records_total <= 0 {
            0.0
        } else {
            self.records_read as f64 / self.records_total as f64
        }
    }

    /// Seconds until it stands where the others stand now; `None` before it has begun.
    #[must_use]
    pub fn seconds_left(&self) -> Option<f64> {
        let left = (self.records_total - self.records_read).max(0) as f64;
        (self.records_per_second > 0.0).then(|| left / self.records_per_second)
    }
}

/// The state of one view at a cut.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ViewStatus {
    /// See [`ViewState`].
    pub state: ViewState,
    /// How far it has come, while it catches up.
    pub filled: Option<Filled>,
    /// Partitions whose log had been cut before the view began, with the offset of its first record:
    /// windows that may have lost records by that are never final. A partition is told by its number, in a
    /// view over two streams as `stream/number`.
    pub since: BTreeMap<String, Offset>,
    /// Why it was stopped or does not get on.
    pub problem: Option<String>,
}
