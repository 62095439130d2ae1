//! An order is in one currency: each rule of it by an example a person can check. Shops stand for currencies.

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::counts::{Counts, Standing};
use super::operator::Operator;
use super::reference::{Fact, Sums};
use super::rules::Rules;
use super::tests::{Arrival, Sum, fact, operator, random_facts, rules, take, without_zeros};

fn rules_of_currency() -> Rules {
    Rules { currency: Some(1), ..rules() }
}

fn said(time: i64, kind: &'static str, amount: Option<i128>, currency: &'static str) -> Fact {
    Fact { shop: Some(currency), ..fact(time, kind, amount) }
}

/// What is told of one event: its offset, how it stands, its record.
type Told = (i64, Standing, Vec<u8>);

/// What the facts of one order amount to by currency, what became of them, and what was told of them last.
#[derive(Debug, PartialEq)]
struct Outcome {
    by_currency: BTreeMap<Option<String>, Sums>,
    counts: Counts,
    told: Vec<Told>,
}

impl Outcome {
    fn of(&self, currency: &str) -> Sums {
        self.by_currency.get(&Some(currency.to_owned())).copied().unwrap_or_default()
    }

    /// Applied, capped, repeated, refused.
    fn fates(&self) -> [u64; 4] {
        let counts = self.counts;
        assert!(counts.balances(), "{counts:?}");
        [counts.applied, counts.capped, counts.repeated, counts.refused]
    }

    /// Offsets of the events that are refused.
    fn refused(&self) -> Vec<i64> {
        let refused = self.told.iter().filter(|(_, standing, _)| *standing == Standing::Foreign);
        refused.map(|(offset, ..)| *offset).collect()
    }
}

fn by_currency(sums: &Sum) -> BTreeMap<Option<String>, Sums> {
    let mut all: BTreeMap<Option<String>, Sums> = BTreeMap::new();
    for (place, sums) in sums.values().flatten() {
        let of = all.entry(place.5.clone()).or_default();
        of.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
    }
    all.retain(|_, sums| *sums != Sums::default());
    all
}

fn play_one(
    running: &mut Operator,
    arrival: &Arrival,
    sums: &mut Sum,
    told: &mut BTreeMap<i64, (Standing, Vec<u8>)>,
) {
    take(running, std::slice::from_ref(arrival), i64::MIN, sums);
    for notice in running.drain().notices {
        told.insert(notice.offset, (notice.standing, notice.raw.to_vec()));
    }
}

/// Plays facts at their places in `facts`, in this order of arrival.
fn play(rules: Rules, facts: &[Fact], order: &[usize]) -> Outcome {
    let (mut running, mut sums, mut told) = (operator(rules), Sum::new(), BTreeMap::new());
    for at in order {
        let arrival = ("a", facts[*at].clone(), i64::try_from(*at).expect("few"));
        play_one(&mut running, &arrival, &mut sums, &mut told);
    }
    let told = told.into_iter().map(|(offset, (standing, raw))| (offset, standing, raw)).collect();
    Outcome { by_currency: by_currency(&sums), counts: running.counts(), told }
}

/// What facts amount to, the same in every order of arrival; told of as in the order they are written in.
fn outcome(facts: &[Fact]) -> Outcome {
    let mut order: Vec<usize> = (0..facts.len()).collect();
    let first = play(rules_of_currency(), facts, &order);
    let mut dice = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..50 {
        order.shuffle(&mut dice);
        let other = play(rules_of_currency(), facts, &order);
        assert_eq!(other.by_currency, first.by_currency, "arrived as {order:?}");
        let same = Counts { rows: first.counts.rows, ..other.counts };
        assert_eq!(same, first.counts, "arrived as {order:?}");
        assert_eq!(other.refused(), first.refused(), "arrived as {order:?}");
    }
    first
}

#[test]
fn money_in_another_currency_than_the_orders_does_nothing_and_is_told() {
    let facts = [
        said(2, "paid", Some(10), "USD"),
        said(3, "refunded", Some(65), "CNY"),
        said(1, "placed", Some(10), "USD"),
        // Says nothing of a currency, so it is the order's.
        fact(4, "refunded", Some(3)),
        // Has no money, so its currency plays no part.
        said(5, "cancelled", None, "CNY"),
    ];
    let all = outcome(&facts);
    assert_eq!(all.by_currency.len(), 1, "{all:?}");
    assert_eq!(all.of("USD"), [10, 10, 10, 3, 0, 1, 1, 1, 1]);
    assert_eq!(all.fates(), [4, 0, 0, 1]);
    assert!(all.told.contains(&(1, Standing::Foreign, b"raw 1".to_vec())), "{all:?}");
    assert_eq!(Standing::Foreign.word(), "refused");
}

#[test]
fn a_refused_payment_does_not_stand_in_the_way_of_the_orders_own() {
    let all = outcome(&[
        said(1, "placed", Some(10), "CNY"),
        said(2, "paid", Some(10), "USD"),
        said(3, "paid", Some(10), "CNY"),
    ]);
    assert_eq!(all.of("CNY"), [10, 0, 10, 0, 0, 1, 0, 1, 0]);
    assert_eq!((all.fates(), all.refused()), ([2, 0, 0, 1], vec![1]));
}

#[test]
fn of_payments_in_the_orders_currency_and_in_none_the_earliest_counts() {
    let all = outcome(&[
        said(1, "placed", Some(10), "CNY"),
        fact(3, "paid", Some(9)),
        said(4, "paid", Some(10), "CNY"),
        said(5, "paid", Some(10), "CNY"),
        said(2, "paid", Some(8), "USD"),
        // What is told again of refused money repeats it.
        said(6, "paid", Some(8), "USD"),
    ]);
    assert_eq!(all.of("CNY"), [10, 0, 9, 0, 0, 1, 0, 1, 0]);
    assert_eq!((all.fates(), all.refused()), ([2, 0, 3, 1], vec![4]));
}

#[test]
fn no_refund_names_the_currency_of_an_order() {
    let all = outcome(&[
        fact(1, "placed", Some(10)),
        said(2, "refunded", Some(4), "USD"),
        said(3, "cancelled", Some(10), "EUR"),
        said(4, "paid", Some(10), "CNY"),
        said(5, "refunded", Some(3), "CNY"),
        said(6, "instalment", Some(2), "USD"),
    ]);
    assert_eq!(all.by_currency.len(), 1, "{all:?}");
    assert_eq!(all.of("CNY"), [10, 10, 10, 3, 0, 1, 1, 1, 1]);
    assert_eq!((all.fates(), all.refused()), ([4, 0, 0, 2], vec![1, 5]));
}

#[test]
fn where_nothing_paid_says_a_currency_money_that_does_is_refused() {
    let all = outcome(&[
        fact(1, "placed", Some(10)),
        fact(2, "paid", Some(10)),
        said(3, "refunded", Some(4), "USD"),
        fact(4, "refunded", Some(3)),
    ]);
    assert_eq!(all.by_currency, BTreeMap::from([(None, [10, 0, 10, 3, 0, 1, 0, 1, 1])]));
    assert_eq!((all.fates(), all.refused()), ([3, 0, 0, 1], vec![2]));
}

#[test]
fn the_first_cancellation_counts_whatever_currency_it_names() {
    let all = outcome(&[
        said(1, "placed", Some(10), "CNY"),
        said(2, "cancelled", Some(2), "USD"),
        said(3, "cancelled", Some(10), "CNY"),
    ]);
    assert_eq!(all.by_currency.len(), 1, "what is taken back is in the order's: {all:?}");
    assert_eq!(all.of("CNY"), [10, 10, 0, 0, 0, 1, 1, 0, 0]);
    assert_eq!((all.fates(), all.refused()), ([2, 0, 1, 0], vec![]));
}

#[test]
fn a_cancellation_counts_while_the_foreign_money_it_gives_back_is_refused() {
    let facts = [
        said(1, "placed", Some(10), "CNY"),
        said(2, "paid", Some(10), "CNY"),
        said(3, "closed", Some(2), "USD"),
    ];
    let all = outcome(&facts);
    assert_eq!(all.by_currency.len(), 1, "{all:?}");
    assert_eq!(all.of("CNY"), [10, 10, 10, 0, 0, 1, 1, 1, 0]);
    assert_eq!((all.fates(), all.refused()), ([2, 0, 0, 1], vec![2]));
    // The order is cancelled already, but the money has still to be given back in its own currency.
    let again = [&facts[..], &[said(4, "closed", Some(10), "CNY")]].concat();
    let all = outcome(&again);
    assert_eq!(all.of("CNY"), [10, 10, 10, 10, 0, 1, 1, 1, 1]);
    assert_eq!((all.fates(), all.refused()), ([3, 0, 0, 1], vec![2]));
}

#[test]
fn every_amount_is_in_the_currency_of_its_order_whatever_came_first() {
    let all = outcome(&[
        fact(1, "placed", Some(10)),
        said(2, "refunded", Some(1), "USD"),
        said(3, "deposit", Some(4), "CNY"),
        fact(4, "paid", Some(6)),
    ]);
    assert_eq!(all.by_currency.len(), 1, "{all:?}");
    assert_eq!(all.of("CNY"), [10, 0, 10, 0, 0, 1, 0, 1, 0]);
}

#[test]
fn each_currency_takes_a_place_among_the_events_of_an_order() {
    let facts = [
        said(1, "placed", Some(10), "CNY"),
        said(2, "paid", Some(10), "USD"),
        said(3, "paid", Some(10), "EUR"),
        said(4, "paid", Some(10), "CNY"),
        // Takes the place of the one it is earlier than.
        said(1, "paid", Some(10), "USD"),
    ];
    let all = play(Rules { events_max: 3, ..rules_of_currency() }, &facts, &[0, 1, 2, 3, 4]);
    assert_eq!(all.fates(), [1, 0, 1, 3]);
    let standing: Vec<_> = all.told.iter().map(|(offset, told, _)| (*offset, *told)).collect();
    use Standing::{Foreign, Settled, TooMany};
    assert_eq!(standing, [(1, Settled), (2, Foreign), (3, TooMany), (4, Foreign)]);
}

#[test]
fn neither_refunds_nor_cancellations_nor_foreign_money_move_what_is_placed_or_paid() {
    let (mut back, mut foreign) = (0, 0);
    for seed in 0..1_000 {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut facts = random_facts(&mut dice);
        facts.shuffle(&mut dice);
        let (mut running, mut sums) = (operator(rules_of_currency()), Sum::new());
        let placed_and_paid = |sums: &Sum| -> BTreeMap<(String, Option<String>), (i128, i128)> {
            let mut all: BTreeMap<_, (i128, i128)> = BTreeMap::new();
            for (key, of_order) in sums {
                for (place, sums) in of_order {
                    let of = all.entry((key.clone(), place.5.clone())).or_default();
                    *of = (of.0 + sums[0], of.1 + sums[2]);
                }
            }
            all.retain(|_, amounts| *amounts != (0, 0));
            all
        };
        for (at, (key, fact)) in (0..).zip(&facts) {
            let (before, all_before) = (placed_and_paid(&sums), without_zeros(sums.clone()));
            let mut told = BTreeMap::new();
            play_one(&mut running, &(*key, fact.clone(), at), &mut sums, &mut told);
            let gives_back = ["refunded", "cancelled", "closed"].contains(&fact.kind);
            let is_foreign = told.get(&at).is_some_and(|(told, _)| *told == Standing::Foreign);
            if gives_back || is_foreign {
                back += u64::from(gives_back);
                foreign += u64::from(is_foreign);
                assert_eq!(placed_and_paid(&sums), before, "seed {seed}, {at} of {facts:?}");
            }
            // What is refused leaves everything as it was, the attributes of other rows too; only a cancellation counts.
            if is_foreign && fact.kind != "closed" {
                assert_eq!(
                    without_zeros(sums.clone()),
                    all_before,
                    "seed {seed}, {at} of {facts:?}"
                );
            }
        }
    }
    assert!(back > 1_000 && foreign > 1_000, "{back} {foreign}");
}
