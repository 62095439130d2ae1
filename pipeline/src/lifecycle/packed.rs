//! An order as bytes, as it is kept in memory and in a checkpoint: one small piece for each of millions.
//!
//! ```text
//! rows │ (length │ attribute row)… │ newest │ events │ (newest - time │ kind │ row, amount? │ amount │ offset)…
//! raw records │ (offset │ length │ raw record)…
//! ```
//! Numbers are of as many bytes as they need, seven bits in each, the least first; those that may be below
//! zero are folded so that small ones stay small.

use super::order::{Event, Order};

/// Appends an order.
pub fn pack(order: &Order, out: &mut Vec<u8>) {
    count(out, order.attributes.len());
    for row in order.attributes.iter() {
        count(out, row.len());
        out.extend_from_slice(row);
    }
    signed(out, order.newest);
    count(out, order.events.len());
    for event in &order.events {
        signed(out, order.newest.wrapping_sub(event.time));
        number(out, u64::from(event.kind));
        number(out, u64::from(event.attributes) << 1 | u64::from(event.amount.is_some()));
        if let Some(amount) = event.amount {
            wide(out, (amount << 1 ^ amount >> 127).cast_unsigned());
        }
        signed(out, event.offset);
    }
    count(out, order.raw.len());
    for (offset, raw) in &order.raw {
        signed(out, *offset);
        count(out, raw.len());
        out.extend_from_slice(raw);
    }
}

/// Reads what [`pack`] has written, all of `bytes`, into `order`; `None` when it is no such thing, and then
/// the order is not to be used.
pub fn unpack(bytes: &[u8], order: &mut Order) -> Option<()> {
    order.clear();
    let mut from = Reader { rest: bytes };
    for _ in 0..from.count()? {
        let length = from.count()?;
        order.attributes.push(from.take(length)?);
    }
    order.newest = from.signed()?;
    for _ in 0..from.count()? {
        let time = order.newest.wrapping_sub(from.signed()?);
        let kind = u16::try_from(from.number()?).ok()?;
        let packed = from.number()?;
        let amount = match packed & 1 {
            1 => Some(from.wide()?),
            _ => None,
        };
        let attributes = u16::try_from(packed >> 1).ok()?;
        order.events.push(Event { time, kind, attributes, amount, offset: from.signed()? });
    }
    for _ in 0..from.count()? {
        let offset = from.signed()?;
        let length = from.count()?;
        order.raw.push((offset, from.take(length)?.into()));
    }
    from.rest.is_empty().then_some(())
}

fn count(out: &mut Vec<u8>, value: usize) {
    number(out, u64::try_from(value).unwrap_or(u64::MAX));
}

fn signed(out: &mut Vec<u8>, value: i64) {
    number(out, (value << 1 ^ value >> 63).cast_unsigned());
}

fn number(out: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] & 0x7F | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

fn wide(out: &mut Vec<u8>, value: u128) {
    let mut rest = value;
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] & 0x7F | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn wide(&mut self) -> Option<i128> {
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// How many of something follow, or how many bytes: never more than there are.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        let event = |time, amount, offset| Event { time, kind: 3, attributes: 1, amount, offset };
        let mut order = Order {
            events: vec![
                event(1_605_024_000_123, Some(12_990), 77),
                event(i64::MIN, Some(i128::MAX), i64::MAX),
                event(i64::MAX, Some(i128::MIN), -1),
                event(0, None, i64::MIN),
            ],
            newest: 1_605_024_000_999,
            raw: vec![(7, b"raw".as_slice().into()), (-7, b"".as_slice().into())],
            ..Order::default()
        };
        order.attributes.push(b"");
        order.attributes.push(&[9; 300]);
        order
    }

    #[test]
    fn what_is_packed_comes_out_again_whatever_its_numbers() {
        let mut bytes = Vec::new();
        pack(&order(), &mut bytes);
        let mut again = Order::default();
        unpack(&bytes, &mut again).expect("its own bytes");
        assert_eq!(again, order());
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_refused() {
        let mut bytes = Vec::new();
        pack(&order(), &mut bytes);
        let mut into = Order::default();
        for length in 0..bytes.len() {
            assert_eq!(unpack(&bytes[..length], &mut into), None, "{length} bytes");
        }
        bytes.push(0);
        assert_eq!(unpack(&bytes, &mut into), None);
    }
}
