//! The orders of one partition: kept by key until the watermark has passed them by the horizon.
//!
//! Every decision is made record by record against the watermark before the record, so that neither
//! batches nor restarts change one.
//!
//! An order is one piece of memory, its key and what [`super::packed`] makes of it, and is unpacked into
//! always the same place when an event of it comes.

use std::hash::BuildHasher as _;
use std::hint::black_box;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::ages::{Ages, Place};
use super::arena::{Arena, Piece};
use super::counts::{Counts, Notice, Standing};
use super::order::{Event, Kept, Order};
use super::packed::{pack, unpack};
use super::rules::Rules;
use super::saved;
use super::settle::{Effect, Settled, Stand};

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

/// An effect that begins (`sign` 1) or is taken back (`sign` -1), with its attributes.
pub type OnEffect<'a> = &'a mut dyn FnMut(i8, &Effect, &[u8]);

/// The orders of one partition.
#[derive(Debug)]
pub struct Orders {
    rules: Arc<Rules>,
    hasher: DefaultHashBuilder,
    /// Where each order is, by its key.
    slots: HashTable<Slot>,
    entries: Vec<Entry>,
    /// The bytes of all of them.
    arena: Arena,
    /// Entries without an order.
    free: Vec<u32>,
    ages: Ages,
    counts: Counts,
    notices: Vec<Notice>,
    /// Orders that are not as they were; some may have gone since, and others come to their places.
    changed: Vec<u32>,
    /// Keys of orders that have been forgotten.
    gone: Vec<Box<[u8]>>,
    /// How many bytes all orders take in a checkpoint.
    bytes: u64,
    work: Box<Work>,
}

/// An order's hash, so that a growing table need not look at the orders, and where it is.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u64,
    at: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// The key and the packed order behind it; empty without an order.
    piece: Piece,
    key_length: u32,
    /// How many orders have been here before this one.
    generation: u32,
    /// See [`Order::newest`].
    newest: i64,
    /// Whether it is in `changed`.
    is_changed: bool,
}

impl Entry {
    fn key<'a>(&self, arena: &'a Arena) -> &'a [u8] {
        arena.get(self.piece).get(..self.key_bytes()).unwrap_or(&[])
    }

    fn packed<'a>(&self, arena: &'a Arena) -> &'a [u8] {
        arena.get(self.piece).get(self.key_bytes()..).unwrap_or(&[])
    }

    fn key_bytes(&self) -> usize {
        usize::try_from(self.key_length).unwrap_or(usize::MAX)
    }
}

/// Room for one event.
#[derive(Debug, Default)]
struct Work {
    order: Order,
    /// The order before the event, where the event may take something out of it.
    before: Order,
    was: Settled,
    is: Settled,
    bytes: Vec<u8>,
    /// Where orders are that were looked up at one time.
    found: Vec<u32>,
}

/// Bytes an order takes in a checkpoint beside its key and itself.
pub const HEAD_BYTES: u64 = 12;

impl saved::TakesUp for Orders {
    fn ahead(&mut self, keys: &[&[u8]]) {
        self.look_ahead(keys.iter().copied());
    }

    fn take_up(&mut self, key: &[u8], order: saved::Read<'_>) {
        self.restore(key, order);
    }
}

impl Orders {
    /// No orders yet.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            hasher: DefaultHashBuilder::default(),
            slots: HashTable::new(),
            entries: Vec::new(),
            arena: Arena::default(),
            free: Vec::new(),
            ages: Ages::default(),
            counts: Counts::default(),
            notices: Vec::new(),
            changed: Vec::new(),
            gone: Vec::new(),
            bytes: 0,
            work: Box::default(),
        }
    }

    /// What became of the events.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { orders: u64::try_from(self.slots.len()).unwrap_or(u64::MAX), ..self.counts }
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

    /// Orders that are not as they were at the last call, packed; `None` for those that are forgotten, which
    /// come first.
    pub fn take_changed(&mut self, mut each: impl FnMut(&[u8], Option<&[u8]>)) {
        self.gone.drain(..).for_each(|key| each(&key, None));
        for at in self.changed.drain(..) {
            let Some(entry) = entry_mut(&mut self.entries, at) else { continue };
            if std::mem::take(&mut entry.is_changed) {
                each(entry.key(&self.arena), Some(entry.packed(&self.arena)));
            }
        }
    }

    /// All orders, as [`Orders::take_changed`] gives the changed ones; afterwards none is changed.
    pub fn take_all(&mut self, mut each: impl FnMut(&[u8], Option<&[u8]>)) {
        self.changed.clear();
        self.gone.clear();
        for entry in self.entries.iter_mut().filter(|entry| !entry.piece.is_empty()) {
            entry.is_changed = false;
            each(entry.key(&self.arena), Some(entry.packed(&self.arena)));
        }
    }

    /// How many bytes all orders take in a checkpoint.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes up the counts of a checkpoint.
    pub fn restore_counts(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// Takes up one order of a checkpoint, packed, with its newest time; `None` if it had been forgotten.
    fn restore(&mut self, key: &[u8], order: saved::Read<'_>) {
        let hash = self.hasher.hash_one(key);
        let known = self.find(hash, key);
        let Some((packed, newest)) = order else {
            if let Some(gone) = known.and_then(|at| self.remove(hash, at)) {
                self.arena.release(gone.piece);
            }
            return;
        };
        let at = known.unwrap_or_else(|| self.begin(hash));
        let is_elder = entry(&self.entries, at).is_some_and(|entry| newest < entry.newest);
        self.work.bytes.clear();
        self.work.bytes.extend_from_slice(packed);
        self.store(at, key, newest);
        if known.is_none() || is_elder {
            self.queue(at);
        }
    }

    /// Counts an event of a kind that is not declared.
    pub fn ignore(&mut self) {
        self.counts.taken += 1;
        self.counts.ignored += 1;
    }

    /// Looks many orders up at one time, before their events are taken in one by one: each of them is somewhere else in
    /// memory, and the processor waits for all of them together about as long as for one.
    pub fn look_ahead<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>) {
        let found = &mut self.work.found;
        found.clear();
        found.extend(keys.map(|key| {
            let hash = self.hasher.hash_one(key);
            self.slots.find(hash, |slot| slot.hash == hash).map_or(u32::MAX, |slot| slot.at)
        }));
        let entries = || found.iter().filter_map(|at| entry(&self.entries, *at));
        // In two walks, for where the bytes are is known only once the entries are here.
        black_box(entries().fold(0, |sum, entry| sum ^ entry.key_length));
        let first = |entry: &Entry| entry.key(&self.arena).first().copied().unwrap_or(0);
        black_box(entries().fold(0, |sum, entry| sum ^ first(entry)));
    }

    /// Takes one event in; `watermark` is the partition's before it.
    pub fn take(&mut self, arrival: Arrival<'_>, watermark: i64, effect: OnEffect<'_>) {
        let Arrival { key, event, raw, .. } = arrival;
        self.counts.taken += 1;
        if self.forgotten_at(event.time) <= watermark {
            self.counts.expired += 1;
            return self.tell(key, &event, Standing::TooOld, raw);
        }
        if let Some(standing) = self.refusal(&event) {
            self.counts.refused += 1;
            return self.tell(key, &event, standing, raw);
        }
        let hash = self.hasher.hash_one(key);
        let known = self.known(hash, key, watermark, event.offset);
        if known.is_none() {
            self.make_room(watermark, event.offset);
        }
        let Some(kept) = self.offer(known, &arrival) else { return };
        match kept {
            Kept::Full => {
                self.counts.refused += 1;
                self.tell(key, &event, Standing::TooMany, raw);
            }
            Kept::Repeats => self.counts.repeated += 1,
            Kept::InPlaceOf(_) => {
                self.counts.repeated += 1;
                self.settle(&arrival, None, effect);
            }
            Kept::Added(place) => self.settle(&arrival, Some(place), effect),
        }
        let at = known.unwrap_or_else(|| self.begin(hash));
        let Work { order, bytes, .. } = &mut *self.work;
        order.keep_raw(&event, raw, &self.rules);
        bytes.clear();
        pack(order, bytes);
        let newest = order.newest;
        self.store(at, key, newest);
        self.note_changed(at);
        if known.is_none() {
            self.queue(at);
        }
    }

    /// Unpacks an order, or a new one, and offers it the event. `None` if its own bytes cannot be read, which
    /// cannot be: the event is then in no count, and the accounting says so.
    fn offer(&mut self, known: Option<u32>, arrival: &Arrival<'_>) -> Option<Kept> {
        let Work { order, before, was, .. } = &mut *self.work;
        match known.and_then(|at| entry(&self.entries, at)) {
            Some(entry) => unpack(entry.packed(&self.arena), order)?,
            None => order.clear(),
        }
        if order.may_repeat(&arrival.event, arrival.attributes, &self.rules) {
            before.copy(order);
        }
        was.settle(order, &self.rules);
        Some(order.offer(arrival.event, arrival.attributes, &self.rules))
    }

    /// Hands on what the event changes. `added` is its place where it was added to what there was.
    fn settle(&mut self, by: &Arrival<'_>, added: Option<usize>, effect: OnEffect<'_>) {
        let Work { order, before, was, is, .. } = &mut *self.work;
        is.settle(order, &self.rules);
        // What was added is all that is new, so the rows of attributes of before still are where they were.
        let attributes_before = if added.is_some() { &*order } else { &*before };
        let rows = hand_on((was, attributes_before), (is, order), effect);
        self.counts.rows += u64::try_from(rows).unwrap_or(u64::MAX);
        was.stands.iter().for_each(|stand| *self.counts.of(*stand) -= 1);
        is.stands.iter().for_each(|stand| *self.counts.of(*stand) += 1);
        let counts = |stand: &Stand| Standing::from(*stand) == Standing::Settled;
        if was.stands.iter().chain(&is.stands).all(counts) {
            return;
        }
        if let Some(place) = added {
            before.copy(order);
            before.events.remove(place);
        }
        let changed = changes(&before.events, &was.stands, order, &is.stands);
        let key: Arc<[u8]> = by.key.into();
        let (due_to, new) = (by.event.offset, by.raw);
        self.notices.extend(changed.into_iter().map(|(event, was, standing)| Notice {
            offset: event.offset,
            due_to,
            time: event.time,
            key: Arc::clone(&key),
            order_key: String::new(),
            kind: event.kind,
            event_type: String::new(),
            was,
            standing,
            raw: if event.offset == due_to { new.into() } else { order.raw_of(&event).into() },
        }));
    }

    /// Forgets the orders that the watermark has passed by the horizon; `due_to` is the last record read.
    pub fn forget(&mut self, watermark: i64, due_to: i64) {
        while let Some(at) = self.oldest(|time| time <= watermark) {
            self.give_up(at, Standing::Expired, due_to);
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

    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let is_it = |slot: &Slot| {
            slot.hash == hash
                && entry(&self.entries, slot.at).is_some_and(|it| it.key(&self.arena) == key)
        };
        self.slots.find(hash, is_it).map(|slot| slot.at)
    }

    /// Where the order of a key is; one whose time has come is given up first.
    fn known(&mut self, hash: u64, key: &[u8], watermark: i64, due_to: i64) -> Option<u32> {
        let at = self.find(hash, key)?;
        if self.forgotten_at(entry(&self.entries, at)?.newest) > watermark {
            return Some(at);
        }
        self.give_up(at, Standing::Expired, due_to);
        None
    }

    /// Makes room for one more order.
    fn make_room(&mut self, watermark: i64, due_to: i64) {
        if self.slots.len() < self.rules.orders_max {
            return;
        }
        // First those whose time has come, or the batch would decide who is crowded out.
        self.forget(watermark, due_to);
        while self.slots.len() >= self.rules.orders_max {
            let Some(oldest) = self.oldest(|_| true) else { return };
            self.counts.forgotten_early += 1;
            self.give_up(oldest, Standing::Crowded, due_to);
        }
    }

    /// A place for a new order; what it is has to be stored, and it has to be queued.
    fn begin(&mut self, hash: u64) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        self.bytes += HEAD_BYTES;
        self.slots.insert_unique(hash, Slot { hash, at }, |slot| slot.hash);
        at
    }

    /// Keeps what has been packed of the order of this key.
    fn store(&mut self, at: u32, key: &[u8], newest: i64) {
        let Some(entry) = entry_mut(&mut self.entries, at) else { return };
        entry.newest = newest;
        entry.key_length = u32::try_from(key.len()).unwrap_or(u32::MAX);
        self.bytes -= wide(entry.piece.len());
        entry.piece = self.arena.replace(entry.piece, key, &self.work.bytes);
        self.bytes += wide(entry.piece.len());
    }

    fn note_changed(&mut self, at: u32) {
        let Some(entry) = entry_mut(&mut self.entries, at) else { return };
        if !std::mem::replace(&mut entry.is_changed, true) {
            self.changed.push(at);
        }
    }

    /// Takes the order out of its place; its bytes are still there, and are to be released.
    fn remove(&mut self, hash: u64, at: u32) -> Option<Entry> {
        let found = self.slots.find_entry(hash, |slot| slot.at == at).ok()?;
        found.remove();
        let entry = entry_mut(&mut self.entries, at)?;
        let next = Entry { generation: entry.generation.wrapping_add(1), ..Entry::default() };
        let gone = std::mem::replace(entry, next);
        self.bytes -= HEAD_BYTES + wide(gone.piece.len());
        self.free.push(at);
        Some(gone)
    }

    /// Puts an order to its time.
    fn queue(&mut self, at: u32) {
        let Some(found) = entry(&self.entries, at) else { return };
        let place =
            Place { at: self.forgotten_at(found.newest), slot: at, generation: found.generation };
        let orders = (self.entries.as_slice(), &self.arena);
        self.ages.add(place, |left, right| is_before(orders, left, right));
    }

    /// The order that is forgotten next, if `wanted` says so of its time; it is taken out of the queue.
    fn oldest(&mut self, wanted: impl Fn(i64) -> bool) -> Option<u32> {
        loop {
            let orders = (self.entries.as_slice(), &self.arena);
            let place = self.ages.pop(&wanted, |left, right| is_before(orders, left, right))?;
            let entry = entry(&self.entries, place.slot)
                .filter(|entry| entry.generation == place.generation && !entry.piece.is_empty());
            let Some(entry) = entry else { continue };
            if self.forgotten_at(entry.newest) == place.at {
                return Some(place.slot);
            }
            self.queue(place.slot);
        }
    }

    fn give_up(&mut self, at: u32, standing: Standing, due_to: i64) {
        let Some(hash) =
            entry(&self.entries, at).map(|entry| self.hasher.hash_one(entry.key(&self.arena)))
        else {
            return;
        };
        let Some(entry) = self.remove(hash, at) else { return };
        let key: Box<[u8]> = entry.key(&self.arena).into();
        let Work { before, was, .. } = &mut *self.work;
        let is_read = unpack(entry.packed(&self.arena), before).is_some();
        self.arena.release(entry.piece);
        self.gone.push(key.clone());
        if !is_read {
            return;
        }
        was.settle(before, &self.rules);
        let stands = before.events.iter().zip(&was.stands);
        for (event, _) in stands.filter(|(_, stand)| **stand == Stand::Waiting) {
            self.counts.waiting -= 1;
            self.counts.expired += 1;
            self.notices.push(Notice {
                offset: event.offset,
                due_to,
                time: event.time,
                key: Arc::from(&*key),
                order_key: String::new(),
                kind: event.kind,
                event_type: String::new(),
                was: Standing::Waiting,
                standing,
                raw: before.raw_of(event).into(),
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

fn entry(entries: &[Entry], at: u32) -> Option<&Entry> {
    entries.get(usize::try_from(at).ok()?)
}

fn entry_mut(entries: &mut [Entry], at: u32) -> Option<&mut Entry> {
    entries.get_mut(usize::try_from(at).ok()?)
}

/// Of two orders whose time is the same the one with the smaller key goes first.
fn is_before((entries, arena): (&[Entry], &Arena), left: &Place, right: &Place) -> bool {
    let key = |place: &Place| entry(entries, place.slot).map(|entry| entry.key(arena));
    key(left) < key(right)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Hands on the effects that are gone, then those that are new; how many.
fn hand_on(
    (was, before): (&Settled, &Order),
    (is, order): (&Settled, &Order),
    effect: OnEffect<'_>,
) -> usize {
    let is_same = |gone: &Effect, new: &Effect| {
        let same = Effect { attributes: new.attributes, ..*gone } == *new;
        same && was.attributes(before, gone) == is.attributes(order, new)
    };
    let stays = was.effects.iter().zip(&is.effects).take_while(|(gone, new)| is_same(gone, new));
    let stays = stays.count();
    let later = is.effects.get(stays..).unwrap_or(&[]);
    if was.effects.len() == stays {
        // Nearly always an event adds to what was, and nothing is gone.
        later.iter().for_each(|new| effect(1, new, is.attributes(order, new)));
        return later.len();
    }
    let mut gone: Vec<&Effect> = was.effects.iter().skip(stays).collect();
    let mut new: Vec<&Effect> = Vec::new();
    for effect in later {
        // One by one, for two events of an order may have equal effects.
        match gone.iter().position(|before| is_same(before, effect)) {
            Some(at) => drop(gone.swap_remove(at)),
            None => new.push(effect),
        }
    }
    let rows = gone.len() + new.len();
    gone.into_iter().for_each(|gone| effect(-1, gone, was.attributes(before, gone)));
    new.into_iter().for_each(|new| effect(1, new, is.attributes(order, new)));
    rows
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
        found.map_or(Standing::Settled, |(_, stand)| Standing::from(*stand))
    };
    let mut all: Vec<(Event, Standing, Standing)> = after
        .events
        .iter()
        .zip(is)
        .map(|(event, stand)| (*event, stood(event.offset), Standing::from(*stand)))
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
