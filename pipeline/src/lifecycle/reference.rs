//! The same rules told another way, cent by cent, to check the operator against. It must stay slow and
//! plain: a person can check it by eye, and it shares no code with the operator.

use std::collections::BTreeMap;

/// One event as a test makes it up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    pub time: i64,
    pub kind: &'static str,
    pub amount: Option<i128>,
    pub province: Option<&'static str>,
    pub shop: Option<&'static str>,
}

/// Effect time, order time, time of the first payment, kind, province, shop.
pub type Place = (i64, i64, i64, String, Option<String>, Option<String>);
/// Placed, cancelled, paid, refunded, excess; orders placed, cancelled, paid, refunded.
pub type Sums = [i128; 9];

/// What an order's events amount to: sums by place, and how many are applied, capped, repeated, waiting, refused.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub sums: BTreeMap<Place, Sums>,
    pub stands: [u64; 5],
}

/// What currency a fact's money is in: its shop's, in the tests where shops stand for currencies. `placed` and
/// `cancelled` bring and take no money, whatever amount they name.
fn currency(fact: &Fact) -> Option<&'static str> {
    fact.amount?;
    fact.shop.filter(|_| !["placed", "cancelled"].contains(&fact.kind))
}

/// `placed` opens, `deposit` opens and pays, `paid` pays, `instalment` pays each, `cancelled` cancels,
/// `closed` cancels and refunds, `refunded` refunds each.
///
/// With `by_shop` amounts of two shops cannot be compared. The order is of the shop its opening names, or else the
/// first payment that names one. Money of another shop is refused, that of no shop is the order's.
pub fn expected(facts: &[Fact], by_shop: bool) -> Expected {
    let mut facts = facts.to_vec();
    facts.sort();
    let currency = |fact: &Fact| currency(fact).filter(|_| by_shop);
    let mut result = Expected::default();
    // What says the same thing of the same money again is a repeat, before anyone knows the order's currency.
    let mut all: Vec<Fact> = Vec::new();
    for fact in facts {
        let adds_up = ["instalment", "refunded"].contains(&fact.kind);
        let says_the_same =
            |told: &Fact| told.kind == fact.kind && currency(told) == currency(&fact);
        if !adds_up && all.iter().any(says_the_same) {
            result.stands[2] += 1;
        } else {
            all.push(fact);
        }
    }
    let is = |kinds: &'static [&'static str]| move |fact: &&Fact| kinds.contains(&fact.kind);
    let Some(opener) = all.iter().find(is(&["placed", "deposit"])) else {
        result.stands[3] = all.len() as u64;
        return result;
    };
    let payment_shops = all.iter().filter(is(&["deposit", "paid", "instalment"]));
    let shop = opener.shop.or_else(|| payment_shops.filter_map(|fact| fact.shop).next());
    let (own, foreign): (Vec<Fact>, Vec<Fact>) =
        all.iter().cloned().partition(|fact| currency(fact).is_none_or(|of| Some(of) == shop));
    result.stands[4] = foreign.len() as u64;
    // An order is cancelled by whatever cancels it first, even where the money that comes with it is refused.
    let canceller = all.iter().find(is(&["cancelled", "closed"]));
    // Of the order's own money the first of a kind counts; the rest of the kind has nothing left to do.
    let mut kept: Vec<Fact> = Vec::new();
    for fact in &own {
        let adds_up = ["instalment", "refunded"].contains(&fact.kind);
        if !adds_up && kept.iter().any(|told| told.kind == fact.kind) {
            result.stands[2] += 1;
        } else {
            kept.push(fact.clone());
        }
    }
    let opener = kept.iter().find(|fact| *fact == opener).expect("an opening is never refused");
    let payments: Vec<&Fact> = kept.iter().filter(is(&["deposit", "paid", "instalment"])).collect();
    let first_cancel = kept.iter().find(is(&["cancelled", "closed"]));
    let refunds: Vec<&Fact> = kept
        .iter()
        .filter(|fact| {
            fact.kind == "refunded" || fact.kind == "closed" && Some(*fact) == first_cancel
        })
        .collect();
    let first = |of: fn(&Fact) -> Option<&'static str>| own.iter().find_map(of).map(str::to_owned);
    let first_payment = payments.first().map(|fact| fact.time);
    let mut add = |fact: &Fact, time: i64, nth: usize, amount: i128| {
        let moves_money = !["placed", "cancelled"].contains(&fact.kind);
        let place = (
            time,
            opener.time,
            first_payment.filter(|_| moves_money).unwrap_or(opener.time),
            fact.kind.to_owned(),
            fact.province.map(str::to_owned).or_else(|| first(|fact| fact.province)),
            match by_shop {
                true => shop.map(str::to_owned),
                false => fact.shop.map(str::to_owned).or_else(|| first(|fact| fact.shop)),
            },
        );
        result.sums.entry(place).or_default()[nth] += amount;
    };

    add(opener, opener.time, 0, opener.amount.unwrap_or(0));
    add(opener, opener.time, 5, 1);
    if let Some(cancel) = canceller {
        let time = cancel.time.max(opener.time);
        add(cancel, time, 1, opener.amount.unwrap_or(0));
        add(cancel, time, 6, 1);
    }
    for (at, payment) in payments.iter().enumerate() {
        add(payment, payment.time, 2, payment.amount.unwrap_or(0));
        if at == 0 {
            add(payment, payment.time, 7, 1);
        }
    }
    // Every cent that was paid, and every cent that is asked back, in the order of event time.
    let cents = |amount: Option<i128>| amount.unwrap_or(0) as usize;
    let paid: Vec<i64> = payments
        .iter()
        .flat_map(|fact| std::iter::repeat_n(fact.time, cents(fact.amount)))
        .collect();
    // What asks for all there is asks once: for every cent paid up to its time, or else for the first payment's
    // that has cents nobody asked for.
    let mut asked: Vec<&Fact> = Vec::new();
    for refund in &refunds {
        let wanted = match refund.amount {
            Some(_) => cents(refund.amount),
            None => {
                let paid_by = |nth: usize| -> usize {
                    payments.iter().take(nth).map(|fact| cents(fact.amount)).sum()
                };
                let before = payments.iter().filter(|fact| *fact < refund).count();
                let mut reached = (before..=payments.len()).map(paid_by);
                reached.find(|paid| *paid > asked.len()).map_or(0, |paid| paid - asked.len())
            }
        };
        asked.extend(std::iter::repeat_n(*refund, wanted));
    }
    let mut capped: Vec<&Fact> = Vec::new();
    for (at, refund) in asked.iter().enumerate() {
        match paid.get(at) {
            Some(paid) => {
                add(refund, refund.time.max(*paid), 3, 1);
                if at == 0 {
                    add(refund, refund.time.max(*paid), 8, 1);
                }
            }
            None if refund.amount.is_some() => {
                add(refund, refund.time, 4, 1);
                if capped.last().is_none_or(|last| !std::ptr::eq(*last, *refund)) {
                    capped.push(refund);
                }
            }
            None => {}
        }
    }
    for fact in &kept {
        let counts = std::ptr::eq(fact, opener)
            || payments.iter().any(|payment| std::ptr::eq(*payment, fact))
            || canceller == Some(fact)
            || refunds.iter().any(|refund| std::ptr::eq(*refund, fact));
        let is_capped = capped.iter().any(|refund| std::ptr::eq(*refund, fact));
        result.stands[if is_capped {
            1
        } else if counts {
            0
        } else {
            2
        }] += 1;
    }
    result.sums.retain(|_, sums| *sums != Sums::default());
    result
}
