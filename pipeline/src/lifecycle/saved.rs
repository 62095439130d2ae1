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

/// Reads the entries of [`write`], one after another.
///
/// # Errors
/// When the bytes are not such entries.
pub fn read(bytes: &[u8], each: &mut dyn FnMut(&[u8], Read<'_>)) -> Result<(), String> {
    let mut from = Decoder::new(bytes);
    let (mut order, mut again) = (Order::default(), Vec::new());
    while !from.is_empty() {
        let head = from.u64()?;
        if head >> 32 != u64::from(MARK) {
            let key = from.take(length_of(head))?;
            match from.u64()? {
                0 => each(key, None),
                1 => {
                    let order = unpacked(&mut from)?;
                    again.clear();
                    pack(&order, &mut again);
                    each(key, Some((&again, order.newest)));
                }
                other => return Err(format!("{other} where an order or none should be")),
            }
            continue;
        }
        let length = u64::from(from.u32()?);
        let key = from.take(length_of(head & u64::from(u32::MAX)))?;
        let packed = from.take(length_of(length))?;
        if packed.is_empty() {
            each(key, None);
            continue;
        }
        unpack(packed, &mut order).ok_or("an order that cannot be unpacked")?;
        each(key, Some((packed, order.newest)));
    }
    Ok(())
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
        let mut seen: Vec<(Vec<u8>, Option<(Vec<u8>, i64)>)> = Vec::new();
        let mut each = |key: &[u8], order: Read<'_>| {
            seen.push((key.to_vec(), order.map(|(packed, newest)| (packed.to_vec(), newest))));
        };
        read(&out.bytes, &mut each).expect("entries");
        let whole = (b"a".to_vec(), Some((packed, 7)));
        let none = |key: &[u8]| (key.to_vec(), None);
        assert_eq!(seen, [whole.clone(), none(b"gone"), whole, none(b"a")]);
        for length in 1..out.bytes.len() {
            // Cut between two entries it is only shorter.
            let mut count = 0;
            let outcome = read(&out.bytes[..length], &mut |_, _| count += 1);
            assert!(outcome.is_err() || count < 4, "{length} bytes");
        }
    }
}
