//! What is kept beside the newest cut: histories of streams, what views showed, and what must stay of both.

use std::sync::Arc;

use super::StartError;
use crate::config::PipelineConfig;
use crate::history::{
    Bounds, HashKey, History, HistoryError, HistoryLayout, HistoryPlace, HistoryWriter, Pins,
    Upkeep,
};
use crate::results::Past;
use crate::results::view_history::ViewHistory;
use crate::run::saving::StreamToRead;
use crate::sql::Catalog;

/// What is kept of the past, beside the histories of streams.
pub(super) fn past(config: &PipelineConfig) -> Result<Past, StartError> {
    let folder = config.data_dir.join("view_history");
    let views = config.view_history.room.map(|room| ViewHistory::open(&folder, room));
    Ok(Past { views: views.transpose()?, pins: Pins::open(&config.data_dir)?, commits: None })
}

/// Opens the histories of the streams that keep one; `None` where none does.
pub(super) fn open_history(
    catalog: &Catalog,
    (config, pins): (&PipelineConfig, &Arc<Pins>),
    streams: &[StreamToRead],
) -> Result<Option<History>, HistoryError> {
    let keeps = |stream: &StreamToRead| {
        let definition = &catalog.streams.get(&stream.name)?.definition;
        definition.keeps_history.then_some((definition, stream.partitions.clone()))
    };
    let kept: Vec<_> = streams.iter().filter_map(keeps).collect();
    if kept.is_empty() || !config.history.is_on {
        return Ok(None);
    }
    let key = HashKey::read_or_make(&config.history.key_file)?;
    let laid_out = kept
        .into_iter()
        .map(|(definition, partitions)| {
            Ok((Arc::new(HistoryLayout::of(definition, key.clone())?), partitions))
        })
        .collect::<Result<Vec<_>, HistoryError>>()?;
    let place =
        HistoryPlace { url: config.history.store.clone(), s3: config.checkpoint_s3.clone() };
    let upkeep = Upkeep { compact_every: config.history.compact_every, keep: config.history.keep };
    let (writer, opened) = HistoryWriter::start(&place, (upkeep, pins), &laid_out)?;
    let bounds = Bounds {
        commit_every: config.history.commit_every,
        rows_max: config.history.commit_records_max,
        bytes_max: config.history.waiting_bytes_max,
    };
    let layouts = laid_out.into_iter().map(|(layout, _)| layout).collect();
    Ok(Some(History::new(writer, layouts, opened, bounds)))
}
