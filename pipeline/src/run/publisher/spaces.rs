//! Both result spaces: the ordinary one, and that of shadow records once there are any.
//!
//! ```text
//! drains ─┬─▶ live publisher ───▶ cut 17 ─┐
//!         └─▶ shadow publisher ─▶ cut 17 ─┴─▶ one publish, at one vector of offsets
//! ```
//! They have the same views and the same numbers of cuts, and share no state. What is done to the views of
//! one is done to those of the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;

use super::sequences::{SEQUENCES_TABLE, SequencesByStream};
use super::{Moment, Publisher, PublisherLimits, Quiet, ViewRuntime};
use crate::ledger::{Gauge, LedgerError, LedgerStore, LedgerWriter, Limits};
use crate::model::space::PROOF_TABLE;
use crate::model::{BySpace, Offset, PartitionId, Space};
use crate::results::{Cut, Filled, ViewInfo};
use crate::run::checkpoints::Offsets;
use crate::run::partition::Drains;
use crate::run::proof;
use crate::sql::Catalog;

/// The publishers of both result spaces.
#[derive(Debug)]
pub struct Publishers {
    /// That of real orders.
    pub live: Publisher,
    /// That of shadow records; `None` before the first of them.
    pub shadow: Option<Publisher>,
    shadow_ledgers: LedgersToBe,
    /// Numbers of the sources' own sequences, by stream: they run over both spaces.
    pub sequences: SequencesByStream,
    /// Where the last cut's spaces did not keep apart.
    mixed: Vec<String>,
}

/// What the ledgers of the shadow space will be made of.
#[derive(Debug)]
struct LedgersToBe {
    store: Arc<LedgerStore>,
    limits: Limits,
    gauge: Arc<Gauge>,
}

impl Publishers {
    /// Publishers of all views of a catalogue, with ledgers in `store`.
    ///
    /// # Errors
    /// When a view's state cannot be made.
    pub fn new(
        catalog: &Catalog,
        limits: PublisherLimits,
        (store, ledger_limits): (Arc<LedgerStore>, Limits),
    ) -> Result<Self> {
        let ledgers = LedgerWriter::new(Arc::clone(&store), Space::Live, ledger_limits);
        let live = Publisher::new(catalog, limits, ledgers)?;
        Ok(Self::around(catalog, live, (store, ledger_limits)))
    }

    /// Publishers of no view, which know where partitions stand: what a worker's checkpoint is made of.
    #[must_use]
    pub fn without_views(
        catalog: &Catalog,
        limits: PublisherLimits,
        (store, ledger_limits): (Arc<LedgerStore>, Limits),
    ) -> Self {
        let ledgers = LedgerWriter::new(Arc::clone(&store), Space::Live, ledger_limits);
        let live = Publisher::without_views(catalog, limits, ledgers);
        Self::around(catalog, live, (store, ledger_limits))
    }

    fn around(
        catalog: &Catalog,
        live: Publisher,
        (store, limits): (Arc<LedgerStore>, Limits),
    ) -> Self {
        let gauge = Arc::new(Gauge::new(limits.partitions));
        Self {
            live,
            shadow: None,
            shadow_ledgers: LedgersToBe { store, limits, gauge },
            sequences: SequencesByStream::of(catalog),
            mixed: Vec::new(),
        }
    }

    /// Says which ledgers of each space have no room.
    #[must_use]
    pub fn gauges(&self) -> BySpace<Arc<Gauge>> {
        BySpace { live: self.live.ledgers.gauge(), shadow: Arc::clone(&self.shadow_ledgers.gauge) }
    }

    /// Takes the ledgers of a partition back to where `next_offset` is the next record to be read.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn rewind_ledgers(
        &self,
        place: (&str, PartitionId),
        next_offset: Offset,
    ) -> Result<(), LedgerError> {
        let store = &self.shadow_ledgers.store;
        Space::ALL
            .into_iter()
            .try_for_each(|space| store.rewind(space.as_str(), place, next_offset))
    }

    /// The shadow publisher, which begins now if it has not.
    ///
    /// # Errors
    /// When a view's state cannot be made.
    pub fn begin_shadow(&mut self) -> Result<&mut Publisher> {
        let shadow = match self.shadow.take() {
            Some(shadow) => shadow,
            None => {
                let LedgersToBe { store, limits, gauge } = &self.shadow_ledgers;
                let ledgers = LedgerWriter::new(Arc::clone(store), Space::Shadow, *limits)
                    .gauged_by(Arc::clone(gauge));
                self.live.alike(Space::Shadow, ledgers)?
            }
        };
        Ok(self.shadow.insert(shadow))
    }

    /// Adds a partition before its first record, so that the watermark waits for it.
    pub fn expect_partition(&mut self, stream: &str, partition: PartitionId) {
        self.each(|publisher| publisher.expect_partition(stream, partition));
    }

    /// Takes in a partition that the log did not have at first.
    pub fn add_partition(&mut self, stream: &str, partition: PartitionId, now_ms: i64) {
        self.each(|publisher| publisher.add_partition(stream, partition, now_ms));
    }

    /// Says which topic a stream is read from, for the ledgers.
    pub fn set_topic(&mut self, stream: &str, topic: &str) {
        self.each(|publisher| {
            topic.clone_into(&mut publisher.streams.entry(stream.to_owned()).or_default().topic)
        });
    }

    fn each(&mut self, mut act: impl FnMut(&mut Publisher)) {
        act(&mut self.live);
        self.shadow.iter_mut().for_each(act);
    }

    /// Adds what one partition of a stream did since its last drain.
    ///
    /// # Errors
    /// When the shadow space cannot come into being.
    pub fn absorb(&mut self, stream: &str, drains: Drains) -> Result<()> {
        if let Some(drain) = drains.shadow {
            self.begin_shadow()?.absorb(stream, drain);
        }
        self.live.absorb(stream, drains.live);
        self.sequences.add(stream, drains.numbers);
        Ok(())
    }

    /// Adds a view that has been filled; `shadow` is the same in the shadow space, if shadow records came.
    ///
    /// # Errors
    /// When the shadow space cannot come into being.
    pub fn join(&mut self, view: ViewRuntime, shadow: Option<ViewRuntime>) -> Result<()> {
        if shadow.is_some() {
            self.begin_shadow()?;
        }
        if let Some(publisher) = &mut self.shadow {
            publisher.join(match shadow {
                Some(shadow) => shadow,
                None => view.alike()?,
            });
        }
        self.live.join(view);
        Ok(())
    }

    /// Shows the views that every partition has taken over, each in the place of the one of its name; the
    /// keys of these come back, to be folded no longer.
    pub fn show_joined(&mut self) -> Vec<Arc<str>> {
        let replaced = self.live.show_joined();
        let live = &self.live;
        if let Some(shadow) = &mut self.shadow {
            shadow.show_as(live);
            shadow.remove(&replaced);
        }
        replaced
    }

    /// Takes views out; those of the ordinary space come back.
    pub fn remove(&mut self, keys: &[Arc<str>]) -> Vec<ViewRuntime> {
        self.shadow.iter_mut().for_each(|shadow| drop(shadow.remove(keys)));
        self.live.remove(keys)
    }

    /// Removes the late records of a view that is gone, in both spaces.
    pub fn forget_late(&mut self, view: &str) {
        self.each(|publisher| publisher.ledgers.forget_view(view));
    }

    /// Says which views are being filled elsewhere, and how far they are.
    pub fn set_pending(&mut self, pending: BTreeMap<String, (Arc<ViewInfo>, Filled)>) {
        self.each(|publisher| publisher.set_pending(pending.clone()));
    }

    /// Sets the table of all versions of all scopes.
    pub fn set_scopes(&mut self, scopes: &RecordBatch) {
        self.each(|publisher| publisher.set_scopes(scopes.clone()));
    }

    /// Takes titles, units and the views over results from another catalogue.
    ///
    /// # Errors
    /// When the system gives nothing to run views over results on.
    pub fn set_catalog(&mut self, catalog: &Catalog) -> Result<()> {
        self.live.set_catalog(catalog)?;
        self.shadow.iter_mut().try_for_each(|shadow| shadow.set_catalog(catalog))
    }

    /// Makes the cut of both spaces; `quiet` says how long each partition had no shadow record.
    ///
    /// # Errors
    /// When the accounting cannot be shown; a failing view only stops itself.
    pub fn publish(&mut self, moment: &Moment, quiet: Quiet) -> Result<Cut> {
        let proof = proof::table(&self.live, self.shadow.as_ref())?;
        self.sequences.take_in();
        let sequences = (SEQUENCES_TABLE.to_owned(), self.sequences.table()?);
        self.check();
        let proof = (PROOF_TABLE.to_owned(), proof);
        let mut cut = self.live.publish(moment, vec![proof, sequences.clone()])?;
        if let Some(shadow) = &mut self.shadow {
            let mut at = shadow.publish(&Moment { quiet, ..moment.clone() }, vec![sequences])?;
            // A partition without a shadow record has been read as far as the others.
            at.offsets.clone_from(&cut.offsets);
            cut.shadow = Some(Arc::new(at));
        }
        Ok(cut)
    }

    /// Looks whether the spaces have kept apart.
    fn check(&mut self) {
        let found = proof::mixed(&self.live, self.shadow.as_ref());
        if self.mixed.is_empty() {
            found.iter().for_each(|what| tracing::error!("shadow and live are mixed: {what}"));
        }
        self.mixed = found;
    }

    /// What someone must look at, in both spaces.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let mixed = self.mixed.iter().map(|what| format!("shadow and live are mixed: {what}"));
        let mut alarms: Vec<String> = self.live.alarms().into_iter().chain(mixed).collect();
        if let Some(shadow) = &self.shadow {
            alarms.extend(shadow.alarms().into_iter().map(|what| format!("shadow space: {what}")));
        }
        alarms
    }

    /// Writes what waits for the ledgers of both spaces; before the checkpoint that goes with it.
    ///
    /// # Errors
    /// When the disk refuses; no checkpoint may be written then.
    pub fn write_ledgers(&mut self) -> Result<(), LedgerError> {
        if let Some(shadow) = &mut self.shadow {
            shadow.ledgers.write_all()?;
        }
        self.live.ledgers.write_all()
    }

    /// Makes the entries of both spaces' ledgers survive a power cut.
    ///
    /// # Errors
    /// As [`Publishers::write_ledgers`].
    pub fn persist_ledgers(&mut self) -> Result<(), LedgerError> {
        self.write_ledgers()?;
        self.live.ledgers.persist()
    }

    /// Offsets after the last record read, by stream and partition.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.live.streams.iter().map(|(name, stream)| (name.clone(), stream.offsets())).collect()
    }

    /// Takes note that a checkpoint with these offsets has been written.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn checkpoint_written(&mut self, offsets: &Offsets) -> Result<(), LedgerError> {
        if let Some(shadow) = &mut self.shadow {
            shadow.ledgers.checkpoint_written(offsets.clone())?;
        }
        self.live.ledgers.checkpoint_written(offsets.clone())
    }
}
