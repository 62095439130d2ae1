//! What an order's events amount to: a pure function of the events, whatever order they came in.
//!
//! The rules, each a sentence of the design:
//! * nothing counts before there is an event that opens the order; until then its events wait;
//! * the earliest opening event gives what was placed, and the order's own time;
//! * the earliest cancellation takes back what was placed, at its own time or the order's, the later;
//! * a refund takes effect as soon as there is something paid to give back: the k-th unit refunded stands
//!   against the k-th unit paid, at the later of their times. So at no point of event time has an order
//!   given back more than it took, and what is above everything paid is its excess;
//! * where the rules know a currency, an order is in one: that of its opening or, where that says none, of its earliest
//!   payment that says one; no refund and no cancellation says it. Money that says none is in the order's; money that says
//!   another, or one where the order has none, is refused and does nothing, for amounts of two currencies cannot be compared.
//!   Where the rules have a default, an order whose opening says none is in that, whatever its payments say, and its rows say
//!   none;
//! * of the events of a kind that counts once the earliest in the order's currency counts and the others repeat it: what is
//!   refused does not stand in its way;
//! * a cancellation is no money: the earliest counts whatever currency it names. What it gives back besides is money, and
//!   in another currency refused, while the cancellation counts; then the next one in the order's may give back;
//! * all effects of an order say the order's currency, for that is what their amounts are in;
//! * a refund without an amount gives back once what is there: all that is paid and not given back by its own
//!   time, or, where nothing is, the first payment after it. Later payments are not touched.

use super::attributes::{merge, replace, value};
use super::order::{Event, Order, currency_of};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// When it takes effect, epoch milliseconds.
    pub time: i64,
    /// The order's own time: of its earliest opening event.
    pub order_time: i64,
    /// Of its first payment; of the order where the event neither pays nor refunds, or nothing is paid.
    pub paid_time: i64,
    /// Number of the event's kind.
    pub kind: u16,
    /// The event's own attributes, the order's where it has none.
    pub attributes: AttributesAt,
    /// What it changes.
    pub measures: Measures,
}

/// Where the attributes of an effect are; see [`Settled::attributes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributesAt {
    /// A row of the order's.
    Row(u16),
    /// Made for it, from here to there.
    Made(usize, usize),
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
    /// Its money is in another currency than its order's; a cancellation among these counts but for its money.
    Foreign,
}

/// What an order's events amount to. One is used again and again, so that settling takes no memory.
#[derive(Debug, Default)]
pub struct Settled {
    /// The effects, those of one event together.
    pub effects: Vec<Effect>,
    /// How each of the order's events stands, in their order.
    pub stands: Vec<Stand>,
    /// Attributes that no single event carries.
    made: Vec<u8>,
    /// The order's attributes, where its events carry different ones; and room for the next of them.
    of_order: [Vec<u8>; 2],
    refunds: Vec<Pending>,
}

/// A refund for which nothing, or not enough, has been paid yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    event: usize,
    /// What is left to give back; `None` for all there is.
    left: Option<i128>,
}

impl Settled {
    /// Becomes what an order without events amounts to.
    pub fn clear(&mut self) {
        self.effects.clear();
        self.stands.clear();
        self.made.clear();
        self.refunds.clear();
    }

    /// Becomes what an order amounts to.
    pub fn settle(&mut self, order: &Order, rules: &Rules) {
        self.clear();
        let events = order.events.as_slice();
        let opener = events.iter().position(|event| rules.action(event.kind).opens);
        let Some(opener) = opener else {
            self.stands.resize(events.len(), Stand::Waiting);
            return;
        };
        let purse = Purse::of(order, rules, opener);
        let is_mixed = order.attributes.len() != 1;
        if is_mixed {
            self.gather_attributes(order, purse);
        }
        let first = |does: &dyn Fn(&Event) -> bool| events.iter().position(does);
        let cancels = |event: &Event| rules.action(event.kind).cancels;
        let pays = |event: &Event| rules.action(event.kind).pays;
        let mut run = Run {
            order,
            rules,
            is_mixed,
            opener,
            order_time: events.get(opener).map_or(i64::MIN, |event| event.time),
            canceller: first(&cancels),
            giver: first(&|event| cancels(event) && !purse.is_foreign(event)),
            first_payment: first(&|event| pays(event) && !purse.is_foreign(event)),
            purse,
            left: 0,
            is_refunded: false,
            settled: self,
        };
        for (at, event) in events.iter().enumerate() {
            run.event(at, event);
        }
        run.close();
    }

    /// The attributes of one of the effects of this order.
    #[must_use]
    pub fn attributes<'a>(&'a self, order: &'a Order, effect: &Effect) -> &'a [u8] {
        match effect.attributes {
            AttributesAt::Row(row) => order.attributes.get(usize::from(row)),
            AttributesAt::Made(from, to) => self.made.get(from..to).unwrap_or(&[]),
        }
    }

    /// The order's attributes: of each column what the earliest event has that has any and is not refused.
    fn gather_attributes(&mut self, order: &Order, purse: Purse<'_>) {
        let [all, next] = &mut self.of_order;
        all.clear();
        for event in order.events.iter().filter(|event| !purse.is_foreign(event)) {
            next.clear();
            merge(all, order.attributes_of(event), next);
            std::mem::swap(all, next);
        }
    }
}

/// The currency an order is in.
#[derive(Clone, Copy)]
struct Purse<'a> {
    order: &'a Order,
    rules: &'a Rules,
    /// The carried column that says it; `None` where nothing could be in another.
    column: Option<usize>,
    /// What it is; `None` where neither the opening nor a payment says any, and there is no default.
    currency: Option<&'a [u8]>,
    /// What the order's rows say: not the default, which would change rows of long ago when the first event comes that differs.
    said: Option<&'a [u8]>,
}

impl<'a> Purse<'a> {
    fn of(order: &'a Order, rules: &'a Rules, opener: usize) -> Self {
        // Events that carry the same are in the same.
        let column = rules.currency.filter(|_| order.attributes.len() > 1);
        let says = |event: &Event| value(order.attributes_of(event), column?);
        let opening = order.events.get(opener).and_then(says);
        let default = rules.currency_default.as_deref();
        let said = match default {
            Some(_) => opening,
            None => {
                let mut payments =
                    order.events.iter().filter(|event| rules.action(event.kind).pays);
                opening.or_else(|| payments.find_map(says))
            }
        };
        Self { order, rules, column, currency: said.or(default), said }
    }

    /// Whether an event's money says that it is in another currency.
    fn is_foreign(&self, event: &Event) -> bool {
        if self.column.is_none() {
            return false;
        }
        let said = currency_of(event, self.order.attributes_of(event), self.rules);
        said.is_some() && said != self.currency
    }

    /// Whether an earlier one of its kind, whose money is not refused, has done what an event does.
    fn is_repeat(&self, at: usize, event: &Event) -> bool {
        // Without a currency only one of a kind is kept.
        if self.column.is_none() || self.rules.action(event.kind).each {
            return false;
        }
        let mut earlier = self.order.events.iter().take(at);
        earlier.any(|earlier| earlier.kind == event.kind && !self.is_foreign(earlier))
    }
}

struct Run<'a> {
    order: &'a Order,
    rules: &'a Rules,
    /// Whether its events carry different attributes.
    is_mixed: bool,
    opener: usize,
    /// The order's own time.
    order_time: i64,
    canceller: Option<usize>,
    /// The cancellation that may give back: the earliest whose money is not refused.
    giver: Option<usize>,
    first_payment: Option<usize>,
    purse: Purse<'a>,
    /// Paid and not given back.
    left: i128,
    is_refunded: bool,
    settled: &'a mut Settled,
}

impl Run<'_> {
    fn event(&mut self, at: usize, event: &Event) {
        let action = self.rules.action(event.kind);
        let amount = event.amount.unwrap_or(0);
        let is_foreign = self.purse.is_foreign(event);
        let moves_money = !is_foreign && !self.purse.is_repeat(at, event);
        let opens = at == self.opener;
        let pays = action.pays && moves_money;
        let cancels = self.canceller == Some(at);
        let mut stand = if is_foreign { Stand::Foreign } else { Stand::Repeated };
        if opens || pays || cancels && !is_foreign {
            stand = Stand::Applied;
        }
        if pays {
            self.left = self.left.saturating_add(amount);
        }
        if action.refunds && moves_money && (!action.cancels || self.giver == Some(at)) {
            self.settled.refunds.push(Pending { event: at, left: event.amount });
            stand = Stand::Applied;
        }
        let is_first = self.first_payment == Some(at);
        let opened = self.order.events.get(self.opener).and_then(|opened| opened.amount);
        // A payment of nothing that is not the first changes nothing.
        if opens || cancels || pays && (amount != 0 || is_first) {
            let time = if cancels { event.time.max(self.order_time) } else { event.time };
            let measures = self.effect(event, time);
            if opens {
                (measures.placed, measures.placed_orders) = (amount, 1);
            }
            if pays {
                (measures.paid, measures.paid_orders) = (amount, i64::from(is_first));
            }
            if cancels {
                (measures.cancelled, measures.cancelled_orders) = (opened.unwrap_or(0), 1);
            }
        }
        self.settled.stands.push(stand);
        self.give_back(event.time);
    }

    /// Gives back what is asked for, first come first served by event time, as far as there is money.
    fn give_back(&mut self, time: i64) {
        let order = self.order;
        for nth in 0..self.settled.refunds.len() {
            let Some(refund) = self.settled.refunds.get_mut(nth) else { continue };
            let given = refund.left.unwrap_or(i128::MAX).min(self.left);
            let Some(event) = order.events.get(refund.event).filter(|_| given > 0) else {
                continue;
            };
            self.left -= given;
            // What asks for all there is has had it: what is paid later is not its.
            refund.left = Some(refund.left.map_or(0, |left| left - given));
            let first = !std::mem::replace(&mut self.is_refunded, true);
            let measures = self.effect(event, time);
            (measures.refunded, measures.refunded_orders) = (given, i64::from(first));
        }
        self.settled.refunds.retain(|refund| refund.left != Some(0));
    }

    /// An effect of an event; what it changes is for the caller to say, in its place: to copy it would take longer.
    fn effect(&mut self, event: &Event, time: i64) -> &mut Measures {
        let action = self.rules.action(event.kind);
        let pays = self.first_payment.filter(|_| action.pays || action.refunds);
        let paid_time = pays.and_then(|at| self.order.events.get(at)).map(|event| event.time);
        let attributes = match self.is_mixed {
            false => AttributesAt::Row(event.attributes),
            true => self.made(event),
        };
        let effect = Effect {
            time,
            order_time: self.order_time,
            paid_time: paid_time.unwrap_or(self.order_time),
            kind: event.kind,
            attributes,
            measures: Measures::default(),
        };
        let at = self.settled.effects.len();
        self.settled.effects.push(effect);
        &mut self.settled.effects[at].measures
    }

    /// The event's attributes with what it lacks from the order's, in the order's currency.
    fn made(&mut self, event: &Event) -> AttributesAt {
        let Settled { made, of_order: [of_order, row], .. } = &mut *self.settled;
        let (from, own) = (made.len(), self.order.attributes_of(event));
        match self.purse.column {
            None => merge(own, of_order, made),
            Some(column) => {
                row.clear();
                merge(own, of_order, row);
                replace(row, column, self.purse.said, made);
            }
        }
        AttributesAt::Made(from, made.len())
    }

    fn close(mut self) {
        let order = self.order;
        for nth in 0..self.settled.refunds.len() {
            let Some(refund) = self.settled.refunds.get(nth).copied() else { continue };
            let (Some(excess), Some(event)) = (refund.left, order.events.get(refund.event)) else {
                continue;
            };
            self.effect(event, event.time).excess = excess;
            if let Some(stand) = self.settled.stands.get_mut(refund.event) {
                *stand = Stand::Capped;
            }
        }
    }
}
