//! Random logs: some partitions of orders out of order, late, repeated, broken, and control records.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// 2020-11-10T16:00:00Z, midnight in Shanghai.
pub const MIDNIGHT_MS: i64 = 1_605_024_000_000;
/// `event-time.min` of the stream when it does not say.
pub const EVENT_TIME_MIN_MS: i64 = 946_684_800_000;
/// `record.bytes-max` of the test stream.
pub const RECORD_BYTES_MAX: usize = 400;

/// What all records of one log have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// The unit of every window and delay: a second or an hour, in milliseconds.
    pub unit_ms: i64,
    /// Offset of the stream's zone from UTC, in milliseconds.
    pub zone_ms: i64,
    /// How far the watermark is behind the newest order, in milliseconds.
    pub delay_ms: i64,
    /// `dedup.horizon` in milliseconds.
    pub horizon_ms: i64,
    /// `max-future-skew` in milliseconds.
    pub skew_ms: i64,
    /// Whether every shop's orders are in one partition.
    pub is_keyed: bool,
}

/// One order as its record says it; amounts in hundredths.
#[derive(Debug, Clone)]
pub struct Order {
    /// The dedup key.
    pub id: u32,
    /// First group key.
    pub shop: Option<u8>,
    /// Second group key.
    pub kind: Option<u8>,
    /// What is counted distinct.
    pub buyer: Option<i64>,
    /// Hundredths.
    pub amount: Option<i64>,
    /// Pieces.
    pub quantity: Option<i32>,
    /// A double; what such numbers add up to depends on their order when each step rounds.
    pub weight: Option<f64>,
    /// Event time, epoch milliseconds.
    pub time: i64,
}

/// What a record is.
#[derive(Debug, Clone)]
pub enum Body {
    /// An order; its event time may still be out of bounds.
    Order(Order),
    /// Bytes that cannot become an order.
    Broken(Vec<u8>),
    /// An order of a load test.
    Shadow(Order),
    /// A watermark, epoch milliseconds.
    Control(i64),
}

/// One record; its offset is its place in the partition.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is.
    pub body: Body,
    /// The log's own timestamp.
    pub log_time: i64,
}

/// A log: entries by partition.
#[derive(Debug, Clone)]
pub struct Log {
    /// What they have in common.
    pub shape: Shape,
    /// Entries in offset order.
    pub partitions: Vec<Vec<Entry>>,
}

impl Order {
    /// The record as JSON; a decimal as a number or as a string, a time as a number or as a stamp.
    #[must_use]
    pub fn json(&self) -> String {
        let text = |value: Option<String>| value.unwrap_or_else(|| "null".to_owned());
        let amount = self.amount.map(hundredths);
        let amount = if self.id.is_multiple_of(2) {
            amount.map(|text| format!("\"{text}\""))
        } else {
            amount
        };
        format!(
            r#"{{"id":"o{}","shop":{},"kind":{},"buyer":{},"amount":{},"quantity":{},"weight":{},"event_time":{},"more":[1]}}"#,
            self.id,
            text(self.shop.map(|shop| format!("\"shop {shop}\""))),
            text(self.kind.map(|kind| format!("\"kind {kind}\""))),
            text(self.buyer.map(|buyer| buyer.to_string())),
            text(amount),
            text(self.quantity.map(|quantity| quantity.to_string())),
            text(self.weight.map(|weight| weight.to_string())),
            self.time,
        )
    }
}

/// A number of hundredths as a decimal with two places.
#[must_use]
pub fn hundredths(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", value.abs() / 100, value.abs() % 100)
}

/// A log of random orders.
pub fn random_log(dice: &mut ChaCha8Rng) -> Log {
    let unit_ms = if dice.random_bool(0.5) { 1_000 } else { 3_600_000 };
    let shape = Shape {
        unit_ms,
        zone_ms: if dice.random_bool(0.5) { 0 } else { 8 * 3_600_000 },
        delay_ms: dice.random_range(0..4) * unit_ms,
        // Few, so that many logs share one planned catalogue.
        horizon_ms: [10, 25, 60][dice.random_range(0..3)] * unit_ms,
        skew_ms: 20 * unit_ms,
        is_keyed: dice.random_bool(0.5),
    };
    let partitions = dice.random_range(1..=4_usize);
    let mut log = Log { shape, partitions: vec![Vec::new(); partitions] };
    let count = dice.random_range(0..160);
    let span = dice.random_range(5..60) * unit_ms;
    let jitter = dice.random_range(1..12) * unit_ms;
    let mut sent: Vec<(usize, Order)> = Vec::new();
    for id in 0..count {
        let base = MIDNIGHT_MS - span / 3 + span * i64::from(id) / i64::from(count.max(1));
        let time = base - dice.random_range(0..jitter);
        let time = on_an_edge(dice, time, unit_ms);
        let order = random_order(dice, id, time);
        let partition = match order.shop {
            Some(shop) if shape.is_keyed => usize::from(shop) % partitions,
            _ if shape.is_keyed => 0,
            _ => dice.random_range(0..partitions),
        };
        let log_time = base + dice.random_range(0..unit_ms);
        let body = match dice.random_range(0..40) {
            0 => broken(dice, &order),
            1 => Body::Shadow(order),
            2 => Body::Control(order.time),
            3 => Body::Order(Order { time: 5, ..order }),
            4 => Body::Order(Order {
                time: log_time + shape.skew_ms + dice.random_range(0..2),
                ..order
            }),
            5..8 if !sent.is_empty() => {
                // The same order again, as a producer that retries writes it: in its own partition.
                let (partition, order) = sent[dice.random_range(0..sent.len())].clone();
                log.partitions[partition].push(Entry { body: Body::Order(order), log_time });
                continue;
            }
            _ => {
                sent.push((partition, order.clone()));
                Body::Order(order)
            }
        };
        log.partitions[partition].push(Entry { body, log_time });
    }
    log
}

/// Numbers whose sum is another one in nearly every order in which it is rounded after each step. Their last
/// binary place is not below 2^-60, so that the reference can add them as integers.
const WEIGHTS: [f64; 10] = [0.1, 0.2, 0.3, 1.0, -2.25, 1e16, -1e16, 12_345.678, -0.7, 33_000_000.1];

fn random_order(dice: &mut ChaCha8Rng, id: u32, time: i64) -> Order {
    Order {
        id,
        shop: dice.random_bool(0.9).then(|| dice.random_range(0..4)),
        kind: dice.random_bool(0.9).then(|| dice.random_range(0..2)),
        buyer: dice.random_bool(0.9).then(|| dice.random_range(0..12)),
        amount: dice.random_bool(0.9).then(|| dice.random_range(-20_000..1_000_000_000)),
        quantity: dice.random_bool(0.9).then(|| dice.random_range(-3..12)),
        weight: dice.random_bool(0.9).then(|| WEIGHTS[dice.random_range(0..WEIGHTS.len())]),
        time,
    }
}

/// Edges of windows matter most: their first millisecond and their last, which watermarks then reach too.
fn on_an_edge(dice: &mut ChaCha8Rng, time: i64, unit_ms: i64) -> i64 {
    let edge = time - time.rem_euclid(unit_ms);
    match dice.random_range(0..10) {
        0..3 => edge,
        3..5 => edge - 1,
        _ => time,
    }
}

fn broken(dice: &mut ChaCha8Rng, order: &Order) -> Body {
    let text = order.json();
    let other = match dice.random_range(0..7) {
        0 => text[..text.len() / 2].to_owned(),
        1 => text.replace("\"id\":", "\"ident\":"),
        2 => text.replace("\"quantity\":", "\"quantity\":\"many\",\"x\":"),
        3 => text.replace("\"amount\":", "\"amount\":NaN,\"x\":"),
        4 => text.replace("\"amount\":", "\"amount\":\"12345678901234567890\",\"x\":"),
        5 => text.replace("\"event_time\":", "\"event_time\":\"soon\",\"x\":"),
        _ => format!("{text}{}", " ".repeat(RECORD_BYTES_MAX)),
    };
    Body::Broken(other.into_bytes())
}
