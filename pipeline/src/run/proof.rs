//! The proof that load tests count in no figure, as the table `shadow_proof` and as an alarm.
//!
//! Which space a record belongs to is decided once, before it is judged. At the other end, at the door of
//! every fold, the rows are counted that are marked otherwise than the space they came to. So the proof does
//! not rest on the sorting that it proves: what is in a view came through that door.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;

use super::accounting::table as table_of;
use super::publisher::{Publisher, ViewInput, ViewRuntime};
use crate::admit::RecordCounts;
use crate::model::space::{PROOF_COUNTS, PROOF_TABLE};
use crate::state::{SavedFold, SavedPartition};

/// What one view holds in one space, over all partitions.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    accepted: u64,
    counted: u64,
    foreign: u64,
}

fn partitions<'a>(
    publisher: &'a Publisher,
    stream: &str,
) -> impl Iterator<Item = &'a SavedPartition> + use<'a> {
    publisher.streams.get(stream).into_iter().flat_map(|at| at.partitions.values())
}

fn held(publisher: Option<&Publisher>, view: &ViewRuntime, base: &str) -> Held {
    let of_partitions = publisher.into_iter().flat_map(|publisher| partitions(publisher, base));
    let folds = of_partitions.filter_map(|at| at.views.get(&*view.key));
    folds.fold(Held::default(), |sum, SavedFold { counts, foreign, .. }| Held {
        accepted: sum.accepted + counts.accepted,
        counted: sum.counted + counts.counted,
        foreign: sum.foreign + foreign,
    })
}

fn total(publisher: Option<&Publisher>, stream: &str, of: fn(&RecordCounts) -> u64) -> u64 {
    publisher
        .into_iter()
        .flat_map(|publisher| partitions(publisher, stream))
        .map(|at| of(&at.counts))
        .sum()
}

/// `shadow_proof`: a row a view and stream it reads, with what it holds in each space.
///
/// # Errors
/// Never, unless the schema and its columns disagree.
pub fn table(live: &Publisher, shadow: Option<&Publisher>) -> Result<RecordBatch, ArrowError> {
    let shown = live.views.iter().filter(|view| view.is_shown);
    let views: Vec<(&ViewRuntime, &ViewInput)> =
        shown.flat_map(|view| view.inputs.iter().map(move |input| (view, input))).collect();
    let row = |(view, input): &(&ViewRuntime, &ViewInput)| {
        let base = &*input.base;
        let (own, other) = (held(Some(live), view, base), held(shadow, view, base));
        [
            total(Some(live), base, |counts| counts.shadow),
            total(shadow, base, |counts| counts.read),
            own.accepted,
            own.counted,
            other.accepted,
            other.counted,
            own.foreign,
            other.foreign,
        ]
    };
    let rows: Vec<[u64; 8]> = views.iter().map(row).collect();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(views.iter().map(|(view, _)| Some(&*view.name)).collect::<StringArray>()),
        Arc::new(views.iter().map(|(_, input)| Some(&*input.stream)).collect::<StringArray>()),
    ];
    for nth in 0..PROOF_COUNTS.len() {
        let numbers =
            rows.iter().map(|row| row.get(nth).and_then(|count| i64::try_from(*count).ok()));
        columns.push(Arc::new(numbers.collect::<Int64Array>()));
    }
    table_of(PROOF_TABLE, columns)
}

/// Where the spaces have not kept apart: a sentence for each place, none when they have.
#[must_use]
pub fn mixed(live: &Publisher, shadow: Option<&Publisher>) -> Vec<String> {
    let mut found = Vec::new();
    for (stream, at) in &live.streams {
        let other = shadow.and_then(|shadow| shadow.streams.get(stream));
        for (partition, at) in &at.partitions {
            let other = other.and_then(|other| other.partitions.get(partition));
            let marked = at.counts.shadow - at.shadow_before;
            let read = other.map_or(0, |other| other.counts.read);
            let place = format!("stream {stream} partition {partition}");
            if marked != read {
                found.push(format!(
                    "{place}: {marked} records are marked, but {read} came to the shadow space"
                ));
            }
            found.extend(foreign(&at.views, "shadow rows came into the live view", &place));
            found.extend(other.into_iter().flat_map(|other| {
                foreign(&other.views, "live rows came into the shadow view", &place)
            }));
        }
    }
    found
}

fn foreign<'a>(
    views: &'a BTreeMap<String, SavedFold>,
    what: &'a str,
    place: &'a str,
) -> impl Iterator<Item = String> + 'a {
    let mixed = views.iter().filter(|(_, fold)| fold.foreign > 0);
    mixed.map(move |(view, fold)| format!("{place}: {} {what} {view}", fold.foreign))
}
