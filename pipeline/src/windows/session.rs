//! Session windows of one partition: spans of activity, merged as they touch.
//!
//! ```text
//! row at t ──▶ [t, t + gap] ──▶ touches no session:   a new one
//!                           └─▶ touches one or more:  one session over all of them
//! ```
//! Rows fold under the number their session had when they came; a merged session has the numbers of
//! all its parts. A session is late when the one it would become has been passed by the watermark.

use hashbrown::HashMap;

/// One session of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Time of its first row, epoch milliseconds.
    pub start: i64,
    /// Time of its last row plus the gap.
    pub end: i64,
    /// The slices that hold its rows.
    pub slices: Vec<i64>,
}

/// The open sessions of one partition, by key.
#[derive(Debug, Default, Clone)]
pub struct Sessions {
    by_key: HashMap<Box<[u8]>, Vec<Session>>,
    next_slice: i64,
    changed: bool,
}

/// Sessions of one partition by encoded key.
pub type SessionList = Vec<(Box<[u8]>, Session)>;

impl Sessions {
    /// The slice for a row, or `Err` with the session's bounds when that session is closed.
    ///
    /// # Errors
    /// The start and end of the session the row would have joined.
    pub fn place(
        &mut self,
        key: &[u8],
        time: i64,
        gap: i64,
        watermark: i64,
    ) -> Result<i64, (i64, i64)> {
        let mut joined = Session { start: time, end: time.saturating_add(gap), slices: Vec::new() };
        // A session that is closed takes no row, whether or not it has been told and forgotten yet.
        let touches = |session: &Session| {
            session.start <= time.saturating_add(gap)
                && time <= session.end
                && session.end - 1 > watermark
        };
        let known = self.by_key.get(key).map_or(&[][..], Vec::as_slice);
        for session in known.iter().filter(|session| touches(session)) {
            joined.start = joined.start.min(session.start);
            joined.end = joined.end.max(session.end);
            joined.slices.extend(&session.slices);
        }
        if joined.end - 1 <= watermark {
            return Err((joined.start, joined.end));
        }
        let slice = match joined.slices.first() {
            Some(slice) => *slice,
            None => {
                self.next_slice += 1;
                joined.slices.push(self.next_slice);
                self.next_slice
            }
        };
        let sessions = self.by_key.entry(key.into()).or_default();
        sessions.retain(|session| !touches(session));
        sessions.push(joined);
        self.changed = true;
        Ok(slice)
    }

    /// The sessions as they are now, if they changed since the last call; those the watermark has
    /// passed are told once more and then forgotten here, for no row can join them any longer.
    pub fn take_changed(&mut self, watermark: i64) -> Option<SessionList> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let all = self
            .by_key
            .iter()
            .flat_map(|(key, sessions)| {
                sessions.iter().map(|session| (key.clone(), session.clone()))
            })
            .collect();
        for sessions in self.by_key.values_mut() {
            sessions.retain(|session| session.end - 1 > watermark);
        }
        self.by_key.retain(|_, sessions| !sessions.is_empty());
        Some(all)
    }

    /// Everything needed to go on after a restart: the open sessions and the next number.
    #[must_use]
    pub fn saved(&self) -> (SessionList, i64) {
        let all = self
            .by_key
            .iter()
            .flat_map(|(key, sessions)| {
                sessions.iter().map(|session| (key.clone(), session.clone()))
            })
            .collect();
        (all, self.next_slice)
    }

    /// The sessions as [`Sessions::saved`] gave them.
    #[must_use]
    pub fn restored((list, next_slice): (SessionList, i64)) -> Self {
        let mut by_key: HashMap<Box<[u8]>, Vec<Session>> = HashMap::new();
        for (key, session) in list {
            by_key.entry(key).or_default().push(session);
        }
        Self { by_key, next_slice, changed: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_sessions_merge_and_keep_the_slices_of_both() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.place(b"a", 0, 5, i64::MIN), Ok(1));
        assert_eq!(sessions.place(b"a", 20, 5, i64::MIN), Ok(2));
        assert_eq!(sessions.place(b"a", 5, 15, i64::MIN), Ok(1));
        let [(_, merged)] = &sessions.take_changed(i64::MIN).expect("changed")[..] else {
            panic!("one session")
        };
        assert_eq!((merged.start, merged.end, merged.slices.len()), (0, 25, 2));
    }

    #[test]
    fn a_row_is_late_only_when_the_session_it_joins_is_closed() {
        let mut sessions = Sessions::default();
        sessions.place(b"a", 10, 5, i64::MIN).expect("open");
        assert_eq!(sessions.place(b"a", 6, 5, 13), Ok(1));
        assert_eq!(sessions.place(b"b", 6, 5, 13), Err((6, 11)));
    }

    #[test]
    fn a_closed_session_takes_no_row_whether_or_not_it_has_been_told() {
        for is_told in [false, true] {
            let mut sessions = Sessions::default();
            assert_eq!(sessions.place(b"a", 0, 5, i64::MIN), Ok(1));
            if is_told {
                sessions.take_changed(4).expect("changed");
            }
            assert_eq!(sessions.place(b"a", 3, 5, 4), Ok(2), "told: {is_told}");
        }
    }
}
