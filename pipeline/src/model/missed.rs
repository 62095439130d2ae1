//! The windows that a record missed: many of them follow one another at one distance, so they are kept as runs.

/// Windows whose starts and ends each grow by one step, as instants in epoch milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRun {
    /// Start and end of the first.
    pub first: (i64, i64),
    /// What is added to start and end from one to the next; nothing where there is only one.
    pub step: (i64, i64),
    /// How many there are, at least 1.
    pub count: u32,
}

impl WindowRun {
    /// The window at a place counted from 0.
    fn nth(&self, at: u32) -> (i64, i64) {
        let at = i64::from(at);
        let moved = |from: i64, step: i64| from.saturating_add(step.saturating_mul(at));
        (moved(self.first.0, self.step.0), moved(self.first.1, self.step.1))
    }

    /// Start and end of each.
    pub fn windows(self) -> impl Iterator<Item = (i64, i64)> {
        (0..self.count).map(move |at| self.nth(at))
    }

    fn last(&self) -> (i64, i64) {
        self.nth(self.count.saturating_sub(1))
    }
}

/// Windows in the order of their ends. A record that is ten minutes late in steps of a second missed 600 of
/// them, which are one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissedWindows {
    runs: Vec<WindowRun>,
}

impl MissedWindows {
    /// These runs, the later ones behind the earlier ones; one without a window is left out.
    #[must_use]
    pub fn of_runs(runs: impl IntoIterator<Item = WindowRun>) -> Self {
        Self { runs: runs.into_iter().filter(|run| run.count > 0).collect() }
    }

    /// Windows one by one, in the order of their ends.
    #[must_use]
    pub fn of_each(windows: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut all = Self::default();
        for window in windows {
            all.push(window);
        }
        all
    }

    fn push(&mut self, window: (i64, i64)) {
        if let Some(run) = self.runs.last_mut() {
            let last = run.last();
            let step = (window.0.saturating_sub(last.0), window.1.saturating_sub(last.1));
            if run.count == 1 || run.step == step {
                (run.step, run.count) = (step, run.count.saturating_add(1));
                return;
            }
        }
        self.runs.push(WindowRun { first: window, step: (0, 0), count: 1 });
    }

    /// The runs.
    #[must_use]
    pub fn runs(&self) -> &[WindowRun] {
        &self.runs
    }

    /// How many windows there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.count)).sum()
    }

    /// The last of them; `None` where there is none.
    #[must_use]
    pub fn last(&self) -> Option<(i64, i64)> {
        self.runs.last().map(WindowRun::last)
    }

    /// Start and end of each.
    pub fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.runs.iter().flat_map(|run| run.windows())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_back_as_they_went_in_and_even_ones_are_one_run() {
        let steps: Vec<_> = (1..=600).map(|end| (0, end * 1_000)).collect();
        let all = MissedWindows::of_each(steps.clone());
        assert_eq!((all.runs().len(), all.count(), all.last()), (1, 600, Some((0, 600_000))));
        assert_eq!(all.iter().collect::<Vec<_>>(), steps);
        let run = WindowRun { first: (0, 1_000), step: (0, 1_000), count: 600 };
        assert_eq!(MissedWindows::of_runs([run]), all);
        // A day of 23 hours among days of 24.
        let days = vec![(0, 24), (24, 47), (47, 71), (71, 95)];
        let all = MissedWindows::of_each(days.clone());
        assert_eq!(all.iter().collect::<Vec<_>>(), days);
        assert_eq!(all.count(), 4);
        assert_eq!(MissedWindows::default().last(), None);
    }
}
