//! The orders of one partition: kept by key until the watermark has passed them by the horizon.
//!
//! Every decision is made record by record against the watermark before the record, so that neither
//! batches nor restarts change one.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::order::{Event, Kept, Order};
use super::rules::Rules;
use super::saved::size;
use super::settle::{Effect, Settled, Stand, settle, settle_events};

/// An order's key as bytes.
pub type Key = Arc<[u8]>;

/// What became of the events of one partition.
///
/// `taken = applied + capped + repeated + waiting + expired + refused + ignored`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events taken in.
    pub taken: u64,
    /// Events that count in full.
    pub applied: u64,
    /// Refunds of which a part is above what was paid.
    pub capped: u64,
    /// Events that another one of their order has done before.
    pub repeated: u64,
    /// Events whose order has not come yet.
    pub waiting: u64,
    /// Events whose order did not come within the horizon, or that came after it themselves.
    pub expired: u64,
    /// Events that cannot be what they say.
    pub refused: u64,
    /// Events of kinds that are not declared.
    pub ignored: u64,
    /// Rows handed on, those that take something back too.
    pub rows: u64,
    /// Orders kept now.
    pub orders: u64,
    /// Orders forgotten before the horizon because there were too many.
    pub forgotten_early: u64,
}

impl Counts {
    /// Whether no event has disappeared.
    #[must_use]
    pub fn balances(&self) -> bool {
        let fates = [
            self.applied,
            self.capped,
            self.repeated,
            self.waiting,
            self.expired,
            self.refused,
            self.ignored,
        ];
        self.taken == fates.iter().sum::<u64>()
    }

    /// The names of [`Counts::to_numbers`], in its order.
    pub const NAMES: [&'static str; 11] = [
        "taken",
        "applied",
        "capped",
        "repeated",
        "waiting",
        "expired",
        "refused",
        "ignored",
        "rows",
        "orders",
        "forgotten_early",
    ];

    /// All of them, in the order of [`Counts::NAMES`].
    #[must_use]
    pub fn to_numbers(self) -> [u64; 11] {
        [
            self.taken,
            self.applied,
            self.capped,
            self.repeated,
            self.waiting,
            self.expired,
            self.refused,
            self.ignored,
            self.rows,
            self.orders,
            self.forgotten_early,
        ]
    }

    /// The sum of two partitions' counts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let mut sum = self.to_numbers();
        sum.iter_mut().zip(other.to_numbers()).for_each(|(sum, count)| *sum += count);
        Self::from_numbers(sum)
    }

    /// The counts with these numbers.
    #[must_use]
    pub fn from_numbers(numbers: [u64; 11]) -> Self {
        let [
            taken,
            applied,
            capped,
            repeated,
            waiting,
            expired,
            refused,
            ignored,
            rows,
            orders,
            forgotten_early,
        ] = numbers;
        Self {
            taken,
            applied,
            capped,
            repeated,
            waiting,
            expired,
            refused,
            ignored,
            rows,
            orders,
            forgotten_early,
        }
    }

    fn of(&mut self, stand: Stand) -> &mut u64 {
        match stand {
            Stand::Applied => &mut self.applied,
            Stand::Capped => &mut self.capped,
            Stand::Repeated => &mut self.repeated,
            Stand::Waiting => &mut self.waiting,
        }
    }
}

/// How an event stands that does not count, or no longer stands so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its order has not come yet.
    Waiting,
    /// It asks for more than was paid.
    Capped,
    /// Its order did not come within the horizon.
    Expired,
    /// It came when its order could already have been forgotten.
    TooOld,
    /// Its order was forgotten early, for there were too many.
    Crowded,
    /// Its amount is below zero.
    Negative,
    /// It needs an amount and has none.
    NoAmount,
    /// Its order has as many events as one may have.
    TooMany,
    /// It counts after all, or repeats another.
    Settled,
}

impl Standing {
    /// The word that groups it: `waiting`, `capped`, `expired`, `refused` or `settled`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Capped => "capped",
            Self::Expired | Self::TooOld | Self::Crowded => "expired",
            Self::Negative | Self::NoAmount | Self::TooMany => "refused",
            Self::Settled => "settled",
        }
    }

    /// The reason in a sentence.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Waiting => "its order has not come yet",
            Self::Capped => "it gives back more than was paid",
            Self::Expired => "its order did not come within the horizon",
            Self::TooOld => "it is older than the horizon",
            Self::Crowded => "it was given up at the bound orders.max, its order had not come",
            Self::Negative => "its amount is below zero",
            Self::NoAmount => "it has no amount",
            Self::TooMany => "its order has reached the bound events.max",
            Self::Settled => "it counts",
        }
    }
}

/// Tells how one event stands from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its offset.
    pub offset: i64,
    /// Offset of the record that brought it about: its own, or one that was read later.
    pub due_to: i64,
    /// Its event time, epoch milliseconds.
    pub time: i64,
    /// Its order.
    pub key: Key,
    /// The same as text; the operator knows its type.
    pub order_key: String,
    /// Number of its kind.
    pub kind: u16,
    /// The same by name.
    pub event_type: String,
    /// How it stood before; [`Standing::Settled`] for one that is new or counted.
    pub was: Standing,
    /// How it stands.
    pub standing: Standing,
    /// The raw record, where it is at hand: while the event is new, or waits.
    pub raw: Box<[u8]>,
}

/// An event on its way to its order.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Its order.
    pub key: &'a [u8],
    /// Itself.
    pub event: Event,
    /// The attributes it carries, as [`super::attributes`] writes them.
    pub attributes: &'a [u8],
    /// The raw record, which is kept while it waits.
    pub raw: &'a [u8],
}

/// An effect that begins (`sign` 1) or is taken back (`sign` -1).
pub type OnEffect<'a> = &'a mut dyn FnMut(i8, &Effect<'_>);

/// The orders of one partition.
#[derive(Debug)]
pub struct Orders {
    rules: Arc<Rules>,
    orders: HashMap<Key, Entry>,
    /// Every order once, at or before the time at which it is forgotten; brought up to date when its turn comes.
    by_age: BTreeSet<(i64, Key)>,
    counts: Counts,
    notices: Vec<Notice>,
    changed: Vec<Key>,
    /// Room for the events of one order but one.
    others: Vec<Event>,
    /// About how many bytes all orders take in a checkpoint.
    bytes: u64,
}

#[derive(Debug)]
struct Entry {
    /// The key it is found by.
    key: Key,
    order: Order,
    /// Whether its key is in `changed`.
    is_changed: bool,
}

impl Orders {
    /// No orders yet.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            orders: HashMap::new(),
            by_age: BTreeSet::new(),
            counts: Counts::default(),
            notices: Vec::new(),
            changed: Vec::new(),
            others: Vec::new(),
            bytes: 0,
        }
    }

    /// What became of the events.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { orders: u64::try_from(self.orders.len()).unwrap_or(u64::MAX), ..self.counts }
    }

    /// How many events stand otherwise than before the last call of [`Orders::take_notices`].
    #[must_use]
    pub fn notices(&self) -> usize {
        self.notices.len()
    }

    /// Events that stand otherwise than before, since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Orders that are not as they were at the last call; `None` for those that are forgotten.
    pub fn take_changed(&mut self, mut each: impl FnMut(&[u8], Option<&Order>)) {
        for key in std::mem::take(&mut self.changed) {
            let entry = self.orders.get_mut(&key);
            each(
                &key,
                entry.map(|entry| {
                    entry.is_changed = false;
                    &entry.order
                }),
            );
        }
    }

    /// All orders, as [`Orders::take_changed`] gives the changed ones; afterwards none is changed.
    pub fn take_all(&mut self, mut each: impl FnMut(&[u8], Option<&Order>)) {
        self.changed.clear();
        for (key, entry) in &mut self.orders {
            entry.is_changed = false;
            each(key, Some(&entry.order));
        }
    }

    /// About how many bytes all orders take in a checkpoint.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes up the counts of a checkpoint.
    pub fn restore_counts(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// Takes up one order of a checkpoint; `None` if it had been forgotten.
    pub fn restore(&mut self, key: Key, order: Option<Order>) {
        if let Some(before) = self.orders.remove(&key) {
            // Just taken up itself, so its place is the one it was given.
            self.by_age.remove(&(self.forgotten_at(before.order.newest), Arc::clone(&key)));
            self.bytes -= size(&key, &before.order);
        }
        if let Some(order) = order {
            self.bytes += size(&key, &order);
            self.by_age.insert((self.forgotten_at(order.newest), Arc::clone(&key)));
            let entry = Entry { key: Arc::clone(&key), order, is_changed: false };
            self.orders.insert(key, entry);
        }
    }

    /// Counts an event of a kind that is not declared.
    pub fn ignore(&mut self) {
        self.counts.taken += 1;
        self.counts.ignored += 1;
    }

    /// Takes one event in; `watermark` is the partition's before it.
    pub fn take(&mut self, arrival: Arrival<'_>, watermark: i64, effect: OnEffect<'_>) {
        let Arrival { key, event, attributes, raw } = arrival;
        self.counts.taken += 1;
        if self.forgotten_at(event.time) <= watermark {
            self.counts.expired += 1;
            return self.tell(key, &event, Standing::TooOld, raw);
        }
        if let Some(standing) = self.refusal(&event) {
            self.counts.refused += 1;
            return self.tell(key, &event, standing, raw);
        }
        if !self.has_or_begins(key, watermark, event.offset) {
            return;
        }
        let forgotten_at = self.forgotten_at(event.time);
        let Some(Entry { key, order, is_changed }) = self.orders.get_mut(key) else { return };
        let size_before = size(key, order);
        let is_new = order.events.is_empty();
        let before = order.may_repeat(&event, &self.rules).then(|| order.clone());
        let kept = order.offer(event, attributes, &self.rules);
        order.keep_raw(&event, raw, &self.rules);
        self.bytes = self.bytes - size_before + size(key, order);
        if !std::mem::replace(is_changed, true) {
            self.changed.push(Arc::clone(key));
        }
        if is_new {
            self.by_age.insert((forgotten_at, Arc::clone(key)));
        }
        self.others.clear();
        match kept {
            Kept::Full => {
                self.counts.refused += 1;
                let key = Arc::clone(key);
                return self.tell(&key, &event, Standing::TooMany, raw);
            }
            Kept::Repeats => {
                self.counts.repeated += 1;
                return;
            }
            Kept::InPlaceOf(_) => self.counts.repeated += 1,
            Kept::Added(at) => {
                let others = order.events.iter().enumerate().filter(|(place, _)| *place != at);
                self.others.extend(others.map(|(_, event)| *event));
            }
        }
        let (before, events) = match &before {
            Some(before) => (before, before.events.as_slice()),
            // What was added is all that is new, so the others are what was.
            None => (&*order, self.others.as_slice()),
        };
        let was = settle_events(before, events, &self.rules);
        let change = Change { key, before: events, was, order, by: &event, raw };
        change.settle(&self.rules, (&mut self.counts, &mut self.notices), effect);
    }

    /// Forgets the orders that the watermark has passed by the horizon; `due_to` is the last record read.
    pub fn forget(&mut self, watermark: i64, due_to: i64) {
        while let Some(key) = self.oldest(|at| at <= watermark) {
            self.give_up(&key, Standing::Expired, due_to);
        }
    }

    fn forgotten_at(&self, newest: i64) -> i64 {
        newest.saturating_add(self.rules.horizon_ms)
    }

    fn refusal(&self, event: &Event) -> Option<Standing> {
        match event.amount {
            Some(amount) if amount < 0 => Some(Standing::Negative),
            None if self.rules.action(event.kind).needs_amount() => Some(Standing::NoAmount),
            _ => None,
        }
    }

    /// Whether there is an event's order, which is made if there is none; room is made for it first.
    fn has_or_begins(&mut self, key: &[u8], watermark: i64, due_to: i64) -> bool {
        if let Some(entry) = self.orders.get(key) {
            if self.forgotten_at(entry.order.newest) > watermark {
                return true;
            }
            let known = Arc::clone(&entry.key);
            self.give_up(&known, Standing::Expired, due_to);
        }
        if self.orders.len() >= self.rules.orders_max {
            // First those whose time has come, or the batch would decide who is crowded out.
            self.forget(watermark, due_to);
            while self.orders.len() >= self.rules.orders_max {
                let Some(oldest) = self.oldest(|_| true) else { return false };
                self.counts.forgotten_early += 1;
                self.give_up(&oldest, Standing::Crowded, due_to);
            }
        }
        let key: Key = key.into();
        let order = Order::new();
        self.bytes += size(&key, &order);
        self.orders.insert(Arc::clone(&key), Entry { key, order, is_changed: false });
        true
    }

    /// The order that is forgotten next, if `wanted` says so of its time; it is taken out of `by_age`.
    fn oldest(&mut self, wanted: impl Fn(i64) -> bool) -> Option<Key> {
        loop {
            let (noted, _) = self.by_age.first()?;
            if !wanted(*noted) {
                return None;
            }
            let (noted, key) = self.by_age.pop_first()?;
            let Some(entry) = self.orders.get(&key) else { continue };
            let at = self.forgotten_at(entry.order.newest);
            if at == noted {
                return Some(key);
            }
            self.by_age.insert((at, key));
        }
    }

    fn give_up(&mut self, key: &Key, standing: Standing, due_to: i64) {
        let Some(Entry { order, is_changed, .. }) = self.orders.remove(key) else { return };
        self.by_age.remove(&(self.forgotten_at(order.newest), Arc::clone(key)));
        self.bytes -= size(key, &order);
        if !is_changed {
            self.changed.push(Arc::clone(key));
        }
        let stands = settle(&order, &self.rules).stands;
        for (event, _) in
            order.events.iter().zip(stands).filter(|(_, stand)| *stand == Stand::Waiting)
        {
            self.counts.waiting -= 1;
            self.counts.expired += 1;
            self.notices.push(Notice {
                offset: event.offset,
                due_to,
                time: event.time,
                key: Arc::clone(key),
                order_key: String::new(),
                kind: event.kind,
                event_type: String::new(),
                was: Standing::Waiting,
                standing,
                raw: order.raw_of(event).into(),
            });
        }
    }

    fn tell(&mut self, key: &[u8], event: &Event, standing: Standing, raw: &[u8]) {
        self.notices.push(Notice {
            offset: event.offset,
            due_to: event.offset,
            time: event.time,
            key: key.into(),
            order_key: String::new(),
            kind: event.kind,
            event_type: String::new(),
            was: Standing::Settled,
            standing,
            raw: raw.into(),
        });
    }
}

/// What one event changes in its order.
struct Change<'a> {
    key: &'a Key,
    /// Its events before, and what they amounted to.
    before: &'a [Event],
    was: Settled<'a>,
    order: &'a Order,
    by: &'a Event,
    raw: &'a [u8],
}

impl Change<'_> {
    /// Hands on the difference between what an order was and what it is.
    fn settle(
        self,
        rules: &Rules,
        (counts, notices): (&mut Counts, &mut Vec<Notice>),
        effect: OnEffect<'_>,
    ) {
        let Self { key, before, was, order, by, raw } = self;
        let is = settle(order, rules);
        let rows = hand_on(&was.effects, &is.effects, effect);
        counts.rows += u64::try_from(rows).unwrap_or(u64::MAX);
        was.stands.iter().for_each(|stand| *counts.of(*stand) -= 1);
        is.stands.iter().for_each(|stand| *counts.of(*stand) += 1);
        let changed = changes(before, &was.stands, order, &is.stands);
        notices.extend(changed.into_iter().map(|(event, was, standing)| Notice {
            offset: event.offset,
            due_to: by.offset,
            time: event.time,
            key: Arc::clone(key),
            order_key: String::new(),
            kind: event.kind,
            event_type: String::new(),
            was,
            standing,
            raw: if event.offset == by.offset { raw.into() } else { order.raw_of(&event).into() },
        }));
    }
}

/// Hands on the effects that are gone, then those that are new; how many.
fn hand_on<'e>(was: &[Effect<'e>], is: &[Effect<'e>], effect: OnEffect<'_>) -> usize {
    // Nearly always an event adds to what was.
    if let Some(new) = is.strip_prefix(was) {
        new.iter().for_each(|new| effect(1, new));
        return new.len();
    }
    // One by one, for two events of an order may have equal effects.
    let mut gone: Vec<&Effect<'_>> = was.iter().collect();
    let mut new: Vec<&Effect<'_>> = Vec::new();
    for effect in is {
        match gone.iter().position(|before| *before == effect) {
            Some(at) => drop(gone.swap_remove(at)),
            None => new.push(effect),
        }
    }
    let rows = gone.len() + new.len();
    gone.into_iter().for_each(|gone| effect(-1, gone));
    new.into_iter().for_each(|new| effect(1, new));
    rows
}

fn standing(stand: Stand) -> Standing {
    match stand {
        Stand::Waiting => Standing::Waiting,
        Stand::Capped => Standing::Capped,
        Stand::Applied | Stand::Repeated => Standing::Settled,
    }
}

/// The events that stand otherwise now; a new one that counts is nothing to tell.
fn changes(
    before: &[Event],
    was: &[Stand],
    after: &Order,
    is: &[Stand],
) -> Vec<(Event, Standing, Standing)> {
    let stood = |offset: i64| {
        let found = before.iter().zip(was).find(|(event, _)| event.offset == offset);
        found.map_or(Standing::Settled, |(_, stand)| standing(*stand))
    };
    let mut all: Vec<(Event, Standing, Standing)> = after
        .events
        .iter()
        .zip(is)
        .map(|(event, stand)| (*event, stood(event.offset), standing(*stand)))
        .filter(|(_, was, standing)| was != standing)
        .collect();
    let replaced =
        before.iter().filter(|event| !after.events.iter().any(|one| one.offset == event.offset));
    all.extend(
        replaced
            .filter(|event| stood(event.offset) != Standing::Settled)
            .map(|event| (*event, stood(event.offset), Standing::Settled)),
    );
    all
}
