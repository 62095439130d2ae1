//! What is still to happen, by time. Things of one time come out in the order they went in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A queue by time. Only small keys are moved when it is sorted; the things stay where they are.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    heap: BinaryHeap<Reverse<(i64, u64, usize)>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    pushed: u64,
}

impl<T> Schedule<T> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), pushed: 0 }
    }

    pub(super) fn push(&mut self, time_ms: i64, thing: T) {
        let slot = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(slot) {
            Some(place) => *place = Some(thing),
            None => self.slots.push(Some(thing)),
        }
        self.heap.push(Reverse((time_ms, self.pushed, slot)));
        self.pushed += 1;
    }

    /// Time of the next thing.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse((time_ms, ..))| *time_ms)
    }

    pub(super) fn pop(&mut self) -> Option<(i64, T)> {
        let Reverse((time_ms, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        let thing = self.slots.get_mut(slot).and_then(Option::take)?;
        Some((time_ms, thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_by_time_and_then_in_their_order() {
        let mut schedule = Schedule::new();
        for (time, thing) in [(5, 'a'), (3, 'b'), (5, 'c'), (1, 'd')] {
            schedule.push(time, thing);
        }
        assert_eq!(schedule.next_ms(), Some(1));
        assert_eq!(schedule.pop(), Some((1, 'd')));
        schedule.push(5, 'e');
        let rest: Vec<_> = std::iter::from_fn(|| schedule.pop()).map(|(_, thing)| thing).collect();
        assert_eq!(rest, ['b', 'a', 'c', 'e']);
    }
}
