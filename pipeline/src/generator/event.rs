//! What happens to an order, and the bytes that tell of it.

use std::io::Write as _;

use chrono::DateTime;

use super::options::ZONE_MS;
use super::order::{Market, Order};

const DAY_MS: i64 = 86_400_000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Placed,
    Paid,
    Deposit,
    Balance,
    Cancelled {
        /// Whether the record carries no more than the order's id.
        is_bare: bool,
    },
    Refunded,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Deposit => "deposit",
            Self::Balance => "balance",
            Self::Cancelled { .. } => "cancelled",
            Self::Refunded => "refunded",
        }
    }
}

/// How the copy of an event is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It ends in the middle.
    Torn,
    /// The amount is no number.
    WordForAmount,
    /// There is no such time.
    NoSuchTime,
    /// The clock of the sender is a year ahead.
    YearAhead,
}

impl Flaw {
    pub(super) const ALL: [Self; 4] =
        [Self::Torn, Self::WordForAmount, Self::NoSuchTime, Self::YearAhead];
}

/// One event as it will be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) order: Order,
    pub(super) kind: Kind,
    pub(super) event_ms: i64,
    pub(super) amount_fen: i64,
    /// Number that becomes the event's id.
    pub(super) id: u64,
    pub(super) source_seq: u64,
    pub(super) flaw: Option<Flaw>,
}

/// Writes events as JSON.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// The day whose text is kept, in days since 1970 by local clocks.
    day: i64,
    date: String,
    short_date: String,
}

impl Encoder {
    /// Writes the order's id, which is the record's key too.
    pub(super) fn write_order_id(&mut self, order: &Order, out: &mut Vec<u8>) {
        self.set_day(order.placed_ms);
        out.extend_from_slice(self.short_date.as_bytes());
        put_digits(out, order.number, 10);
    }

    /// Writes the event.
    pub(super) fn write(&mut self, market: &Market, event: &Event, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(b"{\"event_id\":\"");
        put_hex(out, event.id);
        out.extend_from_slice(b"\",\"order_id\":\"");
        self.write_order_id(&event.order, out);
        put_text(out, "\",\"event_type\":\"", event.kind.name());
        out.extend_from_slice(b"\",\"event_time\":\"");
        self.put_time(out, event);
        out.push(b'"');
        if event.kind != (Kind::Cancelled { is_bare: true }) {
            put_goods(market, event, out);
        }
        put_text(out, ",\"source\":\"", market.source(&event.order));
        out.extend_from_slice(b"\",\"source_seq\":");
        put_number(out, event.source_seq);
        out.push(b'}');
        if event.flaw == Some(Flaw::Torn) {
            out.truncate(start + (out.len() - start) / 2);
        }
    }

    fn put_time(&mut self, out: &mut Vec<u8>, event: &Event) {
        if event.flaw == Some(Flaw::NoSuchTime) {
            out.extend_from_slice(b"2020-13-45T24:61:00.000+08:00");
            return;
        }
        let ahead = if event.flaw == Some(Flaw::YearAhead) { 365 * DAY_MS } else { 0 };
        self.put_instant(out, event.event_ms + ahead);
    }

    fn put_instant(&mut self, out: &mut Vec<u8>, time_ms: i64) {
        self.set_day(time_ms);
        out.extend_from_slice(self.date.as_bytes());
        let of_day = (time_ms + ZONE_MS).rem_euclid(DAY_MS).cast_unsigned();
        put_text(out, "T", "");
        put_digits(out, of_day / 3_600_000, 2);
        out.push(b':');
        put_digits(out, of_day / 60_000 % 60, 2);
        out.push(b':');
        put_digits(out, of_day / 1_000 % 60, 2);
        out.push(b'.');
        put_digits(out, of_day % 1_000, 3);
        out.extend_from_slice(b"+08:00");
    }

    fn set_day(&mut self, time_ms: i64) {
        let day = (time_ms + ZONE_MS).div_euclid(DAY_MS);
        if day == self.day && !self.date.is_empty() {
            return;
        }
        self.day = day;
        let date = DateTime::from_timestamp_millis(day * DAY_MS).unwrap_or_default();
        self.date = date.format("%Y-%m-%d").to_string();
        self.short_date = date.format("%y%m%d").to_string();
    }
}

/// Writes the fields of an event that is not an order's own.
pub(super) struct Text<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Text<'a> {
    /// Begins with the event's id, which its number becomes.
    pub(super) fn begin(out: &'a mut Vec<u8>, number: u64) -> Self {
        out.extend_from_slice(b"{\"event_id\":\"");
        put_hex(out, number);
        out.push(b'"');
        Self { out }
    }

    fn name(&mut self, name: &str) {
        put_text(self.out, ",\"", name);
        self.out.extend_from_slice(b"\":");
    }

    /// A text that needs no escapes; left out where it is empty.
    pub(super) fn field(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.name(name);
            put_text(self.out, "\"", text);
            self.out.push(b'"');
        }
    }

    /// An instant.
    pub(super) fn time(&mut self, name: &str, encoder: &mut Encoder, time_ms: i64) {
        self.name(name);
        self.out.push(b'"');
        encoder.put_instant(self.out, time_ms);
        self.out.push(b'"');
    }

    /// An amount.
    pub(super) fn money(&mut self, name: &str, fen: i64) {
        self.name(name);
        put_fen(self.out, fen);
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

fn put_fen(out: &mut Vec<u8>, fen: i64) {
    let fen = fen.unsigned_abs();
    put_number(out, fen / 100);
    out.push(b'.');
    put_digits(out, fen % 100, 2);
}

fn put_goods(market: &Market, event: &Event, out: &mut Vec<u8>) {
    let order = &event.order;
    out.extend_from_slice(b",\"buyer_id\":\"b");
    put_digits(out, u64::from(order.buyer), 9);
    put_text(out, "\",\"province\":\"", market.province(order));
    if market.country(order).is_none() {
        put_text(out, "\",\"city\":\"", market.city(order));
    }
    put_text(out, "\",\"category\":\"", market.category(order));
    put_text(out, "\",\"brand\":\"", market.brand(order));
    put_text(out, "\",\"channel\":\"", market.channel(order));
    put_text(out, "\",\"platform\":\"", market.platform(order));
    out.extend_from_slice(b"\",\"amount\":");
    if event.flaw == Some(Flaw::WordForAmount) {
        out.extend_from_slice(b"\"free\"");
    } else {
        put_fen(out, event.amount_fen);
    }
    out.extend_from_slice(b",\"currency\":\"CNY\"");
    put_text(out, ",\"seller_city\":\"", market.seller_city(order));
    out.push(b'"');
    // Left out where it is the country of the wall, as most senders do.
    if let Some(country) = market.country(order) {
        put_text(out, ",\"country\":\"", country);
        out.push(b'"');
    }
}

/// Text that needs no escapes: all of it stands in the generator's own tables.
fn put_text(out: &mut Vec<u8>, before: &str, text: &str) {
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{number}");
}

/// Exactly `count` digits, with zeros in front.
fn put_digits(out: &mut Vec<u8>, number: u64, count: usize) {
    let start = out.len();
    out.resize(start + count, b'0');
    let mut left = number;
    for place in out.iter_mut().skip(start).rev() {
        *place = b'0' + u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
    }
}

fn put_hex(out: &mut Vec<u8>, number: u64) {
    for shift in (0..16).rev() {
        let digit = u8::try_from((number >> (shift * 4)) & 15).unwrap_or(0);
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
}
