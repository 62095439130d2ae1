//! The life of orders over the day, and the order in which the log hears of it.

use super::curve::DayCurve;
use super::dice::{Dice, float, mixed, whole};
use super::event::{Encoder, Event, Flaw, Kind};
use super::options::{DAY_SECONDS, GeneratorOptions, Shares};
use super::order::{Market, Order};
use super::play::Records;
use super::schedule::Schedule;
use crate::model::Header;
use crate::model::Space;
use crate::model::record::SHADOW_HEADER;
use crate::source::writer::NewRecord;

const DAY_MS: i64 = 86_400_000;

/// Deposits of a presale are paid in this long before midnight.
const DEPOSITS_MS: i64 = 4 * 3_600_000;
const DEPOSITS_SECONDS: f64 = 14_400.0;

/// Share of deposits whose balance is paid; the others are forfeited.
const BALANCES: f64 = 0.93;

/// An event's way to the log takes at least this long, and on average as much again and more.
const WAY_MS_MIN: i64 = 20;

/// How much longer the way of an event is that comes after the one that follows it: more than that
/// one's, and less than a watermark waits.
const ASTRAY_MS: i64 = 2_500;

/// Times at which something begins, as shares of a day's or an evening's whole.
#[derive(Debug)]
struct Arrivals {
    left: u64,
    share: f64,
    share_end: f64,
}

impl Arrivals {
    /// Share of the day at which the next of the orders is placed: the next of `left` points that
    /// lie anywhere with equal chance, drawn in rising order.
    fn next(&mut self, dice: &mut Dice) -> Option<f64> {
        let left = float(self.left);
        self.left = self.left.checked_sub(1)?;
        self.share += (self.share_end - self.share) * -(dice.unit().ln() / left).exp_m1();
        Some(self.share)
    }
}

/// An order about to be placed, or a deposit about to be paid.
#[derive(Debug, Clone, Copy)]
struct Start {
    time_ms: i64,
    kind: Kind,
}

/// One record of the log.
#[derive(Debug, Clone, Copy)]
pub struct Generated<'a> {
    /// When it happened by the sender's clock; epoch milliseconds.
    pub event_ms: i64,
    /// The record as a log takes it; its timestamp is the simulated time of arrival.
    pub record: NewRecord<'a>,
    /// Whether it is a real order's or a load test's.
    pub space: Space,
}

/// Generates the records of one or more days in the order in which they arrive.
#[derive(Debug)]
pub struct Generator {
    options: GeneratorOptions,
    curve: DayCurve,
    market: Market,
    dice: Dice,
    /// The day that `orders` belongs to, counted from 0, and its midnight.
    day: u32,
    orders: Arrivals,
    next_order: Option<Start>,
    /// The day whose balances the `deposits` are for, counted from 0.
    deposit_day: u32,
    deposits: Arrivals,
    next_deposit: Option<Start>,
    /// What will happen to orders there are.
    later: Schedule<(Order, Kind)>,
    /// Events on their way to the log.
    arriving: Schedule<Event>,
    order_count: u64,
    event_count: u64,
    source_seqs: Vec<u64>,
    /// Events for those that follow the orders, in place of the log; `None` where none do.
    followed: Option<Vec<Event>>,
    encoder: Encoder,
    key: Vec<u8>,
    payload: Vec<u8>,
}

const NO_ARRIVALS: Arrivals = Arrivals { left: 0, share: 0.0, share_end: 0.0 };

impl Generator {
    /// A generator at the start of its first day.
    ///
    /// # Errors
    /// Every mistake in the options.
    pub fn new(options: GeneratorOptions) -> Result<Self, Vec<String>> {
        options.check()?;
        let market = Market::new(options.orders_a_day);
        let mut generator = Self {
            curve: DayCurve::new(options.peak_over_mean),
            dice: Dice::new(options.seed),
            day: 0,
            orders: NO_ARRIVALS,
            next_order: None,
            deposit_day: 0,
            deposits: NO_ARRIVALS,
            next_deposit: None,
            later: Schedule::new(),
            arriving: Schedule::new(),
            order_count: 0,
            event_count: 0,
            source_seqs: vec![0; market.sources()],
            followed: None,
            encoder: Encoder::default(),
            key: Vec::new(),
            payload: Vec::new(),
            market,
            options,
        };
        generator.orders = generator.orders_of(0);
        generator.deposits = generator.deposits_of(0);
        generator.advance_orders();
        generator.advance_deposits();
        Ok(generator)
    }

    /// From now on events are followed and not sent: each once, as it happens.
    pub(super) fn follow(&mut self) {
        self.followed = Some(Vec::new());
    }

    /// When the next of the followed events happens.
    pub(super) fn next_followed_ms(&self) -> Option<i64> {
        self.next_happening_ms()
    }

    /// The events of the next thing that happens; mostly one.
    pub(super) fn next_followed(&mut self) -> Vec<Event> {
        self.happen();
        self.followed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What writes orders, and what knows the names in them.
    pub(super) fn words(&mut self) -> (&mut Encoder, &Market) {
        (&mut self.encoder, &self.market)
    }

    /// About how many records there will be; `None` when it never ends.
    #[must_use]
    pub fn records_expected(&self) -> Option<u64> {
        let days = self.options.days?;
        let Shares { paid, cancelled, refunded, duplicate, shadow, .. } = self.options.shares;
        let an_order = 1.0 + paid * (1.0 + refunded * 0.8) + cancelled;
        let range = |day| self.day_range(day);
        let days: f64 = (0..days).map(range).map(|(share, share_end)| share_end - share).sum();
        let orders = days * float(self.options.orders_a_day);
        let records = orders * an_order * (1.0 + duplicate) / (1.0 - shadow);
        u64::try_from(whole(records)).ok()
    }

    fn next_happening_ms(&self) -> Option<i64> {
        let starts = [self.next_order, self.next_deposit].into_iter().flatten();
        starts.map(|start| start.time_ms).chain(self.later.next_ms()).min()
    }

    /// Lets the next thing happen: an order or a deposit begins, or an order's life goes on.
    fn happen(&mut self) {
        let order_ms = self.next_order.map_or(i64::MAX, |start| start.time_ms);
        let deposit_ms = self.next_deposit.map_or(i64::MAX, |start| start.time_ms);
        let later_ms = self.later.next_ms().unwrap_or(i64::MAX);
        if later_ms < order_ms.min(deposit_ms) {
            if let Some((time_ms, (order, kind))) = self.later.pop() {
                self.go_on(order, kind, time_ms);
            }
        } else if deposit_ms <= order_ms {
            if let Some(start) = self.next_deposit.take() {
                self.begin(start);
            }
            self.advance_deposits();
        } else {
            if let Some(start) = self.next_order.take() {
                self.begin(start);
            }
            self.advance_orders();
        }
    }

    fn begin(&mut self, start: Start) {
        let shadow = self.options.shares.shadow;
        let mut is_shadow = false;
        loop {
            self.order_count += 1;
            let mut order = self.market.draw(&mut self.dice, self.order_count, start.time_ms);
            order.is_shadow = is_shadow;
            self.go_on(order, start.kind, start.time_ms);
            // Each draw adds another shadow order, so that in the long run they have their share.
            if !self.dice.chance(shadow) {
                return;
            }
            is_shadow = true;
        }
    }

    /// An event of an order: sends it, and decides what comes later.
    fn go_on(&mut self, order: Order, kind: Kind, time_ms: i64) {
        if self.dice.chance(self.options.shares.oddities) && self.go_astray(order, kind, time_ms) {
            return;
        }
        let amount_fen = match kind {
            Kind::Deposit => deposit_fen(&order),
            Kind::Balance => order.amount_fen - deposit_fen(&order),
            Kind::Refunded if self.dice.chance(0.4) => {
                let part = 0.1 + 0.8 * self.dice.unit();
                whole(float(order.amount_fen.unsigned_abs()) * part).max(1)
            }
            _ => order.amount_fen,
        };
        self.send(order, kind, time_ms, amount_fen);
        self.plan(order, kind, time_ms);
    }

    /// An event as it should not be, but is now and then; false for one that has no such form.
    fn go_astray(&mut self, order: Order, kind: Kind, time_ms: i64) -> bool {
        let whole = order.amount_fen;
        match kind {
            // The log hears of the payment first.
            Kind::Placed => {
                self.send_after(order, kind, time_ms, (whole, ASTRAY_MS));
                self.send(order, Kind::Paid, time_ms + 500, whole);
            }
            // And here of the refund.
            Kind::Paid => {
                self.send_after(order, kind, time_ms, (whole, ASTRAY_MS));
                self.send(order, Kind::Refunded, time_ms + 500, whole);
            }
            Kind::Cancelled { .. } => {
                self.send(order, kind, time_ms, whole);
                self.send(order, Kind::Cancelled { is_bare: true }, time_ms + 700, whole);
            }
            Kind::Refunded => self.send(order, kind, time_ms, whole + whole / 5 + 1),
            Kind::Deposit | Kind::Balance => return false,
        }
        true
    }

    fn plan(&mut self, order: Order, kind: Kind, time_ms: i64) {
        let Shares { paid, cancelled, refunded, .. } = self.options.shares;
        let dice = &mut self.dice;
        let next = match kind {
            Kind::Placed => {
                let outcome = dice.unit();
                if outcome < paid {
                    Some((Kind::Paid, 2_000 + dice.wait_ms(25_000.0, 1_800_000)))
                } else if outcome < paid + cancelled {
                    let is_bare = dice.chance(0.5);
                    Some((Kind::Cancelled { is_bare }, 30_000 + dice.wait_ms(300_000.0, 3_600_000)))
                } else {
                    None
                }
            }
            Kind::Deposit if dice.chance(BALANCES) => {
                let to_midnight = self.options.first_midnight_ms() - time_ms;
                let wait_ms = to_midnight.rem_euclid(DAY_MS);
                Some((Kind::Balance, wait_ms + 500 + dice.wait_ms(1_200_000.0, 10_800_000)))
            }
            Kind::Paid | Kind::Balance if dice.chance(refunded) => {
                Some((Kind::Refunded, 60_000 + dice.wait_ms(7_200_000.0, 2 * DAY_MS)))
            }
            _ => None,
        };
        // What would happen after the end belongs to no day that is played.
        if let Some((kind, wait_ms)) = next
            && self.end_ms().is_none_or(|end_ms| time_ms + wait_ms < end_ms)
        {
            self.later.push(time_ms + wait_ms, (order, kind));
        }
    }

    /// Sends an event on its way to the log, now and then twice, late, or broken first.
    fn send(&mut self, order: Order, kind: Kind, event_ms: i64, amount_fen: i64) {
        self.send_after(order, kind, event_ms, (amount_fen, 0));
    }

    /// Sends an event that begins its way some time after it happened.
    fn send_after(
        &mut self,
        order: Order,
        kind: Kind,
        event_ms: i64,
        (amount_fen, after_ms): (i64, i64),
    ) {
        // What would happen after the end belongs to no day that is played.
        if self.end_ms().is_some_and(|end_ms| event_ms >= end_ms) {
            return;
        }
        let Shares { duplicate, late, malformed, .. } = self.options.shares;
        self.event_count += 1;
        let seq = self.source_seqs.get_mut(usize::from(order.source));
        let source_seq = seq.map_or(0, |seq| {
            *seq += 1;
            *seq
        });
        let id = mixed(self.options.seed.wrapping_shl(40) ^ self.event_count);
        let event = Event { order, kind, event_ms, amount_fen, id, source_seq, flaw: None };
        let dice = &mut self.dice;
        let mut way_ms = after_ms + WAY_MS_MIN + dice.wait_ms(60.0, 1_500);
        if dice.chance(late) {
            way_ms += 6_000 + dice.wait_ms(60_000.0, 1_200_000);
        }
        let mut copies = [None; 2];
        if dice.chance(malformed) {
            let place = usize::try_from(dice.below(4)).unwrap_or(0);
            let flaw = Flaw::ALL.get(place).copied();
            copies[0] = Some((event_ms + way_ms, Event { flaw, ..event }));
            way_ms += 200 + dice.wait_ms(400.0, 1_000);
        }
        if dice.chance(duplicate) {
            let again_ms = 200 + dice.wait_ms(4_000.0, 30_000);
            copies[1] = Some((event_ms + way_ms + again_ms, event));
        }
        if let Some(followed) = &mut self.followed {
            followed.push(event);
            return;
        }
        for (arrival_ms, copy) in copies.into_iter().flatten() {
            self.arriving.push(arrival_ms, copy);
        }
        self.arriving.push(event_ms + way_ms, event);
    }

    fn advance_orders(&mut self) {
        while self.next_order.is_none() {
            if let Some(share) = self.orders.next(&mut self.dice) {
                let of_day = whole(self.curve.second_at(share) * 1_000.0);
                let time_ms = self.midnight_ms(self.day) + of_day;
                self.next_order = Some(Start { time_ms, kind: Kind::Placed });
            } else if self.has_day(self.day + 1) {
                self.day += 1;
                self.orders = self.orders_of(self.day);
            } else {
                return;
            }
        }
    }

    fn advance_deposits(&mut self) {
        while self.next_deposit.is_none() {
            if let Some(share) = self.deposits.next(&mut self.dice) {
                let begin_ms = self.midnight_ms(self.deposit_day) - DEPOSITS_MS;
                let time_ms = begin_ms + whole(share * DEPOSITS_SECONDS * 1_000.0);
                self.next_deposit = Some(Start { time_ms, kind: Kind::Deposit });
            } else if self.has_day(self.deposit_day + 1) && self.presale_orders() > 0 {
                self.deposit_day += 1;
                self.deposits = self.deposits_of(self.deposit_day);
            } else {
                return;
            }
        }
    }

    fn orders_of(&self, day: u32) -> Arrivals {
        let (share, share_end) = self.day_range(day);
        let whole_day = self.options.orders_a_day - self.presale_orders();
        let left = rounded(float(whole_day) * (share_end - share));
        Arrivals { left, share, share_end }
    }

    /// The deposits before a day, if its midnight is played.
    fn deposits_of(&self, day: u32) -> Arrivals {
        let is_played = day > 0 || self.options.from_second == 0;
        let left = if is_played { self.presale_orders() } else { 0 };
        Arrivals { left, share: 0.0, share_end: 1.0 }
    }

    fn presale_orders(&self) -> u64 {
        rounded(float(self.options.orders_a_day) * self.options.shares.presale)
    }

    /// The shares of the day's orders between which it is played.
    fn day_range(&self, day: u32) -> (f64, f64) {
        let from = if day == 0 { self.options.from_second } else { 0 };
        let to = if self.has_day(day + 1) { DAY_SECONDS } else { self.options.to_second };
        (self.curve.share_before(f64::from(from)), self.curve.share_before(f64::from(to)))
    }

    fn has_day(&self, day: u32) -> bool {
        self.options.days.is_none_or(|days| day < days)
    }

    fn midnight_ms(&self, day: u32) -> i64 {
        self.options.first_midnight_ms() + i64::from(day) * DAY_MS
    }
}

impl Records for Generator {
    fn has_shadow(&self) -> bool {
        self.options.shares.shadow > 0.0
    }

    fn start_ms(&self) -> i64 {
        self.options.first_midnight_ms() + i64::from(self.options.from_second) * 1_000
    }

    fn end_ms(&self) -> Option<i64> {
        let last = i64::from(self.options.days?) - 1;
        let midnight_ms = self.options.first_midnight_ms() + last * DAY_MS;
        Some(midnight_ms + i64::from(self.options.to_second) * 1_000)
    }

    fn next_record(&mut self) -> Option<Generated<'_>> {
        // An event arrives after it happens, so what arrives before the next event happens is next.
        while let Some(time_ms) = self.next_happening_ms()
            && self.arriving.next_ms().is_none_or(|arrival_ms| arrival_ms > time_ms)
        {
            self.happen();
        }
        let (arrival_ms, event) = self.arriving.pop()?;
        self.key.clear();
        self.encoder.write_order_id(&event.order, &mut self.key);
        self.payload.clear();
        self.encoder.write(&self.market, &event, &mut self.payload);
        const SHADOW: &[Header<'static>] = &[(SHADOW_HEADER, b"1")];
        let record = NewRecord {
            partition: None,
            key: Some(&self.key),
            timestamp_ms: arrival_ms,
            headers: if event.order.is_shadow { SHADOW } else { &[] },
            payload: &self.payload,
        };
        let space = if event.order.is_shadow { Space::Shadow } else { Space::Live };
        Some(Generated { event_ms: event.event_ms, record, space })
    }
}

fn rounded(number: f64) -> u64 {
    whole(number.round()).unsigned_abs()
}

fn deposit_fen(order: &Order) -> i64 {
    (order.amount_fen * 15 / 100).max(1)
}
