//! Orders as bytes for the checkpoint: only those that changed since the last one.
//!
//! ```text
//! entry   key │ 0                                      forgotten
//!         key │ 1 │ newest │ attribute rows │ events │ raw records of those that wait
//! ```
//! A later entry of a key stands over an earlier one, so the entries of many checkpoints one after
//! another are the state as of the last.

use super::order::{Event, Order};
use crate::state::bytes::{Decoder, Encoder};

/// Appends an entry; `None` for an order that is forgotten.
pub fn write(out: &mut Encoder, key: &[u8], order: Option<&Order>) {
    out.bytes(key);
    out.u64(u64::from(order.is_some()));
    let Some(order) = order else { return };
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
}

/// Reads the entries of [`write`], one after another.
///
/// # Errors
/// When the bytes are not such entries.
pub fn read(bytes: &[u8], each: &mut dyn FnMut(&[u8], Option<Order>)) -> Result<(), String> {
    let mut from = Decoder::new(bytes);
    while !from.is_empty() {
        let key = from.bytes()?;
        let order = match from.u64()? {
            0 => None,
            1 => Some(order(&mut from)?),
            other => return Err(format!("{other} where an order or none should be")),
        };
        each(key, order);
    }
    Ok(())
}

fn order(from: &mut Decoder<'_>) -> Result<Order, String> {
    let newest = from.i64()?;
    let attributes =
        (0..from.count()?).map(|_| Ok(from.bytes()?.into())).collect::<Result<_, String>>()?;
    let mut order = Order { events: Vec::new(), attributes, newest, raw: Vec::new() };
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

/// About how many bytes [`write`] takes for an order.
#[must_use]
pub fn size(key: &[u8], order: &Order) -> u64 {
    let attributes: usize = order.attributes.iter().map(|row| row.len() + 8).sum();
    let raw: usize = order.raw.iter().map(|(_, raw)| raw.len() + 16).sum();
    u64::try_from(key.len() + attributes + raw + order.events.len() * 40 + 48).unwrap_or(u64::MAX)
}
