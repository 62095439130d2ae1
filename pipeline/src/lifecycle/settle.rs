//! What an order's events amount to: a pure function of the events, whatever order they came in.
//!
//! The rules, each a sentence of the design:
//! * nothing counts before there is an event that opens the order; until then its events wait;
//! * the earliest opening event gives what was placed, and the order's own time;
//! * the earliest cancellation takes back what was placed, at its own time or the order's, the later;
//! * a refund takes effect as soon as there is something paid to give back: the k-th unit refunded stands
//!   against the k-th unit paid, at the later of their times. So at no point of event time has an order
//!   given back more than it took, and what is above everything paid is its excess.

use std::borrow::Cow;

use super::attributes::merged;
use super::order::{Event, Order};
use super::rules::Rules;

/// What an event changes, in the amount column's smallest unit and in orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measures {
    /// Placed.
    pub placed: i128,
    /// Of what was placed, taken back by a cancellation.
    pub cancelled: i128,
    /// Paid.
    pub paid: i128,
    /// Given back, never more than was paid.
    pub refunded: i128,
    /// Asked back above what was paid.
    pub excess: i128,
    /// 1 where the order begins.
    pub placed_orders: i64,
    /// 1 where it is cancelled.
    pub cancelled_orders: i64,
    /// 1 at its first payment.
    pub paid_orders: i64,
    /// 1 at its first refund.
    pub refunded_orders: i64,
}

/// One effect of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect<'a> {
    /// When it takes effect, epoch milliseconds.
    pub time: i64,
    /// The order's own time: of its earliest opening event.
    pub order_time: i64,
    /// Of its first payment; of the order where the event neither pays nor refunds, or nothing is paid.
    pub paid_time: i64,
    /// Number of the event's kind.
    pub kind: u16,
    /// The event's own attributes, the order's where it has none.
    pub attributes: Cow<'a, [u8]>,
    /// What it changes.
    pub measures: Measures,
}

/// How a kept event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// It counts in full.
    Applied,
    /// A refund above what was paid: the rest is its excess.
    Capped,
    /// Another event has done before what it does.
    Repeated,
    /// Its order has not come.
    Waiting,
}

/// What an order's events amount to.
#[derive(Debug, Default)]
pub struct Settled<'a> {
    /// The effects, those of one event together.
    pub effects: Vec<Effect<'a>>,
    /// How each of the order's events stands, in their order.
    pub stands: Vec<Stand>,
}

/// A refund for which nothing, or not enough, has been paid yet.
struct Pending {
    event: usize,
    /// What is left to give back; `None` for all there is.
    left: Option<i128>,
}

/// Settles an order.
#[must_use]
pub fn settle<'a>(order: &'a Order, rules: &Rules) -> Settled<'a> {
    settle_events(order, &order.events, rules)
}

/// Settles some events of an order, which carry its attributes and stand in its order.
#[must_use]
pub fn settle_events<'a>(order: &'a Order, events: &[Event], rules: &Rules) -> Settled<'a> {
    let opener = events.iter().position(|event| rules.action(event.kind).opens);
    let Some(opener) = opener else {
        return Settled { effects: Vec::new(), stands: vec![Stand::Waiting; events.len()] };
    };
    let attributes = match order.attributes.as_slice() {
        [_] => None,
        _ => Some(
            events.iter().fold(Vec::new(), |all, event| merged(&all, order.attributes_of(event))),
        ),
    };
    let mut run = Run {
        order,
        events,
        rules,
        attributes,
        opener,
        canceller: events.iter().position(|event| rules.action(event.kind).cancels),
        first_payment: events
            .iter()
            .find(|event| rules.action(event.kind).pays)
            .map(|event| event.time),
        left: 0,
        is_refunded: false,
        settled: Settled::default(),
        refunds: Vec::new(),
    };
    for at in 0..events.len() {
        run.event(at);
    }
    run.close()
}

struct Run<'a, 'r> {
    order: &'a Order,
    events: &'r [Event],
    rules: &'r Rules,
    /// The order's attributes; `None` where all its events carry the same.
    attributes: Option<Vec<u8>>,
    opener: usize,
    canceller: Option<usize>,
    first_payment: Option<i64>,
    /// Paid and not given back.
    left: i128,
    is_refunded: bool,
    settled: Settled<'a>,
    refunds: Vec<Pending>,
}

impl<'a> Run<'a, '_> {
    fn event(&mut self, at: usize) {
        let Some(event) = self.events.get(at).copied() else { return };
        let action = self.rules.action(event.kind);
        let amount = event.amount.unwrap_or(0);
        let mut measures = Measures::default();
        let mut stand = Stand::Repeated;
        let mut time = event.time;
        if at == self.opener {
            measures.placed = amount;
            measures.placed_orders = 1;
            stand = Stand::Applied;
        }
        if action.pays {
            measures.paid = amount;
            measures.paid_orders = i64::from(self.is_first_payment(at));
            self.left = self.left.saturating_add(amount);
            stand = Stand::Applied;
        }
        if self.canceller == Some(at) {
            let opened = self.events.get(self.opener);
            measures.cancelled = opened.and_then(|opened| opened.amount).unwrap_or(0);
            measures.cancelled_orders = 1;
            time = time.max(self.order_time());
            stand = Stand::Applied;
        }
        if action.refunds && (!action.cancels || self.canceller == Some(at)) {
            self.refunds.push(Pending { event: at, left: event.amount });
            stand = Stand::Applied;
        }
        if measures != Measures::default() {
            self.effect(&event, time, measures);
        }
        self.settled.stands.push(stand);
        self.give_back(event.time);
    }

    fn is_first_payment(&self, at: usize) -> bool {
        !self.events.iter().take(at).any(|event| self.rules.action(event.kind).pays)
    }

    fn order_time(&self) -> i64 {
        self.events.get(self.opener).map_or(i64::MIN, |event| event.time)
    }

    /// Gives back what is asked for, first come first served by event time, as far as there is money.
    fn give_back(&mut self, time: i64) {
        let mut pending = std::mem::take(&mut self.refunds);
        for refund in &mut pending {
            let given = refund.left.unwrap_or(i128::MAX).min(self.left);
            let Some(event) = self.events.get(refund.event).copied().filter(|_| given > 0) else {
                continue;
            };
            self.left -= given;
            refund.left = refund.left.map(|left| left - given);
            let first = !std::mem::replace(&mut self.is_refunded, true);
            let measures = Measures {
                refunded: given,
                refunded_orders: i64::from(first),
                ..Measures::default()
            };
            self.effect(&event, time, measures);
        }
        pending.retain(|refund| refund.left != Some(0));
        self.refunds = pending;
    }

    fn effect(&mut self, event: &Event, time: i64, measures: Measures) {
        let own = self.order.attributes_of(event);
        let attributes = match &self.attributes {
            None => Cow::Borrowed(own),
            Some(of_order) => Cow::Owned(merged(own, of_order)),
        };
        let order_time = self.order_time();
        let action = self.rules.action(event.kind);
        self.settled.effects.push(Effect {
            time,
            order_time,
            paid_time: self
                .first_payment
                .filter(|_| action.pays || action.refunds)
                .unwrap_or(order_time),
            kind: event.kind,
            attributes,
            measures,
        });
    }

    fn close(mut self) -> Settled<'a> {
        for refund in std::mem::take(&mut self.refunds) {
            let (Some(excess), Some(event)) = (refund.left, self.events.get(refund.event).copied())
            else {
                continue;
            };
            self.effect(&event, event.time, Measures { excess, ..Measures::default() });
            if let Some(stand) = self.settled.stands.get_mut(refund.event) {
                *stand = Stand::Capped;
            }
        }
        self.settled
    }
}
