//! What is otherwise where workers fold: the place is shared, partitions are expected and not read.

use std::sync::Arc;

use super::logs::WatchedLog;
use super::{Opened, StartError};
use crate::config::PipelineConfig;
use crate::history::{History, JOURNAL};
use crate::model::{Offset, PartitionId};
use crate::run::publisher::Publishers;
use crate::run::saving::{Resumed, SavingError, StreamToRead};
use crate::run::workers::agreement::{Agreement, merged_place};
use crate::run::workers::{WorkersError, histories, shared_place};
use crate::sql::Catalog;
use crate::state::CheckpointError;
use crate::state::objects::{self, Objects};

/// Who folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folding {
    /// Threads of this process.
    Here,
    /// Workers that share its place.
    Workers,
}

/// The place for checkpoints: this process's own, or its folder of the one it shares with workers, and that one.
pub(super) fn place(
    catalog: &Catalog,
    config: &PipelineConfig,
    folding: Folding,
    to_read: &[StreamToRead],
) -> Result<(Arc<dyn Objects>, Option<Arc<dyn Objects>>), StartError> {
    if folding == Folding::Here {
        let objects = objects::open(&config.checkpoint_store, &config.checkpoint_s3)
            .map_err(CheckpointError::from);
        return Ok((objects.map_err(SavingError::from)?, None));
    }
    let of_workers = |error: WorkersError| StartError::Workers(error.to_string());
    let shared = shared_place(config).map_err(of_workers)?;
    let (key, _) = histories(catalog, config)?;
    let agreement = Agreement::of(catalog, to_read, key.as_ref());
    agreement.keep_or_compare(shared.as_ref()).map_err(of_workers)?;
    Ok((merged_place(&shared), Some(shared)))
}

/// The logs to be watched for partitions they did not have; workers take none in.
pub(super) fn watched(opened: Vec<Opened>, folding: Folding) -> Vec<WatchedLog> {
    let watched = |one: Opened| WatchedLog {
        stream: one.to_read.name,
        source: one.source,
        known: one.to_read.partitions.into_iter().collect(),
        accepts: one.to_read.accepts_partitions && folding == Folding::Here,
    };
    opened.into_iter().map(watched).collect()
}

/// Where the partitions of a stream stand that workers fold.
pub(super) fn expected(
    opened: &mut Opened,
    resumed: &mut Resumed,
    (publisher, mut history): (&mut Publishers, Option<&mut History>),
) -> Result<Vec<((String, PartitionId), Option<Offset>)>, StartError> {
    let Opened { to_read, source } = opened;
    let stream = &to_read.name;
    let failed = |source| StartError::Source { stream: stream.clone(), source };
    let mut all = Vec::new();
    for partition in &to_read.partitions {
        let name = (stream.clone(), *partition);
        let mut start = resumed.partitions.remove(&name);
        if let Some(history) = history.as_deref_mut()
            && history.layout(stream).is_some()
        {
            let rows = start.as_mut().and_then(|start| start.orders.remove(JOURNAL));
            let end = source.bounds(*partition).map_err(failed)?.map(|bounds| bounds.end);
            history.resume(stream, *partition, &rows.unwrap_or_default(), end)?;
        }
        let at = start.as_ref().and_then(|start| start.at.next_offset);
        if start.is_none() {
            publisher.expect_partition(stream, *partition);
        }
        publisher.rewind_ledgers((stream, *partition), at.unwrap_or(0))?;
        all.push((name, at));
    }
    publisher.set_topic(stream, source.origin());
    Ok(all)
}
