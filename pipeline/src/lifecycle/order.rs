//! One order: the events of it that matter, and nothing else.
//!
//! This is how an order is worked on, one at a time and always in the same memory; how millions of them
//! are kept is in [`super::packed`].

use std::cmp::Ordering;

use super::attributes::value;
use super::rules::Rules;

/// One event of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When it happened, epoch milliseconds.
    pub time: i64,
    /// Number of its kind in the rules.
    pub kind: u16,
    /// Which of the order's attribute rows it carries.
    pub attributes: u16,
    /// Its amount in the column's smallest unit; `None` where it carries none.
    pub amount: Option<i128>,
    /// Where it stands in its partition, for those who look for it.
    pub offset: i64,
}

/// What became of an event that was offered to its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is kept, at this place among the events.
    Added(usize),
    /// It is kept in the place of a later one of its kind and currency, which now repeats it.
    InPlaceOf(Event),
    /// It repeats an earlier one of its kind and currency.
    Repeats,
    /// The order already has as many events as it may.
    Full,
}

/// What currency the money of an event is said to be in; `None` for one that does not say, for one that moves no
/// money, and where the rules know no currency.
#[must_use]
pub fn currency_of<'a>(event: &Event, attributes: &'a [u8], rules: &Rules) -> Option<&'a [u8]> {
    let action = rules.action(event.kind);
    let moves_money = event.amount.is_some() && (action.pays || action.refunds);
    value(attributes, rules.currency.filter(|_| moves_money)?)
}

/// Byte strings one after another in one piece of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByteRows {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl ByteRows {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The one at this place; empty where there is none.
    #[must_use]
    pub fn get(&self, at: usize) -> &[u8] {
        let from = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let to = self.ends.get(at).copied().unwrap_or(from);
        self.bytes.get(from..to).unwrap_or(&[])
    }

    /// Each in its order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.get(at))
    }

    /// Appends one.
    pub fn push(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.ends.push(self.bytes.len());
    }

    /// Takes all out; their memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn remove(&mut self, at: usize) {
        let length = self.get(at).len();
        let end = self.ends.remove(at);
        self.bytes.drain(end - length..end);
        self.ends.iter_mut().skip(at).for_each(|end| *end -= length);
    }

    fn copy(&mut self, from: &Self) {
        self.bytes.clone_from(&from.bytes);
        self.ends.clone_from(&from.ends);
    }
}

/// One order's events.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The events that are kept, in the order of [`Order::compare`].
    pub events: Vec<Event>,
    /// The different attribute rows of its events, as [`super::attributes`] writes them.
    pub attributes: ByteRows,
    /// The largest event time it has had, that of repeats too; epoch milliseconds.
    pub newest: i64,
    /// The raw records by offset of those of its events that whoever looks for what does not count may want to see: all
    /// while it waits to be opened, then those that ask for money back, which a later record may show to be too much.
    pub raw: Vec<(i64, Box<[u8]>)>,
}

impl Order {
    /// Becomes an order that has had no event.
    pub fn clear(&mut self) {
        self.events.clear();
        self.attributes.clear();
        self.newest = i64::MIN;
        self.raw.clear();
    }

    /// Becomes what another one is.
    pub fn copy(&mut self, from: &Self) {
        self.events.clone_from(&from.events);
        self.attributes.copy(&from.attributes);
        self.newest = from.newest;
        self.raw.clone_from(&from.raw);
    }

    /// Attribute row of an event.
    #[must_use]
    pub fn attributes_of(&self, event: &Event) -> &[u8] {
        self.attributes.get(usize::from(event.attributes))
    }

    /// The raw record of an event; empty for one whose record is not kept.
    #[must_use]
    pub fn raw_of(&self, event: &Event) -> &[u8] {
        self.raw.iter().find(|(offset, _)| *offset == event.offset).map_or(&[], |(_, raw)| raw)
    }

    /// Keeps the raw record of an event that was offered, if anyone may look for it, and lets those go that nobody will
    /// look for any more.
    pub fn keep_raw(&mut self, offered: &Event, raw: &[u8], rules: &Rules) {
        let is_open = self.events.iter().any(|event| rules.action(event.kind).opens);
        let is_wanted = |event: &Event| !is_open || rules.action(event.kind).refunds;
        let events = &self.events;
        let is_wanted_at =
            |offset: i64| events.iter().any(|event| event.offset == offset && is_wanted(event));
        self.raw.retain(|(offset, _)| is_wanted_at(*offset));
        // Nearly always the order is open and nothing is asked back: then no record is copied.
        if is_wanted_at(offered.offset) {
            self.raw.push((offered.offset, raw.into()));
        }
    }

    /// Offers an event; what is kept depends on which events there were, not on the order they came in, as long as
    /// there are no more than `events_max`.
    ///
    /// Of a kind that counts once the earliest of each currency is kept: which of them is the order's is known only
    /// when its opening is, and until then none may crowd out another.
    pub fn offer(&mut self, mut event: Event, attributes: &[u8], rules: &Rules) -> Kept {
        self.newest = self.newest.max(event.time);
        let same = self.same(&event, attributes, rules);
        if same.is_none() && self.events.len() >= rules.events_max {
            return Kept::Full;
        }
        event.attributes = self.number_of(attributes);
        let replaced = match same {
            Some(at) if self.compare(&event, &self.events[at]) == Ordering::Less => {
                Some(self.events.remove(at))
            }
            Some(_) => {
                self.drop_unused();
                return Kept::Repeats;
            }
            None => None,
        };
        let before = |earlier: &Event| self.compare(earlier, &event) != Ordering::Greater;
        let at = self.events.partition_point(before);
        self.events.insert(at, event);
        if let Some(replaced) = replaced {
            self.drop_unused();
            return Kept::InPlaceOf(replaced);
        }
        Kept::Added(at)
    }

    /// Whether an event may take the place of one that is there, or repeat it.
    #[must_use]
    pub fn may_repeat(&self, event: &Event, attributes: &[u8], rules: &Rules) -> bool {
        self.same(event, attributes, rules).is_some()
    }

    /// The event that does the same as one that is offered, and of which only the earlier is kept.
    fn same(&self, event: &Event, attributes: &[u8], rules: &Rules) -> Option<usize> {
        if rules.action(event.kind).each {
            return None;
        }
        self.events.iter().position(|earlier| {
            let said = || currency_of(earlier, self.attributes_of(earlier), rules);
            earlier.kind == event.kind && said() == currency_of(event, attributes, rules)
        })
    }

    /// By time; events of one time by what they say, so that arrival plays no part.
    #[must_use]
    pub fn compare(&self, left: &Event, right: &Event) -> Ordering {
        let key = |event: &Event| (event.time, event.kind, event.amount);
        key(left)
            .cmp(&key(right))
            .then_with(|| self.attributes_of(left).cmp(self.attributes_of(right)))
    }

    fn number_of(&mut self, attributes: &[u8]) -> u16 {
        let found = self.attributes.iter().position(|row| *row == *attributes);
        let found = found.unwrap_or_else(|| {
            self.attributes.push(attributes);
            self.attributes.len() - 1
        });
        u16::try_from(found).unwrap_or(u16::MAX)
    }

    /// Attribute rows that no kept event carries must not count: they would make arrival matter.
    fn drop_unused(&mut self) {
        let mut at = 0;
        while at < self.attributes.len() {
            let number = u16::try_from(at).unwrap_or(u16::MAX);
            if self.events.iter().any(|event| event.attributes == number) {
                at += 1;
                continue;
            }
            self.attributes.remove(at);
            for event in self.events.iter_mut().filter(|event| event.attributes > number) {
                event.attributes -= 1;
            }
        }
    }
}
