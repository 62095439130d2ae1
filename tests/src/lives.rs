//! Random lives of orders and what they amount to, told as plainly as can be: record by record in the order
//! of the log, cent by cent at the end. Shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

/// After how long without an event an order is forgotten, in milliseconds.
pub const HORIZON_MS: i64 = 1_200_000;
/// How far the watermark is behind the newest event, in milliseconds.
pub const DELAY_MS: i64 = 60_000;

/// Length of the windows that [`Lives::windows`] has, in milliseconds.
pub const WINDOW_MS: i64 = 120_000;

/// One event; amounts in hundredths.
#[derive(Debug, Clone)]
pub struct Event {
    /// Number of its order.
    pub order: u32,
    /// Its kind.
    pub kind: &'static str,
    /// Its amount.
    pub amount: i64,
    /// What its amount is in, if it says so.
    pub currency: Option<&'static str>,
    /// Event time, epoch milliseconds; no two of one order are the same.
    pub time: i64,
    /// Whether it is of a load test.
    pub is_shadow: bool,
}

impl Event {
    /// Its record.
    #[must_use]
    pub fn json(&self) -> String {
        let Self { order, kind, amount, time, .. } = self;
        let amount = format!("{}.{:02}", amount / 100, amount % 100);
        let currency = self.currency.map_or(String::new(), |of| format!(r#","currency":"{of}""#));
        format!(
            r#"{{"order_id":"o{order}","kind":"{kind}","amount":"{amount}"{currency},"event_time":{time}}}"#
        )
    }

    fn opens(&self) -> bool {
        ["placed", "deposit"].contains(&self.kind)
    }

    fn pays(&self) -> bool {
        ["paid", "deposit", "balance"].contains(&self.kind)
    }

    /// What the money it brings or takes is in; a cancellation and a mere opening move none.
    fn money(&self) -> Option<&'static str> {
        self.currency.filter(|_| self.pays() || self.kind == "refunded")
    }
}

/// Events by partition, in any order, some of them long after the others of their order.
pub fn random_lives(dice: &mut ChaCha8Rng) -> Vec<Vec<Event>> {
    let partitions = dice.random_range(1..=3_usize);
    let mut log: Vec<Vec<Event>> = vec![Vec::new(); partitions];
    let hours = [1, 1, 3][dice.random_range(0..3)];
    for order in 0..dice.random_range(1..30_u32) {
        let is_presale = dice.random_bool(0.4);
        let kinds: &[(&'static str, f64, usize)] = if is_presale {
            &[
                ("deposit", 0.8, 3),
                ("balance", 0.6, 3),
                ("placed", 0.2, 2),
                ("cancelled", 0.3, 2),
                ("refunded", 0.5, 3),
            ]
        } else {
            &[("placed", 0.8, 2), ("paid", 0.7, 3), ("cancelled", 0.3, 2), ("refunded", 0.5, 3)]
        };
        let begin = 1_605_024_000_000 + dice.random_range(0..hours * 3_600_000);
        let at = usize::try_from(order).unwrap_or(0) % partitions;
        let is_shadow = dice.random_bool(0.15);
        // Of most orders all events say the same currency.
        let mixed = if dice.random_bool(0.4) { 0.5 } else { 0.0 };
        let mut nth = 0;
        for (kind, chance, most) in kinds {
            if !dice.random_bool(*chance) {
                continue;
            }
            // What is paid twice is paid once, so a repeat says the same.
            let amount = dice.random_range(1..100_000);
            for _ in 0..dice.random_range(1..=*most) {
                let amount =
                    if *kind == "refunded" { dice.random_range(1..100_000) } else { amount };
                nth += 1;
                let late = if dice.random_bool(0.1) { 2 * HORIZON_MS } else { 0 };
                let time = begin + dice.random_range(0..600_000) / 16 * 16 + nth + late;
                let currency = match dice.random_bool(mixed) {
                    true => [None, Some("USD"), Some("EUR")][dice.random_range(0..3)],
                    false => Some("CNY"),
                };
                log[at].push(Event { order, kind, amount, currency, time, is_shadow });
            }
        }
    }
    for events in &mut log {
        events.shuffle(dice);
        // Mostly by time, as logs are, or nearly nothing would be within the horizon.
        if dice.random_bool(0.7) {
            events.sort_by_key(|event| event.time / 300_000);
        }
    }
    log
}

/// What became of the events of one partition: taken, applied, capped, repeated, waiting, expired, refused.
pub type Fates = [i64; 7];

/// What must be shown when so much has been read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lives {
    /// Rows of the view by order, as the beginning of their JSON.
    pub rows: Vec<String>,
    /// What is paid in each window of [`WINDOW_MS`] by its start, as far as it is not late; none without.
    pub windows: BTreeMap<i64, i64>,
    /// Unmatched events: partition, offset, `waiting`, `capped`, `expired` or `refused`.
    pub unmatched: BTreeSet<(i32, i64, String)>,
    /// By partition with an event.
    pub fates: BTreeMap<i32, Fates>,
}

/// What one order amounts to: placed, paid, refunded, excess, cancelled orders.
type Sums = [i64; 5];

/// What the events of one space amount to; `read` has them by partition, with the offsets they stand at.
#[must_use]
pub fn expected(read: &[Vec<(i64, &Event)>]) -> Lives {
    let mut lives = Lives::default();
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for (partition, events) in (0..).zip(read) {
        let mut kept: BTreeMap<u32, Vec<(i64, &Event)>> = BTreeMap::new();
        let (mut watermark, mut fates) = (i64::MIN, Fates::default());
        let mut expired = |offset: i64, fates: &mut Fates| {
            fates[5] += 1;
            lives.unmatched.insert((partition, offset, "expired".to_owned()));
        };
        let mut over = Vec::new();
        for (offset, event) in events {
            fates[0] += 1;
            if event.time + HORIZON_MS <= watermark {
                expired(*offset, &mut fates);
                continue;
            }
            let order = kept.entry(event.order).or_default();
            let newest = order.iter().map(|(_, event)| event.time).max().unwrap_or(event.time);
            if newest + HORIZON_MS <= watermark {
                over.push(std::mem::take(order));
            }
            let was = payments(order);
            order.push((*offset, event));
            take_in(&was, &payments(order), watermark, &mut lives.windows);
            watermark = watermark.max(event.time - DELAY_MS);
        }
        let mut open = Vec::new();
        for order in kept.into_values() {
            let newest = order.iter().map(|(_, event)| event.time).max().unwrap_or(i64::MIN);
            if newest + HORIZON_MS <= watermark { over.push(order) } else { open.push(order) }
        }
        for (order, is_over) in over
            .into_iter()
            .map(|order| (order, true))
            .chain(open.into_iter().map(|order| (order, false)))
        {
            settle(partition, order, is_over, (&mut lives.unmatched, &mut fates, &mut sums));
        }
        if fates[0] > 0 {
            lives.fates.insert(partition, fates);
        }
    }
    let money = |amount: i64| format!("\"{}.{:02}\"", amount / 100, amount % 100);
    let row = |(order, [placed, paid, refunded, excess, cancelled]): (String, Sums)| {
        format!(
            "{{\"order_id\":\"{order}\",\"placed\":{},\"paid\":{},\"refunded\":{},\"net\":{},\"excess\":{},\"cancelled\":{cancelled},",
            money(placed),
            money(paid),
            money(refunded),
            money(paid - refunded),
            money(excess),
        )
    };
    lives.windows.retain(|_, amount| *amount != 0);
    lives.rows = sums.into_iter().map(row).collect();
    lives.rows.sort();
    lives
}

/// What an order is in: what its opening says, or else its earliest payment that says anything.
fn currency_of(order: &[(i64, &Event)]) -> Option<&'static str> {
    let by_time = |wanted: fn(&Event) -> bool| {
        let found = order.iter().map(|(_, event)| *event).filter(|event| wanted(event));
        found.min_by_key(|event| event.time)
    };
    let payment = || by_time(|event| event.pays() && event.currency.is_some());
    by_time(Event::opens)?.currency.or_else(|| payment()?.currency)
}

/// Whether an event is refused: its money is in something else than the order.
fn is_refused(event: &Event, currency: Option<&str>) -> bool {
    event.money().is_some() && event.money() != currency
}

/// Time of a payment that counts, its amount, and that amount again where it opens the order.
type Payment = (i64, [i64; 2]);

/// The payments of an order that count: of each kind the earliest that is not refused, once there is an event that
/// opens it.
fn payments(order: &[(i64, &Event)]) -> BTreeSet<Payment> {
    let opened = order.iter().filter(|(_, event)| event.opens()).map(|(_, event)| event.time).min();
    let Some(opened) = opened else { return BTreeSet::new() };
    let currency = currency_of(order);
    let earliest = |kind: &str| {
        let told = order.iter().map(|(_, event)| *event).filter(|event| event.kind == kind);
        told.filter(|event| !is_refused(event, currency)).min_by_key(|event| event.time)
    };
    let counted = ["deposit", "paid", "balance"].into_iter().filter_map(earliest);
    counted
        .map(|event| {
            let placed = if event.time == opened { event.amount } else { 0 };
            (event.time, [event.amount, placed])
        })
        .collect()
}

/// Moves the windows from what an order had paid to what it has, as far as they are open. What is taken back and
/// would come to a closed window instead stays where it was.
fn take_in(
    was: &BTreeSet<Payment>,
    is: &BTreeSet<Payment>,
    watermark: i64,
    windows: &mut BTreeMap<i64, i64>,
) {
    let window_of = |time: i64| time.div_euclid(WINDOW_MS) * WINDOW_MS;
    let is_closed = |time: i64| window_of(time) + WINDOW_MS - 1 <= watermark;
    let gone = was.difference(is).map(|(time, amounts)| (*time, amounts.map(|amount| -amount)));
    let rows: Vec<Payment> = gone.chain(is.difference(was).copied()).collect();
    let moved = |nth: usize, closed: bool| -> i64 {
        let those = rows.iter().filter(|(time, _)| is_closed(*time) == closed);
        those.map(|(_, amounts)| amounts[nth]).sum()
    };
    if (0..2).any(|nth| moved(nth, false) < 0 && moved(nth, true) > 0) {
        return;
    }
    for (time, [paid, _]) in rows {
        if !is_closed(time) {
            *windows.entry(window_of(time)).or_default() += paid;
        }
    }
}

/// Adds one order's events, from its first to where it was forgotten.
fn settle(
    partition: i32,
    mut events: Vec<(i64, &Event)>,
    is_over: bool,
    (unmatched, fates, sums): (
        &mut BTreeSet<(i32, i64, String)>,
        &mut Fates,
        &mut BTreeMap<String, Sums>,
    ),
) {
    events.sort_by_key(|(_, event)| event.time);
    let mut seen = BTreeSet::new();
    // What says the same of the same money again is a repeat; refunds add up.
    let (told, repeats): (Vec<_>, Vec<_>) = events.into_iter().partition(|(_, event)| {
        event.kind == "refunded" || seen.insert((event.kind, event.money()))
    });
    fates[3] += repeats.len() as i64;
    let Some((_, opener)) = told.iter().find(|(_, event)| event.opens()).copied() else {
        let (word, fate) = if is_over { ("expired", 5) } else { ("waiting", 4) };
        for (offset, _) in told {
            fates[fate] += 1;
            unmatched.insert((partition, offset, word.to_owned()));
        }
        return;
    };
    let currency = currency_of(&told);
    let (refused, own): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|(_, event)| is_refused(event, currency));
    for (offset, _) in refused {
        fates[6] += 1;
        unmatched.insert((partition, offset, "refused".to_owned()));
    }
    // Of what is not refused the earliest of each kind counts.
    let mut seen = BTreeSet::new();
    let (kept, repeats): (Vec<_>, Vec<_>) =
        own.into_iter().partition(|(_, event)| event.kind == "refunded" || seen.insert(event.kind));
    fates[3] += repeats.len() as i64;
    let sum = sums.entry(format!("o{}", opener.order)).or_default();
    sum[0] += opener.amount;
    let paid: i64 =
        kept.iter().filter(|(_, event)| event.pays()).map(|(_, event)| event.amount).sum();
    sum[1] += paid;
    let mut left = paid;
    for (offset, event) in &kept {
        match event.kind {
            "refunded" => {
                let given = event.amount.min(left);
                left -= given;
                sum[2] += given;
                sum[3] += event.amount - given;
                if given < event.amount {
                    fates[2] += 1;
                    unmatched.insert((partition, *offset, "capped".to_owned()));
                } else {
                    fates[1] += 1;
                }
            }
            "cancelled" => {
                sum[4] += 1;
                fates[1] += 1;
            }
            _ if event.pays() || event.time == opener.time => fates[1] += 1,
            // It would open what is open.
            _ => fates[3] += 1,
        }
    }
}
