//! Session windows put together: the sessions of all partitions, touching ones of one key merged.
//!
//! A key whose records are all in one partition, because the stream is partitioned by it, has its sessions
//! there. Otherwise a record in another partition may still touch a session that ends at `end` as long as
//! that partition's watermark is below `end - 1 + gap`: before that nothing is settled or final. A record
//! whose own gap has been passed is late there (`fold`), so none reaches a session that is final.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::Result;

use super::assign::{SliceKey, Window, Windows};
use super::fire::{Fired, Firing, Progress, ViewState, mark_of};
use super::session::Session;
use crate::model::PartitionId;
use crate::results::Mark;

/// Sessions with the partitions they are in.
type Group<'a> = Vec<(PartitionId, &'a Session)>;

impl ViewState {
    pub(super) fn fire_sessions(
        &mut self,
        windows: &Windows,
        progress: Progress,
    ) -> Result<Firing> {
        let sessions = self.session_windows();
        let held_back = if self.is_spread(progress) { windows.kind().size() } else { 0 };
        let marking = Progress {
            watermark: progress.watermark.saturating_sub(held_back),
            settled: progress.settled.saturating_sub(held_back),
            ..progress
        };
        let mut firing = Firing::default();
        let mut closed = BTreeSet::new();
        let gone: Vec<Window> =
            self.pending.keys().filter(|window| !sessions.contains_key(window)).copied().collect();
        for window in gone {
            self.pending.remove(&window);
            firing.withdrawn.push((windows.instant(window.start), windows.instant(window.end)));
        }
        for (window, members) in sessions {
            let mark = mark_of(windows, window, marking);
            firing.fired.extend(self.session(windows, window, &members, mark)?);
            if mark == Mark::Final {
                self.pending.remove(&window);
                closed.extend(members);
            } else {
                self.pending.insert(window, Some(mark));
            }
        }
        self.forget_sessions(&closed);
        Ok(firing)
    }

    /// The rows of one session window, from its own slices: there may be as many sessions as there are slices.
    fn session(
        &self,
        windows: &Windows,
        window: Window,
        members: &BTreeSet<(PartitionId, i64)>,
        mark: Mark,
    ) -> Result<Option<Fired>> {
        let Some(codec) = &self.codec else {
            let within = |partition: PartitionId, slice: SliceKey| {
                members.contains(&(partition, slice.start))
            };
            return self.put_together(Some(windows), window, &within, mark);
        };
        let slice = |(partition, number): &(PartitionId, i64)| {
            self.partitions.get(partition)?.slices.get(&SliceKey::on_time(*number))
        };
        let slices: Vec<_> = members.iter().filter_map(slice).collect();
        self.rows_of_groups(Some(windows), window, codec.evaluate(slices.into_iter()), mark)
    }

    /// Whether a key may have records in several partitions.
    fn is_spread(&self, progress: Progress) -> bool {
        progress.partitions > 1 && !self.plan().sessions_stay
    }

    /// The sessions of all partitions, touching ones of one key merged, by their windows.
    pub(super) fn session_windows(&self) -> BTreeMap<Window, BTreeSet<(PartitionId, i64)>> {
        let stay = self.plan().sessions_stay;
        let mut by_key: BTreeMap<(Option<PartitionId>, &[u8]), Group<'_>> = BTreeMap::new();
        for (partition, table) in &self.partitions {
            // A misplaced record begins a session of its own.
            let within = stay.then_some(*partition);
            // A partition tells a session once more after it has been told as final here and forgotten. Without
            // those it was told with, another one could seem to go on it.
            let is_kept = |slice: &i64| {
                let slice = SliceKey::on_time(*slice);
                table.slices.contains_key(&slice) || table.rows.contains_key(&slice)
            };
            for (key, session) in &table.sessions {
                if !session.slices.iter().any(is_kept) {
                    continue;
                }
                by_key.entry((within, &**key)).or_default().push((*partition, session));
            }
        }
        let mut all: BTreeMap<Window, BTreeSet<(PartitionId, i64)>> = BTreeMap::new();
        for mut spans in by_key.into_values() {
            // The order in which the sessions were told must not matter.
            spans.sort_by_key(|(partition, session)| (session.start, *partition, session.end));
            for group in grouped(spans) {
                let parts = || group.iter().map(|(_, session)| session);
                let (start, end) =
                    (parts().map(|part| part.start).min(), parts().map(|part| part.end).max());
                let (Some(start), Some(end)) = (start, end) else { continue };
                let slices = group
                    .iter()
                    .flat_map(|(owner, part)| part.slices.iter().map(|slice| (*owner, *slice)));
                all.entry(Window { start, end }).or_default().extend(slices);
            }
        }
        all
    }

    fn forget_sessions(&mut self, members: &BTreeSet<(PartitionId, i64)>) {
        if members.is_empty() {
            return;
        }
        for (partition, table) in &mut self.partitions {
            let gone = |slice: &i64| members.contains(&(*partition, *slice));
            table.slices.retain(|slice, _| !gone(&slice.start));
            table.rows.retain(|slice, _| !gone(&slice.start));
            table.sessions.retain(|(_, session)| !session.slices.iter().any(gone));
        }
    }
}

/// The sessions of one key, in the order of their starts, put together: each goes on the first group that it
/// touches, unless it touches a session of its own partition there. Those two would be one already, had the
/// first not been closed before the second began.
///
/// What a session joins depends on those that begin before it and touch it, and on no other, so that it does
/// not matter which groups have been told as final and forgotten, nor what has come since.
fn grouped(sessions: Group<'_>) -> Vec<Group<'_>> {
    let mut done = Vec::new();
    let mut open: Vec<Group<'_>> = Vec::new();
    for (partition, session) in sessions {
        let touching = |other: &Session| session.start <= other.end;
        // No later session begins before this one, so none touches a group that this one does not.
        let (reached, over): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|group| group.iter().any(|(_, other)| touching(other)));
        open = reached;
        done.extend(over);
        let has_own = |group: &Group<'_>| {
            group.iter().any(|(owner, other)| *owner == partition && touching(other))
        };
        match open.iter_mut().find(|group| !has_own(group)) {
            Some(group) => group.push((partition, session)),
            None => open.push(vec![(partition, session)]),
        }
    }
    done.extend(open);
    done
}
