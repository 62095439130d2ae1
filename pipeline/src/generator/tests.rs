//! The generated day: its curve, its shares, its money, and that it is the same every time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;
use crate::model::record::{SHADOW_HEADER, WATERMARK_HEADER};
use crate::source::Source as _;
use crate::source::local_log::{LocalLog, Retention};
use crate::source::pace::{Speed, SystemClock};
use crate::source::player::Stage;
use crate::source::progress::Progress;

const DAY_START_MS: i64 = 1_605_024_000_000;

fn options(orders_a_day: u64) -> GeneratorOptions {
    GeneratorOptions { orders_a_day, ..GeneratorOptions::default() }
}

/// Every record as arrival, event time, whether shadow, and its bytes.
fn records(options: GeneratorOptions) -> Vec<(i64, i64, bool, Vec<u8>)> {
    let mut generator = Generator::new(options).unwrap();
    let mut records = Vec::new();
    while let Some(Generated { event_ms, record, .. }) = generator.next_record() {
        let is_shadow = record.headers.iter().any(|(name, _)| *name == SHADOW_HEADER);
        records.push((record.timestamp_ms, event_ms, is_shadow, record.payload.to_vec()));
    }
    records
}

fn parsed(records: &[(i64, i64, bool, Vec<u8>)]) -> Vec<Value> {
    records.iter().map(|record| serde_json::from_slice(&record.3).unwrap()).collect()
}

fn of_type<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event_type"] == name).collect()
}

fn clean() -> Shares {
    Shares { duplicate: 0.0, late: 0.0, malformed: 0.0, oddities: 0.0, ..Shares::default() }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let first = records(options(2_000));
    assert_eq!(first, records(options(2_000)));
    let other = records(GeneratorOptions { seed: 12, ..options(2_000) });
    let times = |records: &[(i64, i64, bool, Vec<u8>)]| -> Vec<i64> {
        records.iter().map(|record| record.1).collect()
    };
    assert_ne!(times(&first), times(&other));
}

#[test]
fn records_come_in_the_order_of_arrival_and_none_before_it_happened() {
    let records = records(options(20_000));
    assert!(records.is_sorted_by_key(|record| record.0));
    assert!(records.iter().all(|(arrival_ms, event_ms, ..)| arrival_ms > event_ms));
    let end_ms = DAY_START_MS + 86_400_000;
    assert!(records.iter().all(|(_, event_ms, ..)| *event_ms < end_ms));
}

#[test]
fn orders_are_as_many_as_asked_for_and_follow_the_curve() {
    let records = records(GeneratorOptions { shares: clean(), ..options(200_000) });
    let events = parsed(&records);
    let (placed, deposits) = (of_type(&events, "placed"), of_type(&events, "deposit"));
    assert_eq!((placed.len(), deposits.len()), (184_000, 16_000));
    let share = |until: &str| {
        let before = |event: &&&Value| event["event_time"].as_str().unwrap() < until;
        placed.iter().filter(before).count() as f64 / placed.len() as f64
    };
    let curve = curve::DayCurve::new(curve::PEAK_OVER_MEAN);
    for (clock, second) in [("00:01", 60.0), ("01:04", 3_840.0), ("16:31", 59_460.0)] {
        let (found, expected) = (share(&format!("2020-11-11T{clock}")), curve.share_before(second));
        assert!((found - expected).abs() < 0.005, "{clock}: {found} for {expected}");
    }
    let mut seconds: BTreeMap<&str, u32> = BTreeMap::new();
    for event in &placed {
        *seconds.entry(&event["event_time"].as_str().unwrap()[..19]).or_default() += 1;
    }
    // Around the peak second the mean rate of 21 s is 36 times that of the day, within noise.
    let near = |second: &&str| ("2020-11-11T00:00:16".."2020-11-11T00:00:37").contains(second);
    let peak: u32 = seconds.iter().filter(|(second, _)| near(second)).map(|one| one.1).sum();
    let ratio = f64::from(peak) / 21.0 / (placed.len() as f64 / 86_400.0);
    assert!((33.0..38.0).contains(&ratio), "{ratio}");
}

#[test]
fn the_shares_are_those_asked_for() {
    let shares = Shares { malformed: 0.01, shadow: 0.2, ..Shares::default() };
    let records = records(GeneratorOptions { shares, ..options(100_000) });
    let all = records.len() as f64;
    let near = |found: usize, of: f64, share: f64| {
        let found = found as f64 / of;
        assert!((found / share - 1.0).abs() < 0.15, "{found} for {share}");
    };
    near(records.iter().filter(|record| record.2).count(), all, 0.2);
    // The late ones, and those of the resent ones that were sent again after six seconds.
    let late = 0.003 + 0.005 * (-5.72_f64 / 4.0).exp();
    near(records.iter().filter(|record| record.0 - record.1 >= 6_000).count(), all, late);
    let mut seen: HashMap<&[u8], usize> = HashMap::new();
    records.iter().for_each(|record| *seen.entry(&record.3).or_default() += 1);
    near(seen.values().filter(|count| **count == 2).count(), all, 0.005);
    let good: Vec<Value> =
        records.iter().filter_map(|record| serde_json::from_slice(&record.3).ok()).collect();
    let torn = records.len() - good.len();
    near(torn, all, 0.01 / 4.0);
    let placed = of_type(&good, "placed").len() as f64;
    near(of_type(&good, "paid").len(), placed, 0.9);
    near(of_type(&good, "cancelled").len(), placed, 0.06);
    let bare = |event: &&&Value| event.get("amount").is_none();
    near(of_type(&good, "cancelled").iter().filter(bare).count(), placed, 0.03);
    near(of_type(&good, "balance").len(), of_type(&good, "deposit").len() as f64, 0.93);
}

#[test]
fn money_is_to_the_fen_and_an_orders_events_agree() {
    let events = parsed(&records(GeneratorOptions { shares: clean(), ..options(50_000) }));
    let fen = |event: &Value| -> i64 {
        let text = event["amount"].to_string();
        let (yuan, fen) = text.split_once('.').unwrap();
        assert_eq!(fen.len(), 2, "{text}");
        yuan.parse::<i64>().unwrap() * 100 + fen.parse::<i64>().unwrap()
    };
    let placed: HashMap<&str, i64> = of_type(&events, "placed")
        .iter()
        .map(|event| (event["order_id"].as_str().unwrap(), fen(event)))
        .collect();
    let ends: HashSet<i64> = placed.values().map(|amount| amount % 100).collect();
    assert_eq!(ends.len(), 100, "every ending in fen comes up");
    let mean = placed.values().sum::<i64>() as f64 / placed.len() as f64 / 100.0;
    assert!((200.0..216.0).contains(&mean), "{mean}");
    for event in of_type(&events, "paid") {
        assert_eq!(placed[event["order_id"].as_str().unwrap()], fen(event));
    }
    for event in of_type(&events, "refunded") {
        assert!(fen(event) > 0);
        let whole = placed.get(event["order_id"].as_str().unwrap());
        assert!(whole.is_none_or(|whole| fen(event) <= *whole), "{event}");
    }
    let provinces: HashSet<&str> =
        events.iter().filter_map(|event| event["province"].as_str()).collect();
    // All of them, and what stands for the province of a buyer abroad.
    assert_eq!(provinces.len(), 35);
    let brands: HashSet<&str> = events.iter().filter_map(|e| e["brand"].as_str()).collect();
    assert!(brands.len() > 200, "{}", brands.len());
    let ids: HashSet<&str> = events.iter().map(|e| e["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len());
}

#[test]
fn a_few_orders_go_astray_and_in_every_way() {
    let shares = Shares { oddities: 0.05, ..clean() };
    let events = parsed(&records(GeneratorOptions { shares, ..options(20_000) }));
    let fen = |event: &Value| (event["amount"].as_f64().unwrap_or(0.0) * 100.0).round();
    let mut by_order: HashMap<&str, Vec<&Value>> = HashMap::new();
    for event in &events {
        by_order.entry(event["order_id"].as_str().unwrap()).or_default().push(event);
    }
    let mut ways = [0; 4];
    for events in by_order.values() {
        let place = |kind: &str| events.iter().position(|event| event["event_type"] == kind);
        let sum = |kind: &str| -> f64 {
            events.iter().filter(|event| event["event_type"] == kind).map(|event| fen(event)).sum()
        };
        let before = |first: &str, second: &str| {
            place(first).is_some_and(|at| place(second).is_some_and(|of| at < of))
        };
        ways[0] += u32::from(
            events.iter().filter(|event| event["event_type"] == "cancelled").count() == 2,
        );
        ways[1] += u32::from(sum("refunded") > sum("paid") + sum("deposit") + sum("balance"));
        ways[2] += u32::from(before("refunded", "paid"));
        ways[3] += u32::from(before("paid", "placed"));
    }
    assert!(ways.iter().all(|count| *count > 20), "{ways:?}");
}

#[test]
fn every_source_numbers_its_events_without_a_gap() {
    let events = parsed(&records(GeneratorOptions { shares: clean(), ..options(20_000) }));
    let mut seqs: HashMap<&str, Vec<u64>> = HashMap::new();
    for event in &events {
        let source = event["source"].as_str().unwrap();
        seqs.entry(source).or_default().push(event["source_seq"].as_u64().unwrap());
    }
    assert!(seqs.len() > 200, "{}", seqs.len());
    for (source, mut numbers) in seqs {
        numbers.sort_unstable();
        assert!((1..).zip(&numbers).all(|(wanted, found)| wanted == *found), "{source}");
    }
}

#[test]
fn one_record_looks_as_the_stream_declares_it() {
    let shares = Shares { presale: 0.0, ..clean() };
    let records = records(GeneratorOptions { shares, ..options(1) });
    let event: Value = serde_json::from_slice(&records[0].3).unwrap();
    let fields: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "event_id",
        "order_id",
        "event_type",
        "event_time",
        "buyer_id",
        "province",
        "city",
        "category",
        "brand",
        "channel",
        "platform",
        "amount",
        "currency",
        "source",
        "source_seq",
        "seller_city",
    ];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    let time = chrono::DateTime::parse_from_rfc3339(event["event_time"].as_str().unwrap());
    assert_eq!(time.unwrap().timestamp_millis(), records[0].1);
    assert!(event["event_time"].as_str().unwrap().ends_with("+08:00"));
    assert!(event["order_id"].as_str().unwrap().starts_with("201111"));
}

#[test]
fn a_part_of_a_day_and_several_days_keep_to_their_times() {
    let evening = GeneratorOptions { from_second: 72_000, days: Some(2), ..options(10_000) };
    let records = records(GeneratorOptions { to_second: 60, ..evening });
    let (first, last) = (DAY_START_MS + 72_000_000, DAY_START_MS + 86_460_000);
    assert!(records.iter().all(|record| (first..last).contains(&record.1)));
    let midnight = DAY_START_MS + 86_400_000;
    let second_day = records.iter().filter(|record| record.1 >= midnight).count();
    assert!(second_day > 200, "{second_day}");
    let events = parsed(&records);
    assert!(!of_type(&events, "deposit").is_empty() && !of_type(&events, "balance").is_empty());
}

#[test]
fn an_endless_generator_goes_on_into_the_next_days() {
    let mut generator = Generator::new(GeneratorOptions { days: None, ..options(100) }).unwrap();
    assert_eq!((generator.end_ms(), generator.records_expected()), (None, None));
    let mut newest = 0;
    for _ in 0..2_000 {
        newest = newest.max(generator.next_record().unwrap().event_ms);
    }
    assert!(newest > DAY_START_MS + 5 * 86_400_000, "{newest}");
}

#[test]
fn playing_closes_every_partition_and_moves_silent_ones_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = LocalLog::open(dir.path()).unwrap();
    log.create_stream("orders", 16, Retention::default()).unwrap();
    let mut writer = log.writer("orders").unwrap();
    let mut generator = Generator::new(options(300)).unwrap();
    let stage = Stage {
        writer: &mut writer,
        clock: &SystemClock::start(),
        progress: &Progress::hidden(),
        stop: &AtomicBool::new(false),
    };
    let summary = play(&mut generator, Speed::Unpaced, stage).unwrap();
    assert!(summary.ended && summary.records > 500, "{summary:?}");
    let (mut orders, mut source) = (0, log.source("orders").unwrap());
    for partition in 0..16 {
        let mut watermarks = Vec::new();
        let mut reader = source.open(partition, None).unwrap();
        let mut visit = |record: crate::model::Record<'_>| match record.header(WATERMARK_HEADER) {
            Some(text) => watermarks.push(String::from_utf8_lossy(text).parse::<i64>().unwrap()),
            None => orders += 1,
        };
        while reader.read(8_192, Duration::ZERO, &mut visit).unwrap().records > 0 {}
        assert!(watermarks.len() > 100 && watermarks.is_sorted(), "{watermarks:?}");
        assert_eq!(watermarks.last(), Some(&(DAY_START_MS + 86_400_000)));
    }
    assert_eq!(orders, summary.records);
}

#[test]
fn where_shadow_orders_are_played_their_space_is_closed_apart_from_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let log = LocalLog::open(dir.path()).unwrap();
    log.create_stream("orders", 2, Retention::default()).unwrap();
    let mut writer = log.writer("orders").unwrap();
    let shares = Shares { shadow: 0.3, ..Shares::default() };
    let mut generator = Generator::new(GeneratorOptions { shares, ..options(300) }).unwrap();
    let stage = Stage {
        writer: &mut writer,
        clock: &SystemClock::start(),
        progress: &Progress::hidden(),
        stop: &AtomicBool::new(false),
    };
    play(&mut generator, Speed::Unpaced, stage).unwrap();
    let mut reader = log.source("orders").unwrap().open(1, None).unwrap();
    let mut last = [None, None];
    let mut visit = |record: crate::model::Record<'_>| {
        if let Some(text) = record.header(WATERMARK_HEADER) {
            let of = usize::from(record.header(SHADOW_HEADER).is_some());
            last[of] = String::from_utf8_lossy(text).parse::<i64>().ok();
        }
    };
    while reader.read(8_192, Duration::ZERO, &mut visit).unwrap().records > 0 {}
    assert_eq!(last, [Some(DAY_START_MS + 86_400_000); 2]);
}

#[test]
fn a_core_generates_more_than_a_hundred_thousand_events_a_second() {
    // The aim is 300,000; the bound is low so that a busy machine does not fail it.
    let mut generator = Generator::new(options(300_000)).unwrap();
    let (started, mut count, mut bytes) = (Instant::now(), 0_u32, 0);
    while let Some(generated) = generator.next_record() {
        count += 1;
        bytes += generated.record.payload.len();
    }
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    println!("{count} events, {} bytes each, {rate:.0} a second", bytes / count as usize);
    assert!(rate > 100_000.0, "{rate}");
}

fn service_records(service: Service, options: GeneratorOptions) -> Vec<(i64, i64, Vec<u8>)> {
    let mut services = Services::new(service, options).unwrap();
    let mut records = Vec::new();
    while let Some(Generated { event_ms, record, .. }) = services.next_record() {
        records.push((record.timestamp_ms, event_ms, record.payload.to_vec()));
    }
    records
}

#[test]
fn parcels_are_of_the_orders_that_were_paid_each_once() {
    let paid: HashSet<String> = parsed(&records(options(5_000)))
        .iter()
        .filter(|event| {
            ["paid", "balance"].contains(&event["event_type"].as_str().unwrap_or_default())
        })
        .map(|event| event["order_id"].as_str().unwrap().to_owned())
        .collect();
    let parcels = service_records(Service::Parcels, options(5_000));
    let created: Vec<String> = parcels
        .iter()
        .map(|record| serde_json::from_slice::<Value>(&record.2).unwrap())
        .filter(|event| event["event_type"] == "created")
        .map(|event| event["order_id"].as_str().unwrap().to_owned())
        .collect();
    let distinct: HashSet<&String> = created.iter().collect();
    // Those paid in the last minutes have no parcel before the day ends.
    assert!(distinct.len() > paid.len() * 95 / 100, "{} of {}", distinct.len(), paid.len());
    assert!(distinct.iter().all(|order| paid.contains(*order)));
    // An order of which an oddity tells the payment twice has two.
    assert!(created.len() - distinct.len() < 30, "{} twice", created.len() - distinct.len());
}

#[test]
fn every_service_is_the_same_each_time_and_comes_in_the_order_of_arrival() {
    for service in [Service::Parcels, Service::ServiceDesk, Service::Claims, Service::Behaviour] {
        let once = service_records(service, options(3_000));
        assert_eq!(once, service_records(service, options(3_000)), "{service:?}");
        assert!(once.len() > 5, "{service:?}: {}", once.len());
        assert!(once.is_sorted_by_key(|record| record.0), "{service:?}");
        assert!(once.iter().all(|(arrival_ms, event_ms, _)| arrival_ms > event_ms), "{service:?}");
    }
}
