//! What a record takes back of what earlier ones counted, and what it puts in its place.

use std::ops::Range;

/// How many amounts a row has that stay the same when they move from one time to another.
pub const AMOUNTS: usize = 5;

/// The rows of one record of which some take back what earlier ones counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// Numbers of the rows in their batch; they stand together.
    pub rows: Range<u32>,
    /// Of each of them what it adds, below zero for one that takes back.
    pub amounts: Vec<[i128; AMOUNTS]>,
}

impl Correction {
    /// Whether it would move an amount out of time: less where windows are open, and more where they are not.
    /// `is_late` says of each row that it is too late for every window; `None` for rows that play no part.
    #[must_use]
    pub fn is_lost(&self, is_late: impl Fn(u32) -> Option<bool>) -> bool {
        let (mut open, mut late) = ([0_i128; AMOUNTS], [0_i128; AMOUNTS]);
        for (row, amounts) in self.rows.clone().zip(&self.amounts) {
            let Some(is_late) = is_late(row) else { continue };
            let sums = if is_late { &mut late } else { &mut open };
            for (sum, amount) in sums.iter_mut().zip(amounts) {
                *sum = sum.saturating_add(*amount);
            }
        }
        open.iter().zip(&late).any(|(open, late)| *open < 0 && *late > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correction(amounts: &[i128]) -> Correction {
        let one = |amount: &i128| [*amount, 0, 0, 0, 0];
        let amounts: Vec<_> = amounts.iter().map(one).collect();
        Correction { rows: 0..u32::try_from(amounts.len()).expect("a few"), amounts }
    }

    #[test]
    fn an_amount_is_lost_where_it_leaves_what_is_open_for_what_is_closed() {
        let late = |rows: &'static [u32]| move |row: u32| Some(rows.contains(&row));
        let moved = correction(&[-10, 10]);
        assert!(moved.is_lost(late(&[1])), "the payment's new day is closed");
        assert!(!moved.is_lost(late(&[])) && !moved.is_lost(late(&[0, 1])));
        assert!(
            !moved.is_lost(|row| (row == 0).then_some(false)),
            "the view leaves the other row out"
        );
        // A refund told late takes from one that was told: 400 become 300 and 100.
        let shared = correction(&[-400, 300, 100]);
        assert!(shared.is_lost(late(&[1])));
        // What changes at one closed time is no move.
        assert!(!correction(&[-385, 18, 367]).is_lost(late(&[0, 1])));
    }
}
