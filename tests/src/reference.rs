//! What must come out, computed as slowly and plainly as can be: every window keeps its orders in a
//! list, and the lists are added up at the end. Shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use crate::orders::{Body, EVENT_TIME_MIN_MS, Entry, Log, Order, Shape, hundredths};
use crate::queries::{Kind, Query};

/// Accounting of a partition's records: read, accepted, duplicate, rejected, shadow, control.
pub type Records = [u64; 6];
/// Accounting of a view in a partition: accepted, counted, filtered, late.
pub type Views = [u64; 4];

/// What one query must give.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Final rows as JSON, sorted, each with the revision of its window.
    pub rows: Vec<(String, u64)>,
    /// By partition.
    pub counts: Vec<Views>,
    /// Late records: partition, offset, windows missed.
    pub late: Vec<(u32, i64, u32)>,
}

/// An accepted order with what stood before it.
struct Accepted<'a> {
    partition: u32,
    offset: i64,
    order: &'a Order,
    watermark: i64,
}

/// What became of the records of a log.
pub struct Judged<'a> {
    accepted: Vec<Accepted<'a>>,
    /// By partition.
    pub records: Vec<Records>,
    /// Rejected records: partition, offset, and words their reason must hold.
    pub rejected: Vec<(u32, i64, &'static str)>,
    /// Watermark of each partition at the end.
    watermarks: Vec<i64>,
}

impl Judged<'_> {
    /// Event time of an accepted record and its partition's watermark before it.
    #[must_use]
    pub fn times(&self, partition: u32, offset: i64) -> Option<(i64, i64)> {
        let is_it =
            |record: &&Accepted<'_>| (record.partition, record.offset) == (partition, offset);
        self.accepted.iter().find(is_it).map(|record| (record.order.time, record.watermark))
    }
}

/// Judges every record of a log.
#[must_use]
pub fn judge(log: &Log) -> Judged<'_> {
    let mut judged = Judged {
        accepted: Vec::new(),
        records: Vec::new(),
        rejected: Vec::new(),
        watermarks: Vec::new(),
    };
    for (partition, entries) in (0..).zip(&log.partitions) {
        admit(partition, entries, log.shape, &mut judged);
    }
    judged
}

/// The accounting of every partition and the results of every query, all windows closed.
#[must_use]
pub fn expected(log: &Log, queries: &[Query]) -> (Vec<Records>, BTreeMap<&'static str, Expected>) {
    let judged = judge(log);
    let results = queries
        .iter()
        .map(|query| {
            let (mut expected, windows) = of_query(query, log, &judged.accepted);
            for (window, held) in &windows {
                rows_of(query, *window, held, &mut expected.rows);
            }
            expected.rows.sort();
            (query.name, expected)
        })
        .collect();
    (judged.records, results)
}

/// The rows a view shows when exactly this log has been read, with their marks and revisions, sorted; and
/// its accounting and late records in the rest of the answer.
#[must_use]
pub fn shown(query: &Query, log: &Log, judged: &Judged<'_>) -> (Vec<String>, Expected) {
    let (expected, windows) = of_query(query, log, &judged.accepted);
    let watermark = judged.watermarks.iter().copied().min().unwrap_or(i64::MIN);
    // Where a session's orders may be in several partitions, one that is behind may still make it longer.
    let waits_ms = match query.kind {
        Kind::Session { gap } if !log.shape.is_keyed && log.partitions.len() > 1 => gap,
        _ => query.allowed_ms,
    };
    let is_closed = |end: i64| end != i64::MAX && end - 1 <= watermark.saturating_sub(waits_ms);
    let newest = judged.accepted.iter().map(|record| record.order.time).max().unwrap_or(i64::MIN);
    let mut all = Vec::new();
    for ((start, end), held) in &windows {
        if let Kind::Cumulate { step, size } = query.kind
            && !is_closed(*end)
        {
            // Steps the watermark has passed are shown while they may be revised. Of the others that hold
            // something, the one shown is the earliest that ends after the newest order.
            let is_passed = |end: i64| end - 1 <= watermark;
            let holds = |end: i64| windows.contains_key(&(*start, end));
            let mut shown = start + step;
            while shown < start + size && (is_passed(shown) || shown <= newest || !holds(shown)) {
                shown += step;
            }
            if *end != shown && !is_passed(*end) {
                continue;
            }
        }
        let mark = if is_closed(*end) { "final" } else { "provisional" };
        let mut rows = Vec::new();
        rows_of(query, (*start, *end), held, &mut rows);
        let with_papers = |(row, revision): (String, u64)| {
            format!("{},\"_mark\":\"{mark}\",\"_revision\":{revision}}}", row.trim_end_matches('}'))
        };
        all.extend(rows.into_iter().map(with_papers));
    }
    all.sort();
    (all, expected)
}

fn admit<'a>(partition: u32, entries: &'a [Entry], shape: Shape, judged: &mut Judged<'a>) {
    let mut watermark = i64::MIN;
    let mut seen: BTreeMap<u32, i64> = BTreeMap::new();
    let mut counts = Records::default();
    for (offset, entry) in (0..).zip(entries) {
        counts[0] += 1;
        let order = match &entry.body {
            Body::Control(time) => {
                counts[5] += 1;
                watermark = watermark.max(*time);
                continue;
            }
            Body::Shadow(_) => {
                counts[4] += 1;
                continue;
            }
            Body::Broken(_) => {
                counts[3] += 1;
                judged.rejected.push((partition, offset, ""));
                continue;
            }
            Body::Order(order) => order,
        };
        let is_forgotten = |time: i64| time + shape.horizon_ms <= watermark;
        let reason = if order.time < EVENT_TIME_MIN_MS {
            Some("before event-time.min")
        } else if order.time - entry.log_time > shape.skew_ms {
            Some("ahead of the log's")
        } else if is_forgotten(order.time) {
            Some("older than the dedup horizon")
        } else {
            None
        };
        if let Some(reason) = reason {
            counts[3] += 1;
            judged.rejected.push((partition, offset, reason));
            continue;
        }
        if seen.get(&order.id).is_some_and(|time| !is_forgotten(*time)) {
            counts[2] += 1;
            continue;
        }
        seen.insert(order.id, order.time);
        counts[1] += 1;
        judged.accepted.push(Accepted { partition, offset, order, watermark });
        watermark = watermark.max(order.time - shape.delay_ms);
    }
    judged.records.push(counts);
    judged.watermarks.push(watermark);
}

/// Start and end as instants, and the orders with those that came after the end.
#[derive(Default)]
struct Held<'a> {
    orders: Vec<&'a Order>,
    revision: u64,
}

/// Windows by start and end, with what they hold.
type Windows<'a> = BTreeMap<(i64, i64), Held<'a>>;

fn of_query<'a>(query: &Query, log: &Log, accepted: &[Accepted<'a>]) -> (Expected, Windows<'a>) {
    let mut expected =
        Expected { counts: vec![Views::default(); log.partitions.len()], ..Expected::default() };
    let mut windows: Windows<'a> = BTreeMap::new();
    let mut sessions: Vec<Session<'a>> = Vec::new();
    // Where a key's orders may be in several partitions, each is late by its own gap.
    let is_spread = !log.shape.is_keyed && log.partitions.len() > 1;
    for record in accepted {
        let counts = &mut expected.counts[record.partition as usize];
        counts[0] += 1;
        if query.is_filtered && record.order.quantity.is_none_or(|quantity| quantity < 3) {
            counts[2] += 1;
            continue;
        }
        let missed = match query.kind {
            Kind::Session { gap }
                if is_spread && record.order.time + gap - 1 <= record.watermark =>
            {
                1
            }
            Kind::Session { gap } => u32::from(!join_session(&mut sessions, record, gap)),
            _ => enter(
                &mut windows,
                windows_of(query, log.shape, record.order.time),
                record,
                query.allowed_ms,
            ),
        };
        if missed > 0 {
            counts[3] += 1;
            expected.late.push((record.partition, record.offset, missed));
        } else {
            counts[1] += 1;
        }
    }
    for session in over_partitions(sessions, log.shape.is_keyed) {
        windows.entry((session.start, session.end)).or_default().orders.extend(session.orders);
    }
    expected.late.sort_unstable();
    (expected, windows)
}

/// Puts a record into the windows that are open to it; how many were not.
fn enter<'a>(
    windows: &mut Windows<'a>,
    should: Vec<(i64, i64)>,
    record: &Accepted<'a>,
    allowed_ms: i64,
) -> u32 {
    let mut missed = 0;
    for (start, end) in should {
        if end != i64::MAX && end - 1 <= record.watermark.saturating_sub(allowed_ms) {
            missed += 1;
            continue;
        }
        let held = windows.entry((start, end)).or_default();
        held.orders.push(record.order);
        held.revision += u64::from(end != i64::MAX && end - 1 <= record.watermark);
    }
    missed
}

/// Every window that holds a time, found by trying all starts near it.
fn windows_of(query: &Query, shape: Shape, time: i64) -> Vec<(i64, i64)> {
    let shift = if query.follows_zone { shape.zone_ms } else { 0 } - query.offset_ms;
    let local = time + shift;
    let mut found = Vec::new();
    match query.kind {
        Kind::Ever => return vec![(i64::MIN, i64::MAX)],
        Kind::Tumble { size } => {
            let start = local - local.rem_euclid(size);
            found.push((start, start + size));
        }
        Kind::Hop { slide, size } => {
            let mut start = local - local.rem_euclid(slide);
            while start + size > local {
                found.push((start, start + size));
                start -= slide;
            }
        }
        Kind::Cumulate { step, size } => {
            let start = local - local.rem_euclid(size);
            let mut end = start + step;
            while end <= start + size {
                if end > local {
                    found.push((start, end));
                }
                end += step;
            }
        }
        Kind::Session { .. } => {}
    }
    found.into_iter().map(|(start, end)| (start - shift, end - shift)).collect()
}

struct Session<'a> {
    shop: Option<u8>,
    start: i64,
    end: i64,
    orders: Vec<&'a Order>,
    partition: u32,
    is_closed: bool,
}

/// Joins the open sessions a record touches, or begins one; false when even that would be closed.
fn join_session<'a>(sessions: &mut Vec<Session<'a>>, record: &Accepted<'a>, gap: i64) -> bool {
    let (start, end) = (record.order.time, record.order.time + gap);
    for session in sessions.iter_mut().filter(|session| session.partition == record.partition) {
        session.is_closed |= session.end - 1 <= record.watermark;
    }
    let mut joined = Session {
        shop: record.order.shop,
        start,
        end,
        orders: vec![record.order],
        partition: record.partition,
        is_closed: false,
    };
    let touches = |session: &Session<'_>| {
        !session.is_closed
            && session.partition == record.partition
            && session.shop == record.order.shop
            && session.start <= end
            && start <= session.end
    };
    let (touched, others): (Vec<_>, Vec<_>) =
        std::mem::take(sessions).into_iter().partition(touches);
    *sessions = others;
    let is_late = touched.is_empty() && end - 1 <= record.watermark;
    for session in touched {
        joined.start = joined.start.min(session.start);
        joined.end = joined.end.max(session.end);
        joined.orders.extend(session.orders);
    }
    if !is_late {
        sessions.push(joined);
    }
    !is_late
}

/// Sessions of one shop in several partitions that touch are one, unless that would make one of two sessions
/// of a partition of which the first was closed before the second began; then the earliest it may join.
fn over_partitions(mut sessions: Vec<Session<'_>>, is_keyed: bool) -> Vec<Session<'_>> {
    if is_keyed {
        return sessions;
    }
    sessions.sort_by_key(|session| (session.start, session.partition, session.end));
    let mut all: Vec<Vec<Session<'_>>> = Vec::new();
    for session in sessions {
        let touches =
            |other: &Session<'_>| other.shop == session.shop && session.start <= other.end;
        let takes = |group: &Vec<Session<'_>>| {
            let own =
                group.iter().any(|other| other.partition == session.partition && touches(other));
            group.iter().any(touches) && !own
        };
        match all.iter().position(takes) {
            Some(at) => all[at].push(session),
            None => all.push(vec![session]),
        }
    }
    all.into_iter()
        .filter_map(|group| {
            let end = group.iter().map(|session| session.end).max();
            let mut parts = group.into_iter();
            let mut whole = parts.next()?;
            whole.end = end.unwrap_or(whole.end);
            parts.for_each(|part| whole.orders.extend(part.orders));
            Some(whole)
        })
        .collect()
}

fn rows_of(
    query: &Query,
    (start, end): (i64, i64),
    held: &Held<'_>,
    rows: &mut Vec<(String, u64)>,
) {
    for (by_shop, by_kind) in query.sets {
        let key_of =
            |order: &&Order| (by_shop.then_some(order.shop), by_kind.then_some(order.kind));
        let keys: BTreeSet<_> = held.orders.iter().map(key_of).collect();
        for key in keys {
            let orders: Vec<&Order> =
                held.orders.iter().filter(|order| key_of(order) == key).copied().collect();
            let mut row = String::from("{");
            if query.kind != Kind::Ever {
                row += &format!("\"window_start\":{start},\"window_end\":{end},");
            }
            let text = |word: &str, key: Option<Option<u8>>| match key.flatten() {
                Some(number) => format!("\"{word}\":\"{word} {number}\","),
                None => format!("\"{word}\":null,"),
            };
            if query.sets != [(false, false)] {
                row += &text("shop", key.0);
            }
            if query.sets.len() > 1 {
                row += &text("kind", key.1);
            }
            row += &measures(&orders);
            rows.push((row, held.revision));
        }
    }
}

fn measures(orders: &[&Order]) -> String {
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
        "\"n\":{},\"amounts\":{count},\"gmv\":{},\"low\":{},\"high\":{},\"mean\":{mean},\"buyers\":{},\"large\":{large},\"pieces\":{pieces}}}",
        orders.len(),
        money((count > 0).then_some(sum)),
        money(amounts.iter().min().copied()),
        money(amounts.iter().max().copied()),
        buyers.len(),
    )
}
