//! What must come out, computed as slowly and plainly as can be: every window keeps its orders in a
//! list, and the lists are added up at the end. Shares no code with the engine.

use std::collections::BTreeMap;

use crate::measures::{Placed, has_region, rows_of, rows_of_windows};
use crate::orders::{Body, EVENT_TIME_MIN_MS, Entry, Log, Order, Shape};
use crate::queries::{Asks, Kind, Query};

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
    /// Late records: partition, offset, and start and end of each window missed.
    pub late: Vec<(u32, i64, Vec<(i64, i64)>)>,
}

/// An accepted order with what stood before it.
pub(crate) struct Accepted<'a> {
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    pub(crate) order: &'a Order,
    pub(crate) watermark: i64,
}

impl<'a> Accepted<'a> {
    fn placed(&self) -> Placed<'a> {
        Placed { place: (self.partition, self.offset), order: self.order }
    }
}

/// What became of the records of a log.
pub struct Judged<'a> {
    pub(crate) accepted: Vec<Accepted<'a>>,
    /// By partition.
    pub records: Vec<Records>,
    /// Rejected records: partition, offset, and words their reason must hold.
    pub rejected: Vec<(u32, i64, &'static str)>,
    /// Watermark of each partition at the end.
    pub(crate) watermarks: Vec<i64>,
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
            for (_, rows) in windowed(query, log.shape, &windows) {
                expected.rows.extend(rows);
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
    for ((start, end), rows) in windowed(query, log.shape, &windows) {
        let (start, end) = (&start, &end);
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

/// The rows of every window a query shows, by start and end.
fn windowed(
    query: &Query,
    shape: Shape,
    windows: &Windows<'_>,
) -> Vec<((i64, i64), Vec<(String, u64)>)> {
    if let Asks::Windows { size } = query.asks {
        let inside = windows.iter().map(|(window, held)| (*window, held.orders.as_slice()));
        return rows_of_windows((size, shape.zone_ms), inside.collect());
    }
    windows
        .iter()
        .map(|(window, held)| (*window, rows_of(query, *window, &held.orders, held.revision)))
        .collect()
}

/// Start and end as instants, and the orders with those that came after the end.
#[derive(Default)]
struct Held<'a> {
    orders: Vec<Placed<'a>>,
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
        let is_joined = query.asks != Asks::Region { is_left: false } || has_region(record.order);
        let is_wanted =
            !query.is_filtered || record.order.quantity.is_some_and(|quantity| quantity >= 3);
        if !is_joined || !is_wanted {
            counts[2] += 1;
            continue;
        }
        let missed = match query.kind {
            Kind::Session { gap } => {
                let own = (record.order.time, record.order.time + gap);
                let is_late = is_spread && own.1 - 1 <= record.watermark
                    || !join_session(&mut sessions, record, gap);
                if is_late { vec![own] } else { Vec::new() }
            }
            _ => enter(
                &mut windows,
                windows_of(query, log.shape, record.order.time),
                record,
                query.allowed_ms,
            ),
        };
        if !missed.is_empty() {
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

/// Puts a record into the windows that are open to it; the others, by their ends.
fn enter<'a>(
    windows: &mut Windows<'a>,
    should: Vec<(i64, i64)>,
    record: &Accepted<'a>,
    allowed_ms: i64,
) -> Vec<(i64, i64)> {
    let mut missed = Vec::new();
    for (start, end) in should {
        if end != i64::MAX && end - 1 <= record.watermark.saturating_sub(allowed_ms) {
            missed.push((start, end));
            continue;
        }
        let held = windows.entry((start, end)).or_default();
        held.orders.push(record.placed());
        held.revision += u64::from(end != i64::MAX && end - 1 <= record.watermark);
    }
    missed.sort_by_key(|(start, end)| (*end, *start));
    missed
}

/// Every window that holds a time, found by trying all starts near it.
fn windows_of(query: &Query, shape: Shape, time: i64) -> Vec<(i64, i64)> {
    // On the wall clock of the stream's zone.
    let shift = shape.zone_ms - query.offset_ms;
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
    orders: Vec<Placed<'a>>,
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
        orders: vec![record.placed()],
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
