//! Why a view cannot be had as it was, or what it shows not be kept.

/// What went wrong with the history of views.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewHistoryError {
    /// Another process has the folder.
    #[error(
        "the history of views in {place} is in use by another process; stop it, or choose another --data-dir"
    )]
    Locked {
        /// The folder.
        place: String,
    },
    /// The disk, or what stands on it.
    #[error("the history of views in {place}: {detail}")]
    Store {
        /// The folder.
        place: String,
        /// The store's own words.
        detail: String,
    },
    /// Nothing was ever kept of the view.
    #[error("nothing is kept of a view {view}")]
    Unknown {
        /// The view.
        view: String,
    },
    /// What was kept of that time has been forgotten, or nothing was kept then.
    #[error("of {view}, nothing is kept from before {}; ask for a later time", told(*.oldest))]
    Before {
        /// The view.
        view: String,
        /// The oldest instant of which its rows are kept, epoch milliseconds.
        oldest: i64,
    },
    /// Nobody has looked at what is shown then, so another look may tell of it.
    #[error(
        "what {view} shows at {} is not known yet: views were looked at last at {}, and are every \
         pipeline.view-history-every-ms; ask again then, or for a time before", told(*.at), newest(*.looked_at)
    )]
    NotYet {
        /// The view.
        view: String,
        /// As asked for, epoch milliseconds.
        at: i64,
        /// The newest instant that is known, epoch milliseconds; `None` before the first look.
        looked_at: Option<i64>,
    },
    /// The process ended without a last look.
    #[error(
        "what {view} showed between {} and {} is not known: the server ended there without a last look at its views; ask for one \
         of these times", told(*.from), told(*.until)
    )]
    Lost {
        /// The view.
        view: String,
        /// The last look that is known of the life that ended, epoch milliseconds.
        from: i64,
        /// The first look of the next life, epoch milliseconds.
        until: i64,
    },
    /// The view had been taken away.
    #[error("there was no view {view} then: it was taken away at {}", told(*.since))]
    Gone {
        /// The view.
        view: String,
        /// When that was seen, epoch milliseconds.
        since: i64,
    },
}

/// An instant as it is written in SQL.
fn told(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms);
    time.map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

fn newest(ms: Option<i64>) -> String {
    ms.map_or_else(|| "no time since the start".to_owned(), told)
}
