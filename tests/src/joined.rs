//! Two random logs and views that join them, served with crashes, against loops within loops.
//!
//! What becomes of each log's records is judged by [`crate::reference`]; what is here puts them into windows, each
//! side late by itself, and compares every row of one side with every row of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Int64Type};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tidemark_pipeline::ledger::LedgerKind;
use tidemark_pipeline::results::Cut;
use tidemark_pipeline::run::reference::catalog as catalog_of;
use tidemark_pipeline::sql::{Catalog, StateBounds};

use crate::orders::{Body, Entry, Log, MIDNIGHT_MS, Order, Shape, hundredths};
use crate::queries::{Kind, stream_sql};
use crate::reference::{Judged, judge};
use crate::served::{Compared, Serving, read_into};
use crate::system::{System, columns_of};

/// The left and the right stream.
pub const STREAMS: [&str; 2] = ["orders", "visits"];
/// Later than every window of every view.
const END_MS: i64 = MIDNIGHT_MS + 86_400_000;
/// Crashes of one pair of logs, at most.
const CRASHES_MAX: u64 = 6;
const SECOND_MS: i64 = 1_000;

/// What a view does with its sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meeting {
    /// Rows with rows: pairs of ids.
    Pairs { keeps_left: bool },
    /// Rows of the left side with (or without) one of the right.
    Where { is_there: bool },
    /// Rows with rows, then groups by shop over the pairs.
    GroupedPairs,
    /// Groups by shop of both sides, whichever has one.
    Groups { is_full: bool },
    /// Rows of the left side with the group of their shop on the right.
    RowsWithGroups,
}

/// One view over both streams.
#[derive(Debug, Clone, Copy)]
pub struct JoinView {
    /// Its name.
    pub name: &'static str,
    kind: Kind,
    meeting: Meeting,
    allowed_ms: i64,
    /// Only what has three pieces and more, on the right side.
    is_filtered: bool,
}

/// The views, in the order of their names.
#[must_use]
pub fn views() -> Vec<JoinView> {
    let tumble = Kind::Tumble { size: 4 * SECOND_MS };
    let hop = Kind::Hop { slide: 2 * SECOND_MS, size: 4 * SECOND_MS };
    let cumulate = Kind::Cumulate { step: 2 * SECOND_MS, size: 8 * SECOND_MS };
    let view = |name, kind, meeting, allowed_s: i64, is_filtered| JoinView {
        name,
        kind,
        meeting,
        allowed_ms: allowed_s * SECOND_MS,
        is_filtered,
    };
    let (inner, left) = (Meeting::Pairs { keeps_left: false }, Meeting::Pairs { keeps_left: true });
    let (full, both) = (Meeting::Groups { is_full: true }, Meeting::Groups { is_full: false });
    vec![
        view("anti", tumble, Meeting::Where { is_there: false }, 0, true),
        view("cumulated", cumulate, both, 0, false),
        view("cumulated_full", cumulate, full, 3, true),
        view("cumulated_pairs", cumulate, Meeting::GroupedPairs, 0, false),
        view("full", tumble, full, 0, true),
        view("full_hop", hop, full, 5, false),
        view("mixed", tumble, Meeting::RowsWithGroups, 2, true),
        view("pairs", tumble, inner, 0, false),
        view("pairs_grouped", hop, Meeting::GroupedPairs, 0, true),
        view("pairs_left", tumble, left, 3, false),
        view("semi", hop, Meeting::Where { is_there: true }, 0, false),
    ]
}

impl JoinView {
    fn sql(&self) -> String {
        let windowed = |stream: &str| {
            let of = format!("TABLE {stream}, DESCRIPTOR(event_time)");
            let seconds = |ms: i64| format!("INTERVAL '{}' SECOND", ms / SECOND_MS);
            match self.kind {
                Kind::Hop { slide, size } => {
                    format!("TABLE(HOP({of}, {}, {}))", seconds(slide), seconds(size))
                }
                Kind::Cumulate { step, size } => {
                    format!("TABLE(CUMULATE({of}, {}, {}))", seconds(step), seconds(size))
                }
                Kind::Tumble { size } => format!("TABLE(TUMBLE({of}, {}))", seconds(size)),
                Kind::Session { .. } | Kind::Ever => of,
            }
        };
        let condition = if self.is_filtered { " WHERE quantity >= 3" } else { "" };
        let rows = |stream: &str, only: &str| format!("(SELECT * FROM {}{only})", windowed(stream));
        let groups = |stream: &str, only: &str| {
            format!(
                "(SELECT window_start, window_end, shop, COUNT(*) AS n, SUM(amount) AS gmv FROM {}{only} \
                 GROUP BY window_start, window_end, shop)",
                windowed(stream)
            )
        };
        let on =
            "a.window_start = b.window_start AND a.window_end = b.window_end AND a.shop = b.shop";
        let (left, right) = (rows("orders", ""), rows("visits", condition));
        let (left_groups, right_groups) = (groups("orders", ""), groups("visits", condition));
        let bounds = "a.window_start, a.window_end";
        let query = match self.meeting {
            Meeting::Pairs { keeps_left } => {
                let join = if keeps_left { "LEFT JOIN" } else { "JOIN" };
                format!(
                    "SELECT {bounds}, a.id, b.id AS other FROM {left} AS a {join} {right} AS b ON {on}"
                )
            }
            Meeting::Where { is_there } => {
                let join = if is_there { "LEFT SEMI JOIN" } else { "LEFT ANTI JOIN" };
                format!("SELECT {bounds}, a.id FROM {left} AS a {join} {right} AS b ON {on}")
            }
            Meeting::GroupedPairs => format!(
                "SELECT {bounds}, a.shop, COUNT(*) AS n, SUM(a.amount) AS gmv FROM {left} AS a JOIN {right} AS b ON {on} \
                 GROUP BY {bounds}, a.shop"
            ),
            Meeting::Groups { is_full } => {
                let join = if is_full { "FULL JOIN" } else { "JOIN" };
                let first = |name: &str| format!("COALESCE(a.{name}, b.{name}) AS {name}");
                format!(
                    "SELECT {}, {}, {}, a.n, a.gmv, b.n AS others FROM {left_groups} AS a {join} {right_groups} AS b ON {on}",
                    first("window_start"),
                    first("window_end"),
                    first("shop")
                )
            }
            Meeting::RowsWithGroups => format!(
                "SELECT {bounds}, a.id, b.n, b.gmv FROM {left} AS a LEFT JOIN {right_groups} AS b ON {on}"
            ),
        };
        format!(
            "CREATE MATERIALIZED VIEW {} WITH ('allowed-lateness' = '{} ms', 'result.retention' = '40000 d') AS\n{query};\n",
            self.name, self.allowed_ms
        )
    }

    /// Every window that holds a time.
    fn windows_of(&self, time: i64) -> Vec<(i64, i64)> {
        let (first, last, step, size) = match self.kind {
            Kind::Tumble { size } => (time.div_euclid(size) * size, time, size, size),
            Kind::Hop { slide, size } => {
                ((time - size).div_euclid(slide) * slide + slide, time, slide, size)
            }
            Kind::Cumulate { step, size } => {
                let start = time.div_euclid(size) * size;
                let ends = (1..=size / step).map(|nth| start + nth * step);
                return ends.filter(|end| *end > time).map(|end| (start, end)).collect();
            }
            Kind::Session { .. } | Kind::Ever => return Vec::new(),
        };
        let starts = (0..).map(|nth| first + nth * step).take_while(|start| *start <= last);
        starts.map(|start| (start, start + size)).collect()
    }
}

/// Both logs, with the same partitions.
pub type Pair = [Log; 2];

/// Two random logs of the same shops and the same partitions.
pub fn random_pair(dice: &mut ChaCha8Rng) -> Pair {
    let shape = Shape {
        unit_ms: SECOND_MS,
        zone_ms: 0,
        delay_ms: dice.random_range(0..3) * SECOND_MS,
        horizon_ms: 60 * SECOND_MS,
        skew_ms: 60 * SECOND_MS,
        is_keyed: true,
    };
    let partitions = dice.random_range(1..=3_usize);
    let span = dice.random_range(4..40) * SECOND_MS;
    [0, 1].map(|_| random_log(dice, (shape, partitions), span))
}

fn random_log(dice: &mut ChaCha8Rng, (shape, partitions): (Shape, usize), span: i64) -> Log {
    let mut log = Log { shape, partitions: vec![Vec::new(); partitions] };
    let count = dice.random_range(0..50);
    let jitter = dice.random_range(1..9) * SECOND_MS;
    for id in 0..count {
        let base = MIDNIGHT_MS + span * i64::from(id) / i64::from(count.max(1));
        let shop = dice.random_bool(0.9).then(|| dice.random_range(0..3_u8));
        let order = Order {
            id: if dice.random_bool(0.05) { id / 2 } else { id },
            shop,
            kind: None,
            buyer: None,
            amount: dice.random_bool(0.9).then(|| dice.random_range(-500..100_000)),
            quantity: dice.random_bool(0.9).then(|| dice.random_range(-3..12)),
            weight: None,
            time: base - dice.random_range(0..jitter),
        };
        let body = match dice.random_range(0..30) {
            0 => Body::Broken(b"{\"id\":".to_vec()),
            1 => Body::Shadow(order),
            2 => Body::Control(order.time),
            _ => Body::Order(order),
        };
        let partition = shop.map_or(0, |shop| usize::from(shop) % partitions);
        log.partitions[partition].push(Entry { body, log_time: base });
    }
    log
}

/// The catalogue with both streams and all views.
///
/// # Errors
/// When a statement is refused.
pub fn catalog(shape: Shape) -> Result<Catalog> {
    let folder = tempfile::tempdir()?;
    let write = |path: String, text: String| -> Result<()> {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        Ok(std::fs::write(path, text)?)
    };
    for stream in STREAMS {
        let text =
            stream_sql(shape).replace("CREATE TABLE orders", &format!("CREATE TABLE {stream}"));
        write(format!("streams/{stream}.sql"), text)?;
    }
    for view in views() {
        write(format!("views/{}.sql", view.name), view.sql())?;
    }
    catalog_of(folder.path(), &BTreeMap::new(), StateBounds::default()).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!(all.join("\n"))
    })
}

/// Serves a pair of logs and compares every view with the loops.
///
/// # Errors
/// When anything differs.
pub fn serve(
    pair: &Pair,
    catalogue: Arc<Catalog>,
    serving: Serving,
    dice: &mut ChaCha8Rng,
) -> Result<Compared> {
    let partitions = pair[0].partitions.len();
    let mut system = System::open(catalogue, u32::try_from(partitions)?)?;
    let mut next = [vec![0; partitions], vec![0; partitions]];
    let mut compared = Compared::default();
    loop {
        let waiting: Vec<(usize, usize)> = (0..2)
            .flat_map(|side| (0..partitions).map(move |partition| (side, partition)))
            .filter(|(side, at)| next[*side][*at] < pair[*side].partitions[*at].len())
            .collect();
        if waiting.is_empty() {
            break;
        }
        let (side, partition) = waiting[dice.random_range(0..waiting.len())];
        let entries = &pair[side].partitions[partition];
        let from = next[side][partition];
        let to = (from + dice.random_range(1..=serving.batch_records_max)).min(entries.len());
        read_into(&mut system, STREAMS[side], (partition, from), &entries[from..to])?;
        next[side][partition] = to;
        compared.records += u64::try_from(to - from)?;
        if dice.random_bool(serving.publish) {
            let cut = publish(&mut system)?;
            if dice.random_bool(serving.compare) {
                *compared.rows.entry("a join of two streams").or_default() +=
                    compare(&cut, &until(pair, &next), &system)?;
                compared.cuts += 1;
            }
            if dice.random_bool(serving.save) {
                system.save()?;
            }
        }
        if compared.crashes < CRASHES_MAX && dice.random_bool(serving.crash) {
            system.crash()?;
            compared.crashes += 1;
            for (stream, next) in STREAMS.iter().zip(&mut next) {
                for (partition, next) in (0..).zip(next) {
                    *next = usize::try_from(system.next_offset(stream, partition))?;
                }
            }
        }
    }
    let cut = publish(&mut system)?;
    *compared.rows.entry("a join of two streams").or_default() +=
        compare(&cut, pair, &system).context("at the end")?;
    let closed = closed(pair);
    for (stream, log) in STREAMS.iter().zip(&closed) {
        for (partition, entries) in log.partitions.iter().enumerate() {
            let at = entries.len() - 1;
            read_into(&mut system, stream, (partition, at), &entries[at..])?;
        }
    }
    let cut = publish(&mut system)?;
    *compared.rows.entry("a join of two streams").or_default() +=
        compare(&cut, &closed, &system).context("after closing")?;
    compared.cuts += 2;
    Ok(compared)
}

fn publish(system: &mut System) -> Result<Arc<Cut>> {
    let cut = system.publish()?;
    ensure!(system.failures().is_empty(), "{:?}", system.failures());
    Ok(cut)
}

fn until(pair: &Pair, next: &[Vec<usize>; 2]) -> Pair {
    [0, 1].map(|side| {
        let log = &pair[side];
        let read = log.partitions.iter().zip(&next[side]);
        Log { shape: log.shape, partitions: read.map(|(all, to)| all[..*to].to_vec()).collect() }
    })
}

fn closed(pair: &Pair) -> Pair {
    let mut closed = pair.clone();
    for entries in closed.iter_mut().flat_map(|log| &mut log.partitions) {
        entries.push(Entry { body: Body::Control(END_MS), log_time: END_MS });
    }
    closed
}

/// What one side of a view has.
#[derive(Default)]
struct Side<'a> {
    windows: BTreeMap<(i64, i64), Vec<&'a Order>>,
    revisions: BTreeMap<(i64, i64), u64>,
    /// Accepted, counted, filtered, late, by partition.
    counts: Vec<[i64; 4]>,
    /// Partition and offset of late records.
    late: Vec<(u32, i64)>,
}

fn side<'a>(view: &JoinView, judged: &Judged<'a>, is_filtered: bool) -> Side<'a> {
    let mut side = Side { counts: vec![[0; 4]; judged.watermarks.len()], ..Side::default() };
    for record in &judged.accepted {
        let counts = &mut side.counts[record.partition as usize];
        counts[0] += 1;
        if is_filtered && record.order.quantity.is_none_or(|pieces| pieces < 3) {
            counts[2] += 1;
            continue;
        }
        let mut is_late = false;
        for (start, end) in view.windows_of(record.order.time) {
            if end - 1 <= record.watermark.saturating_sub(view.allowed_ms) {
                is_late = true;
                continue;
            }
            side.windows.entry((start, end)).or_default().push(record.order);
            if end - 1 <= record.watermark {
                *side.revisions.entry((start, end)).or_default() += 1;
            }
        }
        counts[if is_late { 3 } else { 1 }] += 1;
        if is_late {
            side.late.push((record.partition, record.offset));
        }
    }
    side
}

/// Compares what is shown with the loops over what has been read; how many rows there were.
fn compare(cut: &Cut, read: &Pair, system: &System) -> Result<u64> {
    let judged = [judge(&read[0]), judge(&read[1])];
    let mut compared = 0;
    let mut want_late = BTreeSet::new();
    for view in views() {
        // Where the right side's rows are kept, its condition stands above them.
        let keeps_groups = matches!(view.meeting, Meeting::Groups { .. } | Meeting::RowsWithGroups);
        let sides = [
            side(&view, &judged[0], false),
            side(&view, &judged[1], view.is_filtered && keeps_groups),
        ];
        let want = rows(&view, &sides, &judged);
        let shown = cut.views.get(view.name).with_context(|| format!("no view {}", view.name))?;
        let mut got: Vec<String> = shown.rows(None).map(|row| columns_of(&row.json)).collect();
        got.sort();
        let missing: Vec<_> = want.iter().filter(|row| !got.contains(row)).take(3).collect();
        let extra: Vec<_> = got.iter().filter(|row| !want.contains(row)).take(3).collect();
        ensure!(
            want == got,
            "{}: {} rows for {}\nmissing {missing:#?}\nextra {extra:#?}",
            view.name,
            got.len(),
            want.len()
        );
        compared += u64::try_from(got.len())?;
        for (stream, side) in STREAMS.iter().zip(&sides) {
            let counted = counts(cut, view.name, stream)?;
            ensure!(
                counted == side.counts,
                "{} of {stream}: counts\nwant {:?}\ngot  {counted:?}",
                view.name,
                side.counts
            );
            let name = |(partition, offset): &(u32, i64)| {
                (view.name.to_owned(), (*stream).to_owned(), i64::from(*partition), *offset)
            };
            want_late.extend(side.late.iter().map(name));
        }
    }
    let got_late = late(system)?;
    ensure!(got_late == want_late, "late records\nwant {want_late:?}\ngot  {got_late:?}");
    Ok(compared)
}

fn rows(view: &JoinView, sides: &[Side<'_>; 2], judged: &[Judged<'_>; 2]) -> Vec<String> {
    let marks = judged.iter().flat_map(|judged| judged.watermarks.iter().copied());
    let watermark = marks.min().unwrap_or(i64::MIN);
    let accepted = judged.iter().flat_map(|judged| &judged.accepted);
    let newest = accepted.map(|record| record.order.time).max().unwrap_or(i64::MIN);
    let windows: BTreeSet<(i64, i64)> =
        sides.iter().flat_map(|side| side.windows.keys().copied()).collect();
    let is_closed = |end: i64| end - 1 <= watermark.saturating_sub(view.allowed_ms);
    let is_passed = |end: i64| end - 1 <= watermark;
    let mut all = Vec::new();
    for (start, end) in &windows {
        if let Kind::Cumulate { step, size } = view.kind
            && !is_passed(*end)
        {
            let mut shown = start + step;
            let holds = |end: i64| windows.contains(&(*start, end));
            while shown < start + size && (is_passed(shown) || shown <= newest || !holds(shown)) {
                shown += step;
            }
            if *end != shown {
                continue;
            }
        }
        let window = (*start, *end);
        let of = |side: &Side<'_>| side.revisions.get(&window).copied().unwrap_or(0);
        let mark = if is_closed(*end) { "final" } else { "provisional" };
        let revision = sides.iter().map(of).sum::<u64>();
        let none = Vec::new();
        let held = sides.each_ref().map(|side| side.windows.get(&window).unwrap_or(&none));
        all.extend(met(view, held[0], held[1]).into_iter().map(|row| {
            format!(
                "{{\"window_start\":{start},\"window_end\":{end},{row},\"_mark\":\"{mark}\",\"_revision\":{revision}}}"
            )
        }));
    }
    all.sort();
    all
}

/// The rows of one window, each compared with each.
fn met(view: &JoinView, left: &[&Order], right: &[&Order]) -> Vec<String> {
    let passes =
        |order: &&Order| !view.is_filtered || order.quantity.is_some_and(|pieces| pieces >= 3);
    let right: Vec<&Order> = right.iter().copied().filter(passes).collect();
    // NULL equals nothing.
    let meets = |one: &Order, other: &Order| one.shop.is_some() && one.shop == other.shop;
    let id = |order: &Order| format!("\"id\":\"o{}\"", order.id);
    let mut rows = Vec::new();
    match view.meeting {
        Meeting::Pairs { keeps_left } => {
            for one in left {
                let others: Vec<&&Order> = right.iter().filter(|other| meets(one, other)).collect();
                for other in &others {
                    rows.push(format!("{},\"other\":\"o{}\"", id(one), other.id));
                }
                if others.is_empty() && keeps_left {
                    rows.push(format!("{},\"other\":null", id(one)));
                }
            }
        }
        Meeting::Where { is_there } => {
            let is_met = |one: &&&Order| right.iter().any(|other| meets(one, other)) == is_there;
            rows.extend(left.iter().filter(is_met).map(|one| id(one)));
        }
        Meeting::GroupedPairs => {
            let mut groups: BTreeMap<Option<u8>, Vec<&Order>> = BTreeMap::new();
            for one in left {
                for _ in right.iter().filter(|other| meets(one, other)) {
                    groups.entry(one.shop).or_default().push(one);
                }
            }
            for (shop, pairs) in groups {
                rows.push(format!("{},\"n\":{},\"gmv\":{}", named(shop), pairs.len(), sum(&pairs)));
            }
        }
        Meeting::Groups { is_full } => {
            let (of_left, of_right) = (by_shop(left), by_shop(&right));
            let pair =
                |shop: Option<u8>, one: Option<&Vec<&Order>>, other: Option<&Vec<&Order>>| {
                    let count = |orders: Option<&Vec<&Order>>| {
                        orders.map_or("null".to_owned(), |orders| orders.len().to_string())
                    };
                    let gmv = one.map_or("null".to_owned(), |orders| sum(orders));
                    format!(
                        "{},\"n\":{},\"gmv\":{gmv},\"others\":{}",
                        named(shop),
                        count(one),
                        count(other)
                    )
                };
            for (shop, orders) in &of_left {
                match of_right.get(shop).filter(|_| shop.is_some()) {
                    Some(others) => rows.push(pair(*shop, Some(orders), Some(others))),
                    None if is_full => rows.push(pair(*shop, Some(orders), None)),
                    None => {}
                }
            }
            for (shop, others) in of_right.iter().filter(|_| is_full) {
                if shop.is_none() || !of_left.contains_key(shop) {
                    rows.push(pair(*shop, None, Some(others)));
                }
            }
        }
        Meeting::RowsWithGroups => {
            let of_right = by_shop(&right);
            for one in left {
                let group = of_right.get(&one.shop).filter(|_| one.shop.is_some());
                let (n, gmv) = match group {
                    Some(others) => (others.len().to_string(), sum(others)),
                    None => ("null".to_owned(), "null".to_owned()),
                };
                rows.push(format!("{},\"n\":{n},\"gmv\":{gmv}", id(one)));
            }
        }
    }
    rows
}

fn by_shop<'a>(orders: &[&'a Order]) -> BTreeMap<Option<u8>, Vec<&'a Order>> {
    let mut groups: BTreeMap<Option<u8>, Vec<&Order>> = BTreeMap::new();
    orders.iter().for_each(|order| groups.entry(order.shop).or_default().push(order));
    groups
}

fn named(shop: Option<u8>) -> String {
    shop.map_or("\"shop\":null".to_owned(), |shop| format!("\"shop\":\"shop {shop}\""))
}

fn sum(orders: &[&Order]) -> String {
    let amounts: Vec<i64> = orders.iter().filter_map(|order| order.amount).collect();
    if amounts.is_empty() {
        return "null".to_owned();
    }
    format!("\"{}\"", hundredths(amounts.iter().sum()))
}

/// The counts of a view in a stream, by partition.
fn counts(cut: &Cut, view: &str, stream: &str) -> Result<Vec<[i64; 4]>> {
    let table = cut.tables.get("views_accounted").context("no accounting")?;
    let column =
        |name: &str| table.column_by_name(name).with_context(|| format!("no column {name}"));
    let (views, streams) =
        (column("view")?.as_string::<i32>(), column("stream")?.as_string::<i32>());
    let partitions = column("partition")?.as_primitive::<Int32Type>();
    let mut found = BTreeMap::new();
    for row in 0..table.num_rows() {
        if views.value(row) == view && streams.value(row) == stream {
            let mut of_row = [0; 4];
            for (count, name) in of_row.iter_mut().zip(["accepted", "counted", "filtered", "late"])
            {
                *count = column(name)?.as_primitive::<Int64Type>().value(row);
            }
            found.insert(partitions.value(row), of_row);
        }
    }
    Ok(found.into_values().collect())
}

/// The late ledger: view, stream, partition, offset.
fn late(system: &System) -> Result<BTreeSet<(String, String, i64, i64)>> {
    let table = system.ledger(LedgerKind::Late)?;
    let column =
        |name: &str| table.column_by_name(name).with_context(|| format!("no column {name}"));
    let (views, streams) =
        (column("view")?.as_string::<i32>(), column("stream")?.as_string::<i32>());
    let partitions = column("partition")?.as_primitive::<Int32Type>();
    let offsets = column("offset")?.as_primitive::<Int64Type>();
    let name = |row: usize| {
        let (view, stream) = (views.value(row).to_owned(), streams.value(row).to_owned());
        (view, stream, i64::from(partitions.value(row)), offsets.value(row))
    };
    Ok((0..table.num_rows()).map(name).collect())
}
