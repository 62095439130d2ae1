//! The operator against the slow reference, and each rule by an example a person can check.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array as _, AsArray as _, Decimal128Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Int32Type, Int64Type, Schema, TimeUnit,
    TimestampMillisecondType,
};
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::counts::{Counts, Standing};
use super::operator::{Columns, Measure, Operator, Output, Papers};
use super::reference::{Expected, Fact, Place, Sums, expected};
use super::rules::{Action, Kind, Rules};

/// Random sets of events; each is played in several orders of arrival.
const SEEDS: u64 = 3_000;

pub(super) fn rules() -> Rules {
    let kinds = [
        ("cancelled", "cancel"),
        ("closed", "cancel refund"),
        ("deposit", "open pay"),
        ("instalment", "pay each"),
        ("paid", "pay"),
        ("placed", "open"),
        ("refunded", "refund"),
    ];
    let kinds = kinds.map(|(name, action)| Kind {
        name: name.to_owned(),
        action: Action::read(action).expect("an action"),
    });
    Rules {
        kinds: kinds.to_vec(),
        horizon_ms: 1_000,
        orders_max: 1_000,
        events_max: 100,
        currency: None,
        currency_default: None,
    }
}

const MEASURES: [Measure; 9] = [
    Measure::Placed,
    Measure::Cancelled,
    Measure::Paid,
    Measure::Refunded,
    Measure::Excess,
    Measure::PlacedOrders,
    Measure::CancelledOrders,
    Measure::PaidOrders,
    Measure::RefundedOrders,
];

fn columns() -> Columns {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("Asia/Shanghai".into()));
    let mut fields = vec![
        Field::new("order_id", DataType::Utf8, true),
        Field::new("effect_time", time.clone(), true),
        Field::new("order_time", time.clone(), true),
        Field::new("paid_time", time, true),
        Field::new("kind", DataType::Utf8, true),
        Field::new("province", DataType::Utf8, true),
        Field::new("shop", DataType::Utf8, true),
        Field::new("sign", DataType::Int32, true),
    ];
    let mut outputs = vec![
        Output::Key,
        Output::EffectTime,
        Output::OrderTime,
        Output::PaidTime,
        Output::Kind,
        Output::Carried(0),
        Output::Carried(1),
        Output::Sign,
    ];
    for (nth, measure) in MEASURES.into_iter().enumerate() {
        let of_orders = nth >= 5;
        let data_type = if of_orders { DataType::Int64 } else { DataType::Decimal128(38, 2) };
        fields.push(Field::new(format!("m{nth}"), data_type, true));
        outputs.push(Output::Measure(measure));
    }
    Columns {
        key: 0,
        key_type: DataType::Utf8,
        kind: 1,
        amount: Some(2),
        carried: vec![3, 4],
        carried_types: vec![DataType::Utf8, DataType::Utf8],
        outputs,
        schema: Arc::new(Schema::new(fields)),
    }
}

pub(super) fn operator(rules: Rules) -> Operator {
    Operator::new(Arc::new(columns()), Arc::new(rules))
}

pub(super) fn fact(time: i64, kind: &'static str, amount: Option<i128>) -> Fact {
    Fact { time, kind, amount, province: None, shop: None }
}

/// An event of an order with its offset.
pub(super) type Arrival = (&'static str, Fact, i64);

fn batch(arrivals: &[Arrival]) -> RecordBatch {
    let amounts: Decimal128Array = arrivals.iter().map(|(_, fact, _)| fact.amount).collect();
    RecordBatch::try_from_iter_with_nullable([
        (
            "order_id",
            Arc::new(arrivals.iter().map(|(key, ..)| Some(*key)).collect::<StringArray>()) as _,
            true,
        ),
        (
            "kind",
            Arc::new(arrivals.iter().map(|(_, fact, _)| Some(fact.kind)).collect::<StringArray>())
                as _,
            true,
        ),
        ("amount", Arc::new(amounts.with_precision_and_scale(18, 2).expect("fits")) as _, true),
        (
            "province",
            Arc::new(arrivals.iter().map(|(_, fact, _)| fact.province).collect::<StringArray>())
                as _,
            true,
        ),
        (
            "shop",
            Arc::new(arrivals.iter().map(|(_, fact, _)| fact.shop).collect::<StringArray>()) as _,
            true,
        ),
        (
            "offset",
            Arc::new(arrivals.iter().map(|(.., offset)| *offset).collect::<Int64Array>()) as _,
            true,
        ),
    ])
    .expect("a batch")
}

/// What came out: by order the sums by place, with the sums of what is zero left out.
pub(super) type Sum = BTreeMap<String, BTreeMap<Place, Sums>>;

pub(super) fn take(operator: &mut Operator, arrivals: &[Arrival], watermark: i64, sums: &mut Sum) {
    let times: Vec<i64> = arrivals.iter().map(|(_, fact, _)| fact.time).collect();
    let offsets: Vec<i64> = arrivals.iter().map(|(.., offset)| *offset).collect();
    let watermarks = vec![watermark; arrivals.len()];
    let raw: Vec<Vec<u8>> =
        arrivals.iter().map(|(.., offset)| format!("raw {offset}").into_bytes()).collect();
    let raw: Vec<&[u8]> = raw.iter().map(Vec::as_slice).collect();
    let papers = Papers { times: &times, watermarks: &watermarks, offsets: &offsets, raw: &raw };
    let taken = operator.take(&batch(arrivals), papers).expect("taken");
    operator.forget(watermark, 99);
    let rows = &taken.batch;
    let text = |at: usize, row: usize| {
        let column = rows.column(at).as_string::<i32>();
        (!column.is_null(row)).then(|| column.value(row).to_owned())
    };
    for row in 0..rows.num_rows() {
        let time =
            |at: usize| rows.column(at).as_primitive::<TimestampMillisecondType>().value(row);
        assert_eq!((time(1), time(2), time(3)), {
            (taken.effect_times[row], taken.order_times[row], taken.paid_times[row])
        });
        assert_eq!(rows.column(7).as_primitive::<Int32Type>().value(row).abs(), 1);
        let place =
            (time(1), time(2), time(3), text(4, row).expect("a kind"), text(5, row), text(6, row));
        let of_place =
            sums.entry(text(0, row).expect("a key")).or_default().entry(place).or_default();
        for (nth, sum) in of_place.iter_mut().enumerate() {
            let column = rows.column(8 + nth);
            *sum += match nth < 5 {
                true => column.as_primitive::<Decimal128Type>().value(row),
                false => i128::from(column.as_primitive::<Int64Type>().value(row)),
            };
        }
    }
}

pub(super) fn without_zeros(sums: Sum) -> Sum {
    let kept = |of_order: BTreeMap<Place, Sums>| -> BTreeMap<Place, Sums> {
        of_order.into_iter().filter(|(_, sums)| *sums != Sums::default()).collect()
    };
    sums.into_iter()
        .map(|(key, of_order)| (key, kept(of_order)))
        .filter(|(_, all)| !all.is_empty())
        .collect()
}

pub(super) fn random_facts(dice: &mut ChaCha8Rng) -> Vec<(&'static str, Fact)> {
    let all_kinds = ["cancelled", "closed", "deposit", "instalment", "paid", "placed", "refunded"];
    let mut all = Vec::new();
    for key in ["a", "b", "c"] {
        // Half of the orders are of a few kinds and nearly always say their shop: else it is rare that one pays
        // in two currencies.
        let is_plain = dice.random_bool(0.5);
        let kinds = if is_plain {
            &all_kinds[..]
        } else {
            &["placed", "paid", "paid", "closed", "refunded"][..]
        };
        let says_shop = if is_plain { 0.6 } else { 0.8 };
        for _ in 0..dice.random_range(0..=9) {
            let kind = kinds[dice.random_range(0..kinds.len())];
            let must = ["deposit", "instalment", "paid"].contains(&kind);
            let amount = (must || dice.random_bool(0.7)).then(|| dice.random_range(0..7));
            let one_of = |dice: &mut ChaCha8Rng, names: [&'static str; 2], chance: f64| {
                dice.random_bool(chance).then(|| names[dice.random_range(0..2)])
            };
            let province = one_of(dice, ["浙江", "广东"], 0.6);
            let shop = one_of(dice, ["s1", "s2"], says_shop);
            all.push((key, Fact { time: dice.random_range(0..9), kind, amount, province, shop }));
        }
    }
    all
}

fn check(counts: Counts, wanted: &BTreeMap<&'static str, Expected>, seed: u64) {
    assert!(counts.balances(), "seed {seed}: {counts:?}");
    let all = |nth: usize| wanted.values().map(|one| one.stands[nth]).sum::<u64>();
    let stands = [counts.applied, counts.capped, counts.repeated, counts.waiting, counts.refused];
    assert_eq!(stands, [all(0), all(1), all(2), all(3), all(4)], "seed {seed}");
}

#[test]
fn any_order_of_arrival_gives_what_the_reference_gives() {
    let mut seen = [0_u64; 5];
    let mut of_currency = [0_u64; 4];
    for seed in 0..SEEDS {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        // In every other one the shop's column says what currency an amount is in.
        let by_shop = seed % 2 == 1;
        let rules = || Rules { currency: by_shop.then_some(1), ..rules() };
        let mut facts = random_facts(&mut dice);
        let mut wanted: BTreeMap<&'static str, Expected> = BTreeMap::new();
        for key in ["a", "b", "c"] {
            let own: Vec<Fact> =
                facts.iter().filter(|(of, _)| *of == key).map(|(_, fact)| fact.clone()).collect();
            wanted.insert(key, expected(&own, by_shop));
            if by_shop {
                count_cases(&own, &mut of_currency);
            }
        }
        wanted
            .values()
            .for_each(|one| seen.iter_mut().zip(one.stands).for_each(|(sum, count)| *sum += count));
        for _ in 0..3 {
            facts.shuffle(&mut dice);
            let arrivals: Vec<Arrival> =
                (0..).zip(&facts).map(|(at, (key, fact))| (*key, fact.clone(), at)).collect();
            let (mut running, mut sums, mut saved) = (operator(rules()), Sum::new(), Vec::new());
            let mut next = 0;
            while next < arrivals.len() {
                let until = (next + dice.random_range(1..=4)).min(arrivals.len());
                take(&mut running, &arrivals[next..until], i64::MIN, &mut sums);
                next = until;
                if dice.random_bool(0.3) {
                    let drain = running.drain_as(dice.random_bool(0.2));
                    if drain.is_whole {
                        saved.clear();
                    }
                    saved.extend(drain.orders);
                    running = operator(rules());
                    running.restore(drain.counts, &saved).expect("its own bytes");
                }
            }
            let got = without_zeros(sums);
            let want: Sum = wanted
                .iter()
                .filter(|(_, one)| !one.sums.is_empty())
                .map(|(key, one)| ((*key).to_owned(), one.sums.clone()))
                .collect();
            assert_eq!(got, want, "seed {seed}: {arrivals:?}");
            check(running.counts(), &wanted, seed);
        }
    }
    assert!(seen.iter().all(|count| *count > 1_000), "every stand must come up: {seen:?}");
    assert!(of_currency.iter().all(|count| *count > 50), "so must every case: {of_currency:?}");
}

/// Counts the orders of a currency in which something may go wrong that did once.
fn count_cases(facts: &[Fact], cases: &mut [u64; 4]) {
    let mut facts: Vec<&Fact> = facts.iter().collect();
    facts.sort();
    let Some(opener) = facts.iter().find(|fact| ["placed", "deposit"].contains(&fact.kind)) else {
        return;
    };
    let said = |kinds: &[&str]| {
        facts.iter().position(|fact| kinds.contains(&fact.kind) && fact.shop.is_some())
    };
    let is_paid = |at: usize, own: bool| {
        let fact = facts[at];
        fact.kind == "paid"
            && fact.shop.is_some()
            && opener.shop.is_some()
            && (fact.shop == opener.shop) == own
    };
    let foreign = (0..facts.len()).find(|at| is_paid(*at, false));
    let own = (0..facts.len()).find(|at| is_paid(*at, true));
    let payment = said(&["paid", "instalment", "deposit"]);
    let refund = said(&["refunded", "closed"]);
    let is_other = |at: usize| Some(facts[at].shop) != payment.map(|at| facts[at].shop);
    let cases_of = [
        // A payment in another currency before the order's own.
        foreign.zip(own).is_some_and(|(foreign, own)| foreign < own),
        // A refund that names another currency before the payment that says the order's.
        opener.shop.is_none()
            && refund.zip(payment).is_some_and(|(at, payment)| at < payment && is_other(at)),
        // A refund that names a currency where nothing that is paid does.
        opener.shop.is_none() && payment.is_none() && refund.is_some(),
        // A cancellation that asks for money in another currency.
        opener.shop.is_some()
            && facts.iter().any(|fact| {
                fact.kind == "closed" && fact.amount.is_some() && fact.shop != opener.shop
            }),
    ];
    cases.iter_mut().zip(cases_of).for_each(|(count, is)| *count += u64::from(is));
}

#[test]
fn net_is_never_below_zero_at_any_arrival_nor_at_any_event_time() {
    for seed in 0..500 {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut facts = random_facts(&mut dice);
        facts.shuffle(&mut dice);
        let (mut running, mut sums) = (operator(rules()), Sum::new());
        for (at, (key, fact)) in (0..).zip(&facts) {
            take(&mut running, &[(*key, fact.clone(), at)], i64::MIN, &mut sums);
            for of_order in sums.values() {
                for until in 0..10 {
                    let net: i128 = of_order
                        .iter()
                        .filter(|((time, ..), _)| *time <= until)
                        .map(|(_, sums)| sums[2] - sums[3])
                        .sum();
                    assert!(net >= 0, "seed {seed}, after {at}, until {until}: {net}");
                }
            }
        }
    }
}

fn totals(arrivals: &[(&'static str, Fact)]) -> (Sums, Counts, Vec<Standing>) {
    let (mut running, mut sums) = (operator(rules()), Sum::new());
    let mut notices = Vec::new();
    for (at, (key, fact)) in (0..).zip(arrivals) {
        take(&mut running, &[(*key, fact.clone(), at)], i64::MIN, &mut sums);
        notices.extend(running.drain().notices.into_iter().map(|notice| notice.standing));
    }
    let mut total = Sums::default();
    for sums in sums.values().flat_map(BTreeMap::values) {
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    (total, running.counts(), notices)
}

#[test]
fn a_refund_lowers_what_is_left_and_never_what_was_paid() {
    let (sums, counts, _) = totals(&[
        ("a", fact(1, "placed", Some(100))),
        ("a", fact(2, "paid", Some(100))),
        ("a", fact(3, "refunded", Some(30))),
        ("a", fact(4, "refunded", Some(50))),
    ]);
    assert_eq!(sums, [100, 0, 100, 80, 0, 1, 0, 1, 1]);
    assert_eq!((counts.applied, counts.taken), (4, 4));
}

#[test]
fn a_refund_above_what_was_paid_is_capped_and_its_excess_told() {
    let (sums, counts, notices) = totals(&[
        ("a", fact(1, "placed", Some(100))),
        ("a", fact(2, "paid", Some(100))),
        ("a", fact(3, "refunded", Some(130))),
    ]);
    assert_eq!(sums, [100, 0, 100, 100, 30, 1, 0, 1, 1]);
    assert_eq!((counts.applied, counts.capped), (2, 1));
    assert_eq!(notices, [Standing::Capped]);
}

#[test]
fn a_refund_that_turns_out_to_be_too_much_is_told_with_its_record() {
    let arrivals = [
        ("a", fact(0, "placed", Some(10)), 0),
        ("a", fact(30, "refunded", Some(8)), 1),
        ("a", fact(10, "paid", Some(10)), 2),
        ("a", fact(20, "refunded", Some(5)), 3),
    ];
    let (mut running, mut sums, mut saved) = (operator(rules()), Sum::new(), Vec::new());
    let mut told = Vec::new();
    for arrival in &arrivals {
        take(&mut running, std::slice::from_ref(arrival), i64::MIN, &mut sums);
        // It is in the checkpoint too.
        let drain = running.drain();
        saved.extend(drain.orders);
        told = drain.notices;
        running = operator(rules());
        running.restore(drain.counts, &saved).expect("its own bytes");
    }
    let [capped] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        (capped.offset, capped.standing, &*capped.raw),
        (1, Standing::Capped, &b"raw 1"[..])
    );
}

#[test]
fn a_deposit_and_its_balance_add_and_a_payment_told_twice_counts_once() {
    let (sums, counts, _) = totals(&[
        ("a", fact(1, "deposit", Some(50))),
        ("a", fact(9, "paid", Some(250))),
        ("a", fact(9, "paid", Some(250))),
        ("b", fact(1, "placed", Some(90))),
        ("b", fact(2, "instalment", Some(45))),
        ("b", fact(3, "instalment", Some(45))),
    ]);
    assert_eq!(sums[2], 390);
    assert_eq!((counts.applied, counts.repeated), (5, 1));
}

#[test]
fn two_cancels_count_once_and_one_with_only_an_id_takes_back_what_was_placed() {
    let home = |fact: Fact| Fact { province: Some("浙江"), ..fact };
    let arrivals = [
        ("a", home(fact(1, "placed", Some(100)))),
        ("a", fact(5, "cancelled", None)),
        ("a", fact(4, "cancelled", None)),
    ];
    let (mut running, mut sums) = (operator(rules()), Sum::new());
    for (at, (key, fact)) in (0..).zip(&arrivals) {
        take(&mut running, &[(*key, fact.clone(), at)], i64::MIN, &mut sums);
    }
    let sums = without_zeros(sums).remove("a").expect("an order");
    let place = |time, kind: &str| (time, 1, 1, kind.to_owned(), Some("浙江".to_owned()), None);
    assert_eq!(
        sums,
        BTreeMap::from([
            (place(1, "placed"), [100, 0, 0, 0, 0, 1, 0, 0, 0]),
            (place(4, "cancelled"), [0, 100, 0, 0, 0, 0, 1, 0, 0]),
        ])
    );
    assert_eq!(running.counts().repeated, 1);
}

#[test]
fn an_event_waits_for_its_order_and_counts_when_it_comes() {
    let arrivals = [
        ("a", fact(5, "refunded", Some(20))),
        ("a", fact(3, "paid", Some(50))),
        ("a", fact(1, "placed", Some(50))),
    ];
    let (sums, counts, _) = totals(&arrivals[..2]);
    assert_eq!(sums, Sums::default());
    assert_eq!((counts.waiting, counts.rows), (2, 0));
    let (sums, counts, notices) = totals(&arrivals);
    assert_eq!(sums, [50, 0, 50, 20, 0, 1, 0, 1, 1]);
    assert_eq!((counts.waiting, counts.applied), (0, 3));
    use Standing::{Settled, Waiting};
    assert_eq!(notices, [Waiting, Waiting, Settled, Settled]);
}

#[test]
fn at_the_horizon_what_waits_is_told_as_expired_and_the_order_forgotten() {
    let (mut running, mut sums) = (operator(rules()), Sum::new());
    take(
        &mut running,
        &[("a", fact(100, "paid", Some(5)), 0), ("b", fact(100, "placed", Some(5)), 1)],
        0,
        &mut sums,
    );
    take(&mut running, &[], 1_099, &mut sums);
    assert_eq!((running.counts().waiting, running.counts().orders), (1, 2));
    let waiting = running.drain();
    assert_eq!(waiting.notices.len(), 1);
    assert_eq!(
        (waiting.notices[0].order_key.as_str(), waiting.notices[0].event_type.as_str()),
        ("a", "paid")
    );
    take(&mut running, &[], 1_100, &mut sums);
    let (counts, drain) = (running.counts(), running.drain());
    assert_eq!((counts.waiting, counts.expired, counts.applied, counts.orders), (0, 1, 1, 0));
    let told = &drain.notices[0];
    assert_eq!((told.was, told.standing), (Standing::Waiting, Standing::Expired));
    assert_eq!((told.offset, told.due_to, &*told.raw), (0, 99, b"raw 0".as_slice()));
    // What comes after its own horizon is told at once, and does not bring the order back.
    take(&mut running, &[("a", fact(99, "placed", Some(5)), 2)], 1_100, &mut sums);
    assert_eq!((running.counts().expired, running.counts().orders), (2, 0));
    assert!(running.counts().balances());
    let mut again = operator(rules());
    again.restore(counts, &[waiting.orders, drain.orders].concat()).expect("its own bytes");
    assert_eq!(again.counts(), counts);
}

#[test]
fn the_horizon_is_judged_before_each_record_whatever_the_batch() {
    let arrivals = [("a", fact(100, "placed", Some(5)), 0), ("a", fact(1_150, "paid", Some(5)), 1)];
    let run = |split: bool| {
        let (mut running, mut sums) = (operator(rules()), Sum::new());
        match split {
            true => {
                take(&mut running, &arrivals[..1], 0, &mut sums);
                take(&mut running, &arrivals[1..], 1_100, &mut sums);
            }
            false => {
                let papers = Papers {
                    times: &[100, 1_150],
                    watermarks: &[0, 1_100],
                    offsets: &[0, 1],
                    raw: &[b"a", b"b"],
                };
                assert_eq!(running.take(&batch(&arrivals), papers).expect("taken").due_to, [0]);
                running.forget(1_100, 1);
            }
        }
        running.counts()
    };
    assert_eq!(run(true), run(false));
    assert_eq!(run(true).waiting, 1, "the order was forgotten, so the payment waits");
}

#[test]
fn at_its_bound_the_order_longest_without_an_event_goes_and_is_told() {
    let (mut running, mut sums) = (operator(Rules { orders_max: 2, ..rules() }), Sum::new());
    take(
        &mut running,
        &[("a", fact(1, "paid", Some(5)), 0), ("b", fact(2, "placed", Some(5)), 1)],
        0,
        &mut sums,
    );
    take(
        &mut running,
        &[("a", fact(3, "paid", Some(5)), 2), ("c", fact(4, "placed", Some(5)), 3)],
        0,
        &mut sums,
    );
    let counts = running.counts();
    assert_eq!(
        (counts.orders, counts.forgotten_early, counts.waiting),
        (2, 1, 1),
        "b was the oldest"
    );
    take(&mut running, &[("d", fact(5, "placed", Some(5)), 4)], 0, &mut sums);
    let counts = running.counts();
    assert_eq!(
        (counts.orders, counts.forgotten_early, counts.expired),
        (2, 2, 1),
        "then a, whose payment waited"
    );
    assert!(counts.balances());
    assert!(running.drain().notices.iter().any(|notice| notice.standing == Standing::Crowded));
}

#[test]
fn what_cannot_be_is_refused_and_what_is_not_declared_ignored() {
    let (mut running, mut sums) = (operator(Rules { events_max: 2, ..rules() }), Sum::new());
    take(
        &mut running,
        &[("a", fact(1, "placed", Some(5)), 0), ("a", fact(1, "paid", Some(-5)), 1)],
        0,
        &mut sums,
    );
    take(
        &mut running,
        &[("a", fact(1, "paid", None), 2), ("a", fact(1, "shipped", None), 3)],
        0,
        &mut sums,
    );
    take(
        &mut running,
        &[("a", fact(1, "paid", Some(5)), 4), ("a", fact(1, "refunded", Some(1)), 5)],
        0,
        &mut sums,
    );
    let counts = running.counts();
    assert_eq!((counts.applied, counts.refused, counts.ignored), (2, 3, 1));
    let told: Vec<_> = running.drain().notices.into_iter().map(|notice| notice.standing).collect();
    assert_eq!(told, [Standing::Negative, Standing::NoAmount, Standing::TooMany]);
}

#[test]
fn bytes_that_are_no_orders_are_refused() {
    let mut running = operator(rules());
    assert!(running.restore(Counts::default(), &[1, 2, 3]).is_err());
}
