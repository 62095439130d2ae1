//! Commits before their time: who wants to hold exactly what it sees asks for a cut whose histories are all committed.
//!
//! ```text
//! wish ─▶ publisher: a checkpoint at once ─▶ histories commit up to it ─▶ its cut, and the version of each
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Cut;

/// A cut whose histories are committed.
#[derive(Debug, Clone)]
pub struct CommittedCut {
    /// The cut, of when it was asked for or later.
    pub cut: Arc<Cut>,
    /// By stream, the version of its history that has every record up to the cut and no other.
    pub versions: BTreeMap<String, u64>,
}

/// Someone waits for a commit.
#[derive(Debug)]
pub struct CommitWish {
    /// The streams whose histories are to be committed.
    pub streams: BTreeSet<String>,
    /// Where the answer goes: the committed cut, or why there is none.
    pub reply: oneshot::Sender<Result<CommittedCut, String>>,
}

/// Why a commit was not had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// It takes too long.
    #[error(
        "the history of {streams} could not be committed within {} s; /readyz says what holds it up", .patience.as_secs()
    )]
    Late {
        /// The streams.
        streams: String,
        /// How long was waited.
        patience: Duration,
    },
    /// The place refuses.
    #[error("the history of {streams} could not be committed: {detail}")]
    Refused {
        /// The streams.
        streams: String,
        /// The place's own words.
        detail: String,
    },
    /// The pipeline has stopped.
    #[error("the history of {streams} is not committed any more: the pipeline has stopped")]
    Stopped {
        /// The streams.
        streams: String,
    },
}

/// Takes a wish; `false` when nobody is there to fulfil it.
type Taker = dyn Fn(CommitWish) -> bool + Send + Sync;

/// Where a commit is asked for.
#[derive(Clone)]
pub struct Commits(Arc<Taker>);

impl fmt::Debug for Commits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commits")
    }
}

impl Commits {
    /// Wishes go to `take`, which answers `false` when nobody is there to fulfil them.
    #[must_use]
    pub fn new(take: impl Fn(CommitWish) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Waits, at most `patience`, for a cut of now or later whose histories of some streams are committed.
    ///
    /// # Errors
    /// See [`CommitError`]; what waits is then committed later, as if nobody had asked.
    pub async fn committed(
        &self,
        streams: BTreeSet<String>,
        patience: Duration,
    ) -> Result<CommittedCut, CommitError> {
        let names = streams.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let (reply, answer) = oneshot::channel();
        if !(self.0)(CommitWish { streams, reply }) {
            return Err(CommitError::Stopped { streams: names });
        }
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(Ok(committed))) => Ok(committed),
            Ok(Ok(Err(detail))) => Err(CommitError::Refused { streams: names, detail }),
            Ok(Err(_)) => Err(CommitError::Stopped { streams: names }),
            Err(_) => Err(CommitError::Late { streams: names, patience }),
        }
    }
}
