//! Session windows put together: the sessions of all partitions, touching ones of one key merged.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::Result;

use super::assign::{SliceKey, Window, Windows};
use super::fire::{Firing, Progress, ViewState, mark_of};
use super::session::Session;
use crate::model::PartitionId;
use crate::results::Mark;

impl ViewState {
    pub(super) fn fire_sessions(
        &mut self,
        windows: &Windows,
        progress: Progress,
    ) -> Result<Firing> {
        let sessions = self.session_windows();
        let mut firing = Firing::default();
        let gone: Vec<Window> =
            self.pending.keys().filter(|window| !sessions.contains_key(window)).copied().collect();
        for window in gone {
            self.pending.remove(&window);
            firing.withdrawn.push((windows.instant(window.start), windows.instant(window.end)));
        }
        for (window, members) in sessions {
            let mark = mark_of(windows, window, progress);
            let within = |partition: PartitionId, slice: SliceKey| {
                members.contains(&(partition, slice.start))
            };
            firing.fired.extend(self.put_together(Some(windows), window, &within, mark)?);
            if mark == Mark::Final {
                self.pending.remove(&window);
                self.forget_session(&members);
            } else {
                self.pending.insert(window, Some(mark));
            }
        }
        Ok(firing)
    }

    /// The sessions of all partitions, touching ones of one key merged, by their windows.
    pub(super) fn session_windows(&self) -> BTreeMap<Window, BTreeSet<(PartitionId, i64)>> {
        let mut by_key: BTreeMap<&[u8], Vec<(PartitionId, &Session)>> = BTreeMap::new();
        for (partition, table) in &self.partitions {
            for (key, session) in &table.sessions {
                by_key.entry(key).or_default().push((*partition, session));
            }
        }
        let mut all: BTreeMap<Window, BTreeSet<(PartitionId, i64)>> = BTreeMap::new();
        for mut spans in by_key.into_values() {
            spans.sort_by_key(|(_, session)| session.start);
            let mut open: Vec<(PartitionId, &Session)> = Vec::new();
            for (partition, session) in spans {
                if !joins(&open, partition, session) {
                    close_session(&mut all, &open);
                    open.clear();
                }
                open.push((partition, session));
            }
            close_session(&mut all, &open);
        }
        all
    }

    fn forget_session(&mut self, members: &BTreeSet<(PartitionId, i64)>) {
        for (partition, table) in &mut self.partitions {
            let gone = |slice: &i64| members.contains(&(*partition, *slice));
            table.slices.retain(|slice, _| !gone(&slice.start));
            table.rows.retain(|slice, _| !gone(&slice.start));
            table.sessions.retain(|(_, session)| !session.slices.iter().any(gone));
        }
    }
}

/// Whether a session goes on the one that `open` makes up.
///
/// Two sessions of one partition that touch would be one already, had the first not been closed
/// before the second began.
fn joins(open: &[(PartitionId, &Session)], partition: PartitionId, session: &Session) -> bool {
    let touching = |other: &Session| session.start <= other.end;
    let touches_closed = open.iter().any(|(owner, other)| *owner == partition && touching(other));
    open.iter().any(|(_, other)| touching(other)) && !touches_closed
}

fn close_session(
    all: &mut BTreeMap<Window, BTreeSet<(PartitionId, i64)>>,
    parts: &[(PartitionId, &Session)],
) {
    let start = parts.iter().map(|(_, session)| session.start).min();
    let end = parts.iter().map(|(_, session)| session.end).max();
    if let (Some(start), Some(end)) = (start, end) {
        let slices =
            parts.iter().flat_map(|(owner, part)| part.slices.iter().map(|slice| (*owner, *slice)));
        all.entry(Window { start, end }).or_default().extend(slices);
    }
}
