//! What a query asks of the orders of a window, by sorting, looping and adding. Part of the slow reference:
//! shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use crate::orders::{Order, hundredths};
use crate::queries::{Asks, Kind, Query, REGIONS};

/// An order and where it stands in the log: partition, then offset.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// Partition and offset.
    pub place: (u32, i64),
    /// The order.
    pub order: &'a Order,
}

/// Whether the reference table knows an order's shop.
pub fn has_region(order: &Order) -> bool {
    region(order).is_some()
}

fn region(order: &Order) -> Option<(&'static str, i64)> {
    let shop = order.shop?;
    REGIONS.iter().find(|(known, ..)| *known == shop).map(|(_, region, rate)| (*region, *rate))
}

/// The rows of one window as JSON, each with the window's revision.
pub fn rows_of(
    query: &Query,
    (start, end): (i64, i64),
    held: &[Placed<'_>],
    revision: u64,
) -> Vec<(String, u64)> {
    let mut rows = Vec::new();
    let bounds = match query.kind {
        Kind::Ever => String::new(),
        _ => format!("\"window_start\":{start},\"window_end\":{end},"),
    };
    match query.asks {
        Asks::Top | Asks::Limit => {
            for (rank, ((kind, shop), n)) in (1..).zip(largest(held)) {
                let rank = if query.asks == Asks::Top {
                    format!("\"rank\":{rank},")
                } else {
                    String::new()
                };
                let keys = text("kind", kind) + &text("shop", shop);
                rows.push(format!("{{{bounds}{rank}{keys}\"n\":{n}}}"));
            }
        }
        Asks::Region { .. } => {
            let keys: BTreeSet<_> = held.iter().map(|placed| region_name(placed.order)).collect();
            for key in keys {
                let of_key: Vec<Placed<'_>> = held
                    .iter()
                    .filter(|placed| region_name(placed.order) == key)
                    .copied()
                    .collect();
                let name = key.map_or("null".to_owned(), |name| format!("\"{name}\""));
                rows.push(format!("{{{bounds}\"region\":{name},{}}}", in_rates(&of_key)));
            }
        }
        _ => {
            for (keys, orders) in grouped(query, held) {
                rows.push(format!("{{{bounds}{keys}{}}}", measures(query.asks, &orders)));
            }
        }
    }
    rows.into_iter().map(|row| (row, revision)).collect()
}

/// The rows of windows of `size`, by the clock of a zone, over windows that hold these orders: an inner one belongs to
/// where its last millisecond is.
pub fn rows_of_windows(
    (size, zone_ms): (i64, i64),
    inside: Vec<((i64, i64), &[Placed<'_>])>,
) -> Vec<((i64, i64), Vec<(String, u64)>)> {
    // By outer window and shop: the number of orders of each inner window.
    let mut all: BTreeMap<(i64, i64), BTreeMap<Option<u8>, Vec<usize>>> = BTreeMap::new();
    for ((_, end), held) in inside {
        let start = (end - 1) - (end - 1 + zone_ms).rem_euclid(size);
        let shops: BTreeSet<Option<u8>> = held.iter().map(|placed| placed.order.shop).collect();
        for shop in shops {
            let orders = held.iter().filter(|placed| placed.order.shop == shop).count();
            all.entry((start, start + size)).or_default().entry(shop).or_default().push(orders);
        }
    }
    all.into_iter()
        .map(|((start, end), shops)| {
            let row = |(shop, orders): (Option<u8>, Vec<usize>)| {
                let (windows, n) = (orders.len(), orders.iter().sum::<usize>());
                let most = orders.iter().max().copied().unwrap_or(0);
                let shop = text("shop", shop);
                let row = format!(
                    "{{\"window_start\":{start},\"window_end\":{end},{shop}\"windows\":{windows},\"n\":{n},\"most\":{most}}}"
                );
                // No record is late for an outer window, so it has no revisions.
                (row, 0)
            };
            ((start, end), shops.into_iter().map(row).collect())
        })
        .collect()
}

fn text(word: &str, number: Option<u8>) -> String {
    match number {
        Some(number) => format!("\"{word}\":\"{word} {number}\","),
        None => format!("\"{word}\":null,"),
    }
}

/// The orders by the keys of each grouping set, with the keys as JSON.
fn grouped<'a>(query: &Query, held: &[Placed<'a>]) -> Vec<(String, Vec<Placed<'a>>)> {
    let mut groups = Vec::new();
    for (by_shop, by_kind) in query.sets {
        let key_of = |placed: &Placed<'_>| {
            (by_shop.then_some(placed.order.shop), by_kind.then_some(placed.order.kind))
        };
        let keys: BTreeSet<_> = held.iter().map(key_of).collect();
        for key in keys {
            let orders = held.iter().filter(|placed| key_of(placed) == key).copied().collect();
            let mut keys = String::new();
            if query.sets != [(false, false)] {
                keys += &text("shop", key.0.flatten());
            }
            if query.sets.len() > 1 {
                keys += &text("kind", key.1.flatten());
            }
            groups.push((keys, orders));
        }
    }
    groups
}

/// A kind and a shop.
type KindOfShop = (Option<u8>, Option<u8>);

/// The two kinds of a shop with the most orders; of equal ones the first by kind, then by shop, none before all.
fn largest(held: &[Placed<'_>]) -> Vec<(KindOfShop, usize)> {
    let key = |placed: &Placed<'_>| (placed.order.kind, placed.order.shop);
    let keys: BTreeSet<KindOfShop> = held.iter().map(key).collect();
    let count = |wanted: KindOfShop| held.iter().filter(|placed| key(placed) == wanted).count();
    let mut all: Vec<_> = keys.into_iter().map(|key| (key, count(key))).collect();
    all.sort_by_key(|(key, n)| (std::cmp::Reverse(*n), *key));
    all.truncate(2);
    all
}

fn region_name(order: &Order) -> Option<&'static str> {
    region(order).map(|(name, _)| name)
}

/// Orders, and their amounts at the rate of their region; four places.
fn in_rates(orders: &[Placed<'_>]) -> String {
    let products: Vec<i64> = orders
        .iter()
        .filter_map(|placed| Some(placed.order.amount? * region(placed.order)?.1))
        .collect();
    let sum: i64 = products.iter().sum();
    let sign = if sum < 0 { "-" } else { "" };
    let gmv = format!("\"{sign}{}.{:04}\"", sum.abs() / 10_000, sum.abs() % 10_000);
    let gmv = if products.is_empty() { "null".to_owned() } else { gmv };
    format!("\"n\":{},\"gmv\":{gmv}", orders.len())
}

fn measures(asks: Asks, orders: &[Placed<'_>]) -> String {
    match asks {
        Asks::Spread => spread(orders),
        Asks::Arrivals => arrivals(orders),
        Asks::Weight => weight(orders),
        _ => money(orders),
    }
}

fn money(placed: &[Placed<'_>]) -> String {
    let orders: Vec<&Order> = placed.iter().map(|placed| placed.order).collect();
    let amounts: Vec<i64> = orders.iter().filter_map(|order| order.amount).collect();
    let sum: i64 = amounts.iter().sum();
    let count = i64::try_from(amounts.len()).unwrap_or(i64::MAX);
    let money = |value: Option<i64>| {
        value.map_or("null".to_owned(), |value| format!("\"{}\"", hundredths(value)))
    };
    // AVG of DECIMAL(12, 2) has six places; what is beyond them is cut off.
    let mean = (count > 0).then(|| sum * 10_000 / count);
    let mean = mean.map_or("null".to_owned(), |mean| {
        let sign = if mean < 0 { "-" } else { "" };
        format!("\"{sign}{}.{:06}\"", mean.abs() / 1_000_000, mean.abs() % 1_000_000)
    });
    let buyers: BTreeSet<i64> = orders.iter().filter_map(|order| order.buyer).collect();
    let pieces: Vec<i64> =
        orders.iter().filter_map(|order| order.quantity).map(i64::from).collect();
    let large = pieces.iter().filter(|pieces| **pieces > 5).count();
    let pieces =
        if pieces.is_empty() { "null".to_owned() } else { pieces.iter().sum::<i64>().to_string() };
    format!(
        "\"n\":{},\"amounts\":{count},\"gmv\":{},\"low\":{},\"high\":{},\"mean\":{mean},\"buyers\":{},\"large\":{large},\"pieces\":{pieces}",
        orders.len(),
        money((count > 0).then_some(sum)),
        money(amounts.iter().min().copied()),
        money(amounts.iter().max().copied()),
        buyers.len(),
    )
}

/// Percentiles: the value at the rank, rounded down, in the sorted list, as the middle of its bucket. The buckets
/// of values with one in a hundred of error end at the powers of 101/99.
fn spread(orders: &[Placed<'_>]) -> String {
    let mut amounts: Vec<i64> = orders.iter().filter_map(|placed| placed.order.amount).collect();
    amounts.sort_unstable();
    let at = |hundredth: usize| -> String {
        let Some(last) = amounts.len().checked_sub(1) else { return "null".to_owned() };
        let exact = amounts[last * hundredth / 100] as f64 / 100.0;
        if exact == 0.0 {
            return "\"0.00\"".to_owned();
        }
        let ratio: f64 = 101.0 / 99.0;
        let bucket = (exact.abs().ln() / ratio.ln()).ceil();
        let middle = 2.0 * ratio.powf(bucket) / (1.0 + ratio);
        assert!((middle - exact.abs()).abs() <= exact.abs() * 0.010_001, "{middle} for {exact}");
        format!("\"{}\"", hundredths((middle * 100.0).round() as i64 * exact.signum() as i64))
    };
    format!("\"middle\":{},\"high\":{},\"median\":{}", at(50), at(95), at(50))
}

/// What goes by the order of the log: partition, then offset.
fn arrivals(orders: &[Placed<'_>]) -> String {
    let mut sorted = orders.to_vec();
    sorted.sort_by_key(|placed| placed.place);
    let number = |value: Option<i64>| value.map_or("null".to_owned(), |value| value.to_string());
    let id = |placed: &Placed<'_>| format!("o{}", placed.order.id);
    let first = sorted.first().map_or(String::new(), id);
    let last = number(sorted.last().and_then(|placed| placed.order.quantity).map(i64::from));
    let ids: Vec<String> = sorted.iter().map(id).collect();
    let kind = |kind: Option<u8>| kind.map_or("null".to_owned(), |kind| format!("\"kind {kind}\""));
    let kinds: Vec<String> = sorted.iter().map(|placed| kind(placed.order.kind)).collect();
    // Distinct values go by themselves, NULL first.
    let buyers: BTreeSet<Option<i64>> = sorted.iter().map(|placed| placed.order.buyer).collect();
    let buyers: Vec<String> = buyers.into_iter().map(number).collect();
    format!(
        "\"first\":\"{first}\",\"last\":{last},\"ids\":\"{}\",\"kinds\":[{}],\"buyers\":[{}]",
        ids.join(","),
        kinds.join(","),
        buyers.join(",")
    )
}

/// The sum of doubles in whole 2^-60, rounded once at the end.
fn weight(orders: &[Placed<'_>]) -> String {
    let weights: Vec<f64> = orders.iter().filter_map(|placed| placed.order.weight).collect();
    let unit = 2.0_f64.powi(60);
    let sum: i128 = weights.iter().map(|weight| (weight * unit) as i128).sum();
    let sum = if weights.is_empty() { "null".to_owned() } else { (sum as f64 / unit).to_string() };
    format!("\"weight\":{sum},\"n\":{}", weights.len())
}
