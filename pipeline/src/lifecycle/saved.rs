//! Orders as bytes for the checkpoint: only those that changed since the last one.
//!
//! ```text
//! entry   bytes of the key u32 │ MARK u32 │ bytes of the order u32 │ key │ packed order, none if forgotten
//! ```
//! A later entry of a key stands over an earlier one, so the entries of many checkpoints one after
//! another are the state as of the last. Checkpoints of format 7 and before have entries in which the
//! order is not packed; they begin with a length of 64 bits, so that their upper half is never `MARK`, and
//! are read beside the others.

use super::order::{Event, Order};
use super::packed::{pack, unpack};
use crate::state::bytes::{Decoder, Encoder};

/// What no length of an entry of format 7 has in its upper half.
const MARK: u32 = 0xA5A5_A5A5;

/// Appends an entry; `None` for an order that is forgotten.
pub fn write(out: &mut Encoder, key: &[u8], packed: Option<&[u8]>) {
    let packed = packed.unwrap_or(&[]);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    for number in [length(key), MARK, length(packed)] {
        out.bytes.extend_from_slice(&number.to_le_bytes());
    }
    out.bytes.extend_from_slice(key);
    out.bytes.extend_from_slice(packed);
}

/// An order as it is read: packed, with its newest time.
pub type Read<'a> = Option<(&'a [u8], i64)>;

/// What takes up orders that are read.
pub trait TakesUp {
    /// Orders of these keys come next.
    fn ahead(&mut self, keys: &[&[u8]]);

    /// Takes one order up; `None` if it had been forgotten.
    fn take_up(&mut self, key: &[u8], order: Read<'_>);
}

/// Entries whose keys are told ahead at one time.
const AHEAD_ENTRIES: usize = 64;

/// Reads the entries of [`write`], one after another.
///
/// # Errors
/// When the bytes are not such entries.
pub fn read(bytes: &[u8], into: &mut dyn TakesUp) -> Result<(), String> {
    let mut from = Decoder::new(bytes);
    let (mut order, mut again, mut ahead) = (Order::default(), Vec::new(), Vec::new());
    let mut told = 0;
    while !from.is_empty() {
        if told == 0 {
            keys_ahead(from.rest(), &mut ahead);
            into.ahead(&ahead);
            told = ahead.len().max(1);
        }
        told -= 1;
        let head = from.u64()?;
        if head >> 32 != u64::from(MARK) {
            let key = from.take(length_of(head))?;
            match from.u64()? {
                0 => into.take_up(key, None),
                1 => {
                    let order = unpacked(&mut from)?;
                    again.clear();
                    pack(&order, &mut again);
                    into.take_up(key, Some((&again, order.newest)));
                }
                other => return Err(format!("{other} where an order or none should be")),
            }
            continue;
        }
        let length = u64::from(from.u32()?);
        let key = from.take(length_of(head & u64::from(u32::MAX)))?;
        let packed = from.take(length_of(length))?;
        if packed.is_empty() {
            into.take_up(key, None);
            continue;
        }
        unpack(packed, &mut order).ok_or("an order that cannot be unpacked")?;
        into.take_up(key, Some((packed, order.newest)));
    }
    Ok(())
}

/// The keys of the next entries, as far as they are of today's form.
fn keys_ahead<'a>(bytes: &'a [u8], keys: &mut Vec<&'a [u8]>) {
    keys.clear();
    let mut from = Decoder::new(bytes);
    while keys.len() < AHEAD_ENTRIES
        && let Ok(head) = from.u64()
        && head >> 32 == u64::from(MARK)
        && let Ok(length) = from.u32()
        && let Ok(key) = from.take(length_of(head & u64::from(u32::MAX)))
        && from.take(length_of(u64::from(length))).is_ok()
    {
        keys.push(key);
    }
}

fn length_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The order of an entry of format 7 and before.
fn unpacked(from: &mut Decoder<'_>) -> Result<Order, String> {
    let newest = from.i64()?;
    let mut order = Order { newest, ..Order::default() };
    for _ in 0..from.count()? {
        order.attributes.push(from.bytes()?);
    }
    for _ in 0..from.count()? {
        let time = from.i64()?;
        let packed = from.u64()?;
        let amount = from.i128()?;
        order.events.push(Event {
            time,
            kind: u16::try_from(packed >> 32).map_err(|_| "a kind out of range".to_owned())?,
            attributes: u16::try_from(packed >> 1 & 0x7FFF_FFFF)
                .map_err(|_| "attributes out of range".to_owned())?,
            amount: (packed & 1 == 1).then_some(amount),
            offset: from.i64()?,
        });
    }
    for _ in 0..from.count()? {
        order.raw.push((from.i64()?, from.bytes()?.into()));
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen {
        ahead: Vec<Vec<u8>>,
        orders: Vec<(Vec<u8>, Option<(Vec<u8>, i64)>)>,
    }

    impl TakesUp for Seen {
        fn ahead(&mut self, keys: &[&[u8]]) {
            self.ahead.extend(keys.iter().map(|key| key.to_vec()));
        }

        fn take_up(&mut self, key: &[u8], order: Read<'_>) {
            let order = order.map(|(packed, newest)| (packed.to_vec(), newest));
            self.orders.push((key.to_vec(), order));
        }
    }

    /// As format 7 wrote it.
    fn as_before(key: &[u8], order: &Order) -> Vec<u8> {
        let mut out = Encoder::default();
        out.bytes(key);
        out.u64(1);
        out.i64(order.newest);
        out.count(order.attributes.len());
        order.attributes.iter().for_each(|row| out.bytes(row));
        out.count(order.events.len());
        for event in &order.events {
            out.i64(event.time);
            out.u64(
                u64::from(event.kind) << 32
                    | u64::from(event.attributes) << 1
                    | u64::from(event.amount.is_some()),
            );
            out.bytes.extend_from_slice(&event.amount.unwrap_or(0).to_le_bytes());
            out.i64(event.offset);
        }
        out.count(order.raw.len());
        for (offset, raw) in &order.raw {
            out.i64(*offset);
            out.bytes(raw);
        }
        out.bytes
    }

    #[test]
    fn entries_of_both_formats_are_read_one_after_another() {
        let event = |kind, amount| Event { time: 5, kind, attributes: 1, amount, offset: 9 };
        let mut order = Order {
            events: vec![event(2, Some(-3)), event(1, None)],
            newest: 7,
            raw: vec![(9, b"raw".as_slice().into())],
            ..Order::default()
        };
        order.attributes.push(b"one");
        order.attributes.push(b"");
        let mut packed = Vec::new();
        pack(&order, &mut packed);
        let mut out = Encoder { bytes: as_before(b"a", &order) };
        out.bytes(b"gone");
        out.u64(0);
        write(&mut out, b"a", Some(&packed));
        write(&mut out, b"a", None);
        let mut seen = Seen::default();
        read(&out.bytes, &mut seen).expect("entries");
        let whole = (b"a".to_vec(), Some((packed, 7)));
        let none = |key: &[u8]| (key.to_vec(), None);
        assert_eq!(seen.orders, [whole.clone(), none(b"gone"), whole, none(b"a")]);
        // Those of before are not told ahead, and of today's each is once.
        assert_eq!(seen.ahead, [b"a", b"a"]);
        for length in 1..out.bytes.len() {
            // Cut between two entries it is only shorter.
            let mut seen = Seen::default();
            let outcome = read(&out.bytes[..length], &mut seen);
            assert!(outcome.is_err() || seen.orders.len() < 4, "{length} bytes");
        }
    }

    #[test]
    fn keys_are_told_ahead_once_and_in_order_however_many_there_are() {
        let mut out = Encoder::default();
        let keys: Vec<Vec<u8>> =
            (0..2 * AHEAD_ENTRIES + 5).map(|nth| nth.to_string().into_bytes()).collect();
        keys.iter().for_each(|key| write(&mut out, key, None));
        let mut seen = Seen::default();
        read(&out.bytes, &mut seen).expect("entries");
        assert_eq!(seen.ahead, keys);
        assert_eq!(seen.orders.len(), keys.len());
    }
}
