//! What all workers of a place, and the server that merges them, must have in common: streams, views and the key of
//! hashed columns. Of two that disagree the figures would be neither's.
//!
//! ```text
//! workers.json                         the agreement; whoever comes first writes it
//! partitions/STREAM/NUMBER/            a partition: its checkpoints, logs and owner
//! merged/                              the server's own checkpoints, and how far it has merged each partition
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::WorkersError;
use crate::history::HashKey;
use crate::model::PartitionId;
use crate::run::saving::StreamToRead;
use crate::sql::Catalog;
use crate::sql::catalog::ViewQuery;
use crate::state::objects::{Objects, Within};
use crate::state::store::OF_WORKERS;

/// Name of the object with the agreement.
const NAME: &str = "workers.json";
/// Folder of the server that merges.
const MERGED: &str = "merged";
/// What is hashed to see whether two processes have the same key.
const SAMPLE: &str = "tidemark workers";

/// What all of them have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// The format of the bytes in which drains are told.
    format: u32,
    /// The hash and the number of partitions of each stream.
    streams: BTreeMap<String, (String, usize)>,
    /// The hash of each view over a stream.
    views: BTreeMap<String, String>,
    /// What the key of hashed columns makes of a word; `None` where no history is kept.
    hashed: Option<String>,
}

impl Agreement {
    /// What this process would have the others agree to. `key` is there where a history is kept.
    #[must_use]
    pub fn of(catalog: &Catalog, streams: &[StreamToRead], key: Option<&HashKey>) -> Self {
        let over_streams =
            catalog.views.iter().filter(|view| matches!(view.query, ViewQuery::Stream(_)));
        Self {
            format: crate::state::checkpoint::VERSION,
            streams: streams
                .iter()
                .map(|stream| (stream.name.clone(), (stream.hash.clone(), stream.partitions.len())))
                .collect(),
            views: over_streams.map(|view| (view.name.clone(), view.hash.clone())).collect(),
            hashed: key.map(|key| key.hash(SAMPLE)),
        }
    }

    /// Writes it where there is none yet, or compares it with the one there is.
    ///
    /// # Errors
    /// When the place refuses, or something differs: all of it, by name.
    pub fn keep_or_compare(&self, place: &dyn Objects) -> Result<(), WorkersError> {
        loop {
            if let Some(bytes) = place.read(NAME)? {
                let unreadable = |error: serde_json::Error| WorkersError::Agreement {
                    place: format!("{}/{NAME}", place.place()),
                    differences: format!("it cannot be read: {error}"),
                };
                let kept: Self = serde_json::from_slice(&bytes).map_err(unreadable)?;
                return kept.compare(self, &place.place());
            }
            let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
            // Whoever was quicker is read.
            place.write_if(NAME, &bytes, None)?;
        }
    }

    fn compare(&self, now: &Self, place: &str) -> Result<(), WorkersError> {
        let mut differences = Vec::new();
        if self.format != now.format {
            differences.push(format!("the format ({} there, {} here)", self.format, now.format));
        }
        for (name, (hash, partitions)) in &self.streams {
            match now.streams.get(name) {
                None => differences.push(format!("stream {name} is not read here")),
                Some((other, _)) if other != hash => {
                    differences.push(format!("stream {name} is declared otherwise here"));
                }
                Some((_, other)) if other != partitions => differences
                    .push(format!("stream {name} had {partitions} partitions and has {other}")),
                Some(_) => {}
            }
        }
        let more = now.streams.keys().filter(|name| !self.streams.contains_key(*name));
        differences.extend(more.map(|name| format!("stream {name} is new")));
        for (name, hash) in &self.views {
            match now.views.get(name) {
                None => differences.push(format!("view {name} is missing here")),
                Some(other) if other != hash => {
                    differences.push(format!("view {name} is defined otherwise here"));
                }
                Some(_) => {}
            }
        }
        let more = now.views.keys().filter(|name| !self.views.contains_key(*name));
        differences.extend(more.map(|name| format!("view {name} is new")));
        if self.hashed != now.hashed {
            let what = match (&self.hashed, &now.hashed) {
                (Some(_), Some(_)) => {
                    "the key of hashed columns is another (give all the same pipeline.history-key-file)"
                }
                _ => "only one of both keeps histories (pipeline.history)",
            };
            differences.push(what.to_owned());
        }
        match differences.is_empty() {
            true => Ok(()),
            false => Err(WorkersError::Agreement {
                place: format!("{place}/{NAME}"),
                differences: differences.join("; "),
            }),
        }
    }
}

/// The folder of a partition.
#[must_use]
pub fn partition_place(
    place: &Arc<dyn Objects>,
    stream: &str,
    partition: PartitionId,
) -> Arc<dyn Objects> {
    Within::new(Arc::clone(place), &format!("{OF_WORKERS}{stream}/{partition}"))
}

/// The folder of the server that merges.
#[must_use]
pub fn merged_place(place: &Arc<dyn Objects>) -> Arc<dyn Objects> {
    Within::new(Arc::clone(place), MERGED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::objects::Disk;

    fn agreement(views: &[(&str, &str)], partitions: usize) -> Agreement {
        let named = |(name, hash): &(&str, &str)| ((*name).to_owned(), (*hash).to_owned());
        Agreement {
            format: 9,
            streams: BTreeMap::from([("orders".to_owned(), ("h".to_owned(), partitions))]),
            views: views.iter().map(named).collect(),
            hashed: None,
        }
    }

    #[test]
    fn the_first_writes_what_the_others_must_agree_to_and_every_difference_is_named() {
        let dir = tempfile::tempdir().expect("folder");
        let place = Disk::open(dir.path()).expect("opens");
        let first = agreement(&[("gmv", "1"), ("late", "2")], 4);
        first.keep_or_compare(&place).expect("nothing was there");
        first.clone().keep_or_compare(&place).expect("the same");
        let other = agreement(&[("gmv", "3"), ("new", "2")], 5);
        let said = other.keep_or_compare(&place).expect_err("differs").to_string();
        for part in [
            "stream orders had 4 partitions and has 5",
            "view gmv is defined otherwise here",
            "view late is missing here",
            "view new is new",
            "workers.json",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let keyed = Agreement { hashed: Some("x".to_owned()), ..first.clone() };
        let said = keyed.keep_or_compare(&place).expect_err("differs").to_string();
        assert!(said.contains("pipeline.history"), "{said}");
        first.keep_or_compare(&place).expect("nothing of that was written");
    }
}
