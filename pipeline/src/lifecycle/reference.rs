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

/// `placed` opens, `deposit` opens and pays, `paid` pays, `instalment` pays each, `cancelled` cancels,
/// `closed` cancels and refunds, `refunded` refunds each. With `by_shop` amounts of two shops cannot be compared: money
/// of another shop than the order's is refused.
pub fn expected(facts: &[Fact], by_shop: bool) -> Expected {
    let mut facts = facts.to_vec();
    facts.sort();
    let mut kept: Vec<Fact> = Vec::new();
    for fact in &facts {
        let adds_up = fact.kind == "instalment" || fact.kind == "refunded";
        if adds_up || kept.iter().all(|earlier| earlier.kind != fact.kind) {
            kept.push(fact.clone());
        }
    }
    let mut result = Expected::default();
    result.stands[2] = (facts.len() - kept.len()) as u64;
    let is = |kinds: &'static [&'static str]| move |fact: &&Fact| kinds.contains(&fact.kind);
    let Some(opener) = kept.iter().find(is(&["placed", "deposit"])) else {
        result.stands[3] = kept.len() as u64;
        return result;
    };
    let opener = opener.clone();
    let shop = opener.shop.or_else(|| kept.iter().find_map(|fact| fact.shop)).filter(|_| by_shop);
    let all = kept.clone();
    kept.retain(|fact| {
        let moves_money = !["placed", "cancelled"].contains(&fact.kind) && fact.amount.is_some();
        *fact == opener || !moves_money || shop.is_none() || fact.shop.is_none() || fact.shop == shop
    });
    result.stands[4] = (all.len() - kept.len()) as u64;
    let Some(opener) = kept.iter().find(|fact| **fact == opener) else { return result };
    let payments: Vec<&Fact> = kept.iter().filter(is(&["deposit", "paid", "instalment"])).collect();
    let canceller = kept.iter().find(is(&["cancelled", "closed"]));
    let refunds: Vec<&Fact> = kept
        .iter()
        .filter(|fact| fact.kind == "refunded" || fact.kind == "closed" && Some(*fact) == canceller)
        .collect();
    let first = |of: fn(&Fact) -> Option<&'static str>| all.iter().find_map(of).map(str::to_owned);
    let first_payment = payments.first().map(|fact| fact.time);
    let mut add = |fact: &Fact, time: i64, nth: usize, amount: i128| {
        let moves_money = !["placed", "cancelled"].contains(&fact.kind);
        let place = (
            time,
            opener.time,
            first_payment.filter(|_| moves_money).unwrap_or(opener.time),
            fact.kind.to_owned(),
            fact.province.map(str::to_owned).or_else(|| first(|fact| fact.province)),
            fact.shop.map(str::to_owned).or_else(|| first(|fact| fact.shop)),
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
            || canceller.is_some_and(|cancel| std::ptr::eq(cancel, fact))
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
