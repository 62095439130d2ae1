//! What became of the events of one partition, and what is told of those that do not count.

use std::sync::Arc;

use super::settle::Stand;

/// An order's key as bytes.
pub type Key = Arc<[u8]>;

/// What became of the events of one partition.
///
/// `taken = applied + capped + repeated + waiting + expired + refused + ignored`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events taken in.
    pub taken: u64,
    /// Events that count in full.
    pub applied: u64,
    /// Refunds of which a part is above what was paid.
    pub capped: u64,
    /// Events that another one of their order has done before.
    pub repeated: u64,
    /// Events whose order has not come yet.
    pub waiting: u64,
    /// Events whose order did not come within the horizon, or that came after it themselves.
    pub expired: u64,
    /// Events that cannot be what they say, or whose money is in another currency than their order's.
    pub refused: u64,
    /// Events of kinds that are not declared.
    pub ignored: u64,
    /// Rows handed on, those that take something back too.
    pub rows: u64,
    /// Orders kept now.
    pub orders: u64,
    /// Orders forgotten before the horizon because there were too many.
    pub forgotten_early: u64,
}

impl Counts {
    /// Whether no event has disappeared.
    #[must_use]
    pub fn balances(&self) -> bool {
        let fates = [
            self.applied,
            self.capped,
            self.repeated,
            self.waiting,
            self.expired,
            self.refused,
            self.ignored,
        ];
        self.taken == fates.iter().sum::<u64>()
    }

    /// The names of [`Counts::to_numbers`], in its order.
    pub const NAMES: [&'static str; 11] = [
        "taken",
        "applied",
        "capped",
        "repeated",
        "waiting",
        "expired",
        "refused",
        "ignored",
        "rows",
        "orders",
        "forgotten_early",
    ];

    /// All of them, in the order of [`Counts::NAMES`].
    #[must_use]
    pub fn to_numbers(self) -> [u64; 11] {
        [
            self.taken,
            self.applied,
            self.capped,
            self.repeated,
            self.waiting,
            self.expired,
            self.refused,
            self.ignored,
            self.rows,
            self.orders,
            self.forgotten_early,
        ]
    }

    /// The sum of two partitions' counts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let mut sum = self.to_numbers();
        sum.iter_mut().zip(other.to_numbers()).for_each(|(sum, count)| *sum += count);
        Self::from_numbers(sum)
    }

    /// The counts with these numbers.
    #[must_use]
    pub fn from_numbers(numbers: [u64; 11]) -> Self {
        let [
            taken,
            applied,
            capped,
            repeated,
            waiting,
            expired,
            refused,
            ignored,
            rows,
            orders,
            forgotten_early,
        ] = numbers;
        Self {
            taken,
            applied,
            capped,
            repeated,
            waiting,
            expired,
            refused,
            ignored,
            rows,
            orders,
            forgotten_early,
        }
    }

    /// The count of events that stand like this.
    pub(super) fn of(&mut self, stand: Stand) -> &mut u64 {
        match stand {
            Stand::Applied => &mut self.applied,
            Stand::Capped => &mut self.capped,
            Stand::Repeated => &mut self.repeated,
            Stand::Waiting => &mut self.waiting,
            Stand::Foreign => &mut self.refused,
        }
    }
}

/// How an event stands that does not count, or no longer stands so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its order has not come yet.
    Waiting,
    /// It asks for more than was paid.
    Capped,
    /// Its order did not come within the horizon.
    Expired,
    /// It came when its order could already have been forgotten.
    TooOld,
    /// Its order was forgotten early, for there were too many.
    Crowded,
    /// Its amount is below zero.
    Negative,
    /// It needs an amount and has none.
    NoAmount,
    /// Its order has as many events as one may have.
    TooMany,
    /// Its money is in another currency than its order's.
    Foreign,
    /// It counts after all, or repeats another.
    Settled,
}

impl From<Stand> for Standing {
    fn from(stand: Stand) -> Self {
        match stand {
            Stand::Waiting => Self::Waiting,
            Stand::Capped => Self::Capped,
            Stand::Foreign => Self::Foreign,
            Stand::Applied | Stand::Repeated => Self::Settled,
        }
    }
}

impl Standing {
    /// The word that groups it: `waiting`, `capped`, `expired`, `refused` or `settled`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Capped => "capped",
            Self::Expired | Self::TooOld | Self::Crowded => "expired",
            Self::Negative | Self::NoAmount | Self::TooMany | Self::Foreign => "refused",
            Self::Settled => "settled",
        }
    }

    /// The reason in a sentence.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Waiting => "its order has not come yet",
            Self::Capped => "it gives back more than was paid",
            Self::Expired => "its order did not come within the horizon",
            Self::TooOld => "it is older than the horizon",
            Self::Crowded => "it was given up at the bound orders.max, its order had not come",
            Self::Negative => "its amount is below zero",
            Self::NoAmount => "it has no amount",
            Self::TooMany => "its order has reached the bound events.max",
            Self::Foreign => "its money is not in the currency of its order",
            Self::Settled => "it counts",
        }
    }
}

/// Tells how one event stands from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its offset.
    pub offset: i64,
    /// Offset of the record that brought it about: its own, or one that was read later.
    pub due_to: i64,
    /// Its event time, epoch milliseconds.
    pub time: i64,
    /// Its order.
    pub key: Key,
    /// The same as text; the operator knows its type.
    pub order_key: String,
    /// Number of its kind.
    pub kind: u16,
    /// The same by name.
    pub event_type: String,
    /// How it stood before; [`Standing::Settled`] for one that is new or counted.
    pub was: Standing,
    /// How it stands.
    pub standing: Standing,
    /// The raw record, where it is at hand: while the event is new, or waits, or asks for money back. It is not of a payment
    /// that counted until an earlier opening, or payment, in another currency came.
    pub raw: Box<[u8]>,
}
