//! Where the publisher gets what was folded from: folding threads of this process, or workers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catcher::Catcher;
use super::fold::{Drained, Folds, Owned};
use crate::ledger::{Gauge, LedgerKind};
use crate::model::{Offset, PartitionId};
use crate::run::checkpoints::Offsets;
use crate::run::workers::merging::Merging;

/// What feeds the publisher.
pub(super) enum Feed {
    /// The folding threads.
    Here(Folds),
    /// Workers, by the place they share; the gauge says whether the ledgers have room for what they tell.
    Workers(Merging, Arc<Gauge>),
}

impl Feed {
    /// Everything folded since the last time.
    ///
    /// # Errors
    /// Why the figures must not go on.
    pub(super) fn drain(&self, with_end: bool) -> Result<Vec<Drained>, String> {
        match self {
            Self::Here(folds) => folds.drain(with_end),
            Self::Workers(..) if self.waits_for().is_some() => Ok(Vec::new()),
            Self::Workers(merging, _) => merging.drain(),
        }
    }

    /// The ends of the logs that are not told with what was folded.
    pub(super) fn ends(&self) -> BTreeMap<(String, PartitionId), Offset> {
        match self {
            Self::Here(_) => BTreeMap::new(),
            Self::Workers(merging, _) => merging.ends(),
        }
    }

    /// Why nothing comes, while nothing does, and what someone must look at, beside what partitions say themselves.
    pub(super) fn problems(&self) -> (Option<String>, Vec<String>) {
        match self {
            Self::Here(_) => (None, Vec::new()),
            Self::Workers(merging, _) => merging.problems(),
        }
    }

    /// The full ledger that all partitions wait for, where workers cannot be told to wait one by one.
    pub(super) fn waits_for(&self) -> Option<LedgerKind> {
        let Self::Workers(_, gauge) = self else { return None };
        LedgerKind::ALL.into_iter().find(|ledger| gauge.is_full(*ledger))
    }

    /// Whether nothing was left when someone last looked.
    pub(super) fn are_idle(&self) -> bool {
        match self {
            Self::Here(folds) => folds.are_idle(),
            Self::Workers(merging, _) => merging.is_idle(),
        }
    }

    /// Whether others fold, by definitions that are theirs.
    pub(super) fn is_of_workers(&self) -> bool {
        matches!(self, Self::Workers(..))
    }

    /// Takes note of a checkpoint that has been written.
    pub(super) fn checkpoint_written(&self, offsets: &Offsets) {
        if let Self::Workers(merging, _) = self {
            merging.checkpoint_written(offsets);
        }
    }

    /// Gives one more partition to a folding thread; workers get theirs from their group.
    pub(super) fn own(&mut self, owned: Owned) {
        if let Self::Here(folds) = self {
            folds.own(owned);
        }
    }

    /// Hands a reading over to the thread that owns its partition.
    pub(super) fn join(&self, catcher: Catcher) {
        if let Self::Here(folds) = self {
            folds.join(catcher);
        }
    }

    /// Says how many partitions the log of a stream has now.
    pub(super) fn set_partitions(&self, stream: &str, partitions: u32) {
        if let Self::Here(folds) = self {
            folds.set_partitions(stream, partitions);
        }
    }

    /// Folds views no longer.
    pub(super) fn forget(&self, keys: &[Arc<str>]) {
        if let Self::Here(folds) = self {
            folds.forget(keys);
        }
    }

    /// Ends all threads.
    pub(super) fn stop(self) {
        match self {
            Self::Here(folds) => folds.stop(),
            Self::Workers(merging, _) => merging.stop(),
        }
    }
}
