//! What follows from the orders of a day: parcels, the service desk, claims, and what people look at.
//!
//! ```text
//! the same orders, from the same seed ─▶ what each brings about, later ─▶ records in the log's order
//! ```
//!
//! Each stream follows a generator of orders of its own, so it is the same whether it is played alone
//! or beside the others, and its order ids are those of the orders. What is awaited is in memory: about
//! 100 bytes for each parcel on its way, so a day's orders.

use super::dice::Dice;
use super::event::{Event, Kind, Text};
use super::life::{Generated, Generator};
use super::options::GeneratorOptions;
use super::order::Order;
use super::play::Records;
use super::schedule::Schedule;
use crate::model::Space;
use crate::source::writer::NewRecord;

const MINUTE_MS: f64 = 60_000.0;
const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: i64 = 86_400_000;

/// A stream beside the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Parcels: created, collected, delivered.
    Parcels,
    /// Cases of the service desk: asked, answered, resolved.
    ServiceDesk,
    /// Claims: opened, settled.
    Claims,
    /// Visits, things put into carts, favourites.
    Behaviour,
}

impl Service {
    /// The service that the shipped SQL has under a stream's name.
    #[must_use]
    pub fn of_stream(name: &str) -> Option<Self> {
        Some(match name {
            "parcels" => Self::Parcels,
            "service" => Self::ServiceDesk,
            "claims" => Self::Claims,
            "behaviour" => Self::Behaviour,
            _ => return None,
        })
    }
}

/// One thing that happens, as it will be told.
#[derive(Debug, Clone, Copy)]
struct Happening {
    order: Order,
    kind: &'static str,
    event_ms: i64,
    /// When the case began that it belongs to.
    begun_ms: i64,
    /// Handled by, topic, reason or outcome, as the kind has one.
    by: &'static str,
    why: &'static str,
    number: u64,
}

/// Generates the records of one service.
#[derive(Debug)]
pub struct Services {
    service: Service,
    orders: Generator,
    dice: Dice,
    /// By time of arrival.
    later: Schedule<Happening>,
    count: u64,
    key: Vec<u8>,
    payload: Vec<u8>,
}

/// Whether a case of the service desk was closed by the bot, by a person, or by neither.
const BOT: &str = "bot";
const AGENT: &str = "agent";
const TOPICS: [&str; 5] = ["delivery", "discount", "payment", "goods", "address"];
const REASONS: [&str; 4] = ["not received", "damaged", "not as described", "wrong item"];

impl Services {
    /// A generator at the start of its first day.
    ///
    /// # Errors
    /// Every mistake in the options.
    pub fn new(service: Service, options: GeneratorOptions) -> Result<Self, Vec<String>> {
        let seed = options.seed.wrapping_add(0x5e);
        let mut orders = Generator::new(options)?;
        orders.follow();
        Ok(Self {
            service,
            orders,
            dice: Dice::new(seed),
            later: Schedule::new(),
            count: 0,
            key: Vec::new(),
            payload: Vec::new(),
        })
    }

    /// What an event of an order brings about.
    fn follow(&mut self, event: Event) {
        if event.order.is_shadow {
            return;
        }
        let at = event.event_ms;
        match (self.service, event.kind) {
            (Service::Parcels, Kind::Paid | Kind::Balance) => self.send_parcel(event.order, at),
            (Service::ServiceDesk, Kind::Placed) if self.dice.chance(0.05) => {
                self.ask(event.order, at, 4.0)
            }
            (Service::ServiceDesk, Kind::Refunded) if self.dice.chance(0.4) => {
                self.ask(event.order, at, 20.0)
            }
            (Service::Claims, Kind::Refunded) if self.dice.chance(0.12) => {
                self.claim(event.order, at)
            }
            (Service::Behaviour, Kind::Placed) => self.browse(event.order, at),
            _ => {}
        }
    }

    fn send_parcel(&mut self, order: Order, paid_ms: i64) {
        // One in thirty is in a shop around the corner already: the first deliveries of the night.
        let is_near = self.dice.chance(0.03);
        let (pack, drive) = if is_near {
            (4.0 * MINUTE_MS, 14.0 * MINUTE_MS)
        } else {
            (3.0 * HOUR_MS, 14.0 * HOUR_MS)
        };
        let created = paid_ms + 1_000 + self.dice.wait_ms(pack / 8.0, DAY_MS);
        let collected = created + 60_000 + self.dice.wait_ms(pack, DAY_MS);
        let delivered = collected + 360_000 + self.dice.wait_ms(drive, 2 * DAY_MS);
        let times = [("created", created), ("collected", collected), ("delivered", delivered)];
        for (kind, event_ms) in times {
            self.add(order, kind, event_ms, created, "", "");
        }
    }

    fn ask(&mut self, order: Order, after_ms: i64, minutes: f64) {
        let asked = after_ms + self.dice.wait_ms(minutes * MINUTE_MS, DAY_MS);
        let topic = self.one_of(&TOPICS);
        self.add(order, "asked", asked, asked, "", topic);
        let is_bot = self.dice.chance(0.8);
        let (by, wait) = if is_bot { (BOT, 900.0) } else { (AGENT, 38_000.0) };
        let answered = asked + 300 + self.dice.wait_ms(wait, 1_800_000);
        self.add(order, "answered", answered, asked, by, topic);
        let is_right = self.dice.chance(if is_bot { 0.9 } else { 0.97 });
        if is_right {
            let resolved = answered
                + 5_000
                + self.dice.wait_ms(if is_bot { 40_000.0 } else { 260_000.0 }, 7_200_000);
            self.add(order, "resolved", resolved, asked, by, topic);
        }
    }

    fn claim(&mut self, order: Order, after_ms: i64) {
        let opened = after_ms + self.dice.wait_ms(30.0 * MINUTE_MS, DAY_MS);
        let reason = self.one_of(&REASONS);
        self.add(order, "opened", opened, opened, "", reason);
        let settled = opened + 120_000 + self.dice.wait_ms(5.0 * HOUR_MS, 3 * DAY_MS);
        let outcome = if self.dice.chance(0.88) { "compensated" } else { "refused" };
        self.add(order, "settled", settled, opened, outcome, reason);
    }

    fn browse(&mut self, order: Order, at_ms: i64) {
        for (kind, share) in [("visit", 1.0), ("visit", 0.9), ("cart", 0.6), ("favourite", 0.25)] {
            if self.dice.chance(share) {
                let event_ms = at_ms + self.dice.wait_ms(90_000.0, 1_800_000);
                self.add(order, kind, event_ms, event_ms, "", "");
            }
        }
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        let at = self.dice.below(u64::try_from(words.len()).unwrap_or(1));
        usize::try_from(at).ok().and_then(|at| words.get(at)).copied().unwrap_or_default()
    }

    fn add(
        &mut self,
        order: Order,
        kind: &'static str,
        event_ms: i64,
        begun_ms: i64,
        by: &'static str,
        why: &'static str,
    ) {
        // What would happen after the end belongs to no day that is played.
        if self.orders.end_ms().is_some_and(|end_ms| event_ms >= end_ms) {
            return;
        }
        self.count += 1;
        let arrival_ms = event_ms + 20 + self.dice.wait_ms(60.0, 1_500);
        let number = self.count;
        self.later.push(arrival_ms, Happening { order, kind, event_ms, begun_ms, by, why, number });
    }

    fn write(&mut self, told: &Happening) {
        let (encoder, market) = self.orders.words();
        self.key.clear();
        encoder.write_order_id(&told.order, &mut self.key);
        self.payload.clear();
        let mut text = Text::begin(&mut self.payload, told.number);
        text.field("order_id", &String::from_utf8_lossy(&self.key));
        text.field("event_type", told.kind);
        text.time("event_time", encoder, told.event_ms);
        match self.service {
            Service::Parcels => {
                text.field("province", market.province(&told.order));
                text.field("city", market.city(&told.order));
                text.time("created_at", encoder, told.begun_ms);
            }
            Service::ServiceDesk => {
                text.field("topic", told.why);
                text.field("handled_by", told.by);
                text.time("asked_at", encoder, told.begun_ms);
            }
            Service::Claims => {
                text.field("reason", told.why);
                text.field("outcome", told.by);
                text.money("amount", told.order.amount_fen);
                text.time("opened_at", encoder, told.begun_ms);
            }
            Service::Behaviour => {
                text.field("visitor_id", &format!("b{:09}", told.order.buyer));
                text.field("category", market.category(&told.order));
                text.field("channel", market.channel(&told.order));
            }
        }
        text.end();
    }
}

impl Records for Services {
    /// What follows from shadow orders is not played.
    fn has_shadow(&self) -> bool {
        false
    }

    fn start_ms(&self) -> i64 {
        self.orders.start_ms()
    }

    fn end_ms(&self) -> Option<i64> {
        self.orders.end_ms()
    }

    fn next_record(&mut self) -> Option<Generated<'_>> {
        // What an order brings about comes after it, so what arrives before the next order is next.
        while let Some(time_ms) = self.orders.next_followed_ms()
            && self.later.next_ms().is_none_or(|arrival_ms| arrival_ms > time_ms)
        {
            for event in self.orders.next_followed() {
                self.follow(event);
            }
        }
        let (arrival_ms, told) = self.later.pop()?;
        self.write(&told);
        let record = NewRecord {
            partition: None,
            key: Some(&self.key),
            timestamp_ms: arrival_ms,
            headers: &[],
            payload: &self.payload,
        };
        Some(Generated { event_ms: told.event_ms, record, space: Space::Live })
    }
}
