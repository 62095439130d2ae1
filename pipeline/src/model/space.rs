//! Result spaces: real orders and those of load tests take the same path and never meet.

/// A result space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Real orders.
    #[default]
    Live,
    /// Records that a header or a column marks as shadow (load-test) traffic.
    Shadow,
}

impl Space {
    /// Both, the ordinary one first.
    pub const ALL: [Self; 2] = [Self::Live, Self::Shadow];

    /// The word used in SQL, JSON, file names and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Shadow => "shadow",
        }
    }

    /// Under which name a stream's state of this space is saved: no stream's own name has an `@`.
    #[must_use]
    pub fn saved_name(self, stream: &str) -> String {
        match self {
            Self::Live => stream.to_owned(),
            Self::Shadow => format!("{stream}@{}", self.as_str()),
        }
    }

    /// The space whose state is saved under this name.
    #[must_use]
    pub fn of_saved_name(name: &str) -> Self {
        let space = name.split_once('@').and_then(|(_, space)| Self::named(space));
        space.unwrap_or(Self::Live)
    }

    /// The space of this name; `None` when there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|space| space.as_str() == name)
    }
}

/// One thing for each result space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BySpace<T> {
    /// That of real orders.
    pub live: T,
    /// That of load tests.
    pub shadow: T,
}

impl<T> BySpace<T> {
    /// The one of a space.
    #[must_use]
    pub fn of(&self, space: Space) -> &T {
        match space {
            Space::Live => &self.live,
            Space::Shadow => &self.shadow,
        }
    }

    /// The one of a space, to be changed.
    pub fn of_mut(&mut self, space: Space) -> &mut T {
        match space {
            Space::Live => &mut self.live,
            Space::Shadow => &mut self.shadow,
        }
    }
}

/// Table that proves that shadow records count in no figure.
pub const PROOF_TABLE: &str = "shadow_proof";
/// What its columns count, after `view` and `stream`, over all partitions.
pub const PROOF_COUNTS: [&str; 8] = [
    "records_marked_shadow",
    "records_in_shadow",
    "live_accepted",
    "live_counted",
    "shadow_accepted",
    "shadow_counted",
    "shadow_rows_in_live",
    "live_rows_in_shadow",
];
