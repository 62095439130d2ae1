//! Small pieces of memory for millions of orders, all in one: to ask the system for each costs more than to fill it, and
//! orders that come one after another lie one after another.

/// Pieces are of whole units.
const UNIT: usize = 16;
/// Up to this many units each size has pieces of its own; above it sizes are powers of two.
const EXACT_UNITS: usize = 256;

/// Pieces of memory. What is given back is used again for pieces of the same size.
#[derive(Debug, Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    /// For each size the places of pieces that nobody has.
    free: Vec<Vec<usize>>,
}

/// A piece of an arena: where it begins, and how many bytes of it are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Piece {
    at: usize,
    length: usize,
}

impl Piece {
    /// How many bytes it has.
    pub(super) fn len(self) -> usize {
        self.length
    }

    /// Whether it has none, as before anything was kept.
    pub(super) fn is_empty(self) -> bool {
        self.length == 0
    }
}

/// Units that a piece of so many bytes takes, and the number of its size.
fn size(length: usize) -> (usize, usize) {
    let units = length.div_ceil(UNIT);
    if units <= EXACT_UNITS {
        return (units, units);
    }
    let units = units.next_power_of_two();
    let above = units.trailing_zeros() - EXACT_UNITS.trailing_zeros();
    (units, EXACT_UNITS + usize::try_from(above).unwrap_or(0))
}

impl Arena {
    /// The bytes of a piece.
    pub(super) fn get(&self, piece: Piece) -> &[u8] {
        self.bytes.get(piece.at..piece.at + piece.length).unwrap_or(&[])
    }

    /// Keeps bytes in place of those of `piece`: the first ones, and the others behind them.
    pub(super) fn replace(&mut self, piece: Piece, first: &[u8], others: &[u8]) -> Piece {
        let length = first.len() + others.len();
        let fits = size(piece.length) == size(length);
        if !fits {
            self.release(piece);
        }
        let at = if fits { piece.at } else { self.room(length) };
        if let Some(room) = self.bytes.get_mut(at..at + length) {
            let (left, right) = room.split_at_mut(first.len());
            left.copy_from_slice(first);
            right.copy_from_slice(others);
        }
        Piece { at, length }
    }

    /// Takes a piece back.
    pub(super) fn release(&mut self, piece: Piece) {
        let (units, number) = size(piece.length);
        if units == 0 {
            return;
        }
        if self.free.len() <= number {
            self.free.resize_with(number + 1, Vec::new);
        }
        self.free[number].push(piece.at);
    }

    /// Where so many bytes have room.
    fn room(&mut self, length: usize) -> usize {
        let (units, number) = size(length);
        if units == 0 {
            return 0;
        }
        if let Some(at) = self.free.get_mut(number).and_then(Vec::pop) {
            return at;
        }
        let at = self.bytes.len();
        self.bytes.resize(at + units * UNIT, 0);
        at
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn pieces_keep_their_bytes_whatever_comes_and_goes_beside_them() {
        for seed in 0..20 {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let mut arena = Arena::default();
            let mut pieces: Vec<(Piece, Vec<u8>)> = vec![(Piece::default(), Vec::new()); 50];
            for step in 0..3_000_usize {
                let at = dice.random_range(0..pieces.len());
                let (piece, bytes) = &mut pieces[at];
                if dice.random_bool(0.2) {
                    arena.release(*piece);
                    (*piece, *bytes) = (Piece::default(), Vec::new());
                } else {
                    let longest = if dice.random_bool(0.05) { 20_000 } else { 300 };
                    let length = dice.random_range(0..longest);
                    *bytes = (0..length).map(|nth: usize| (nth ^ step).to_le_bytes()[0]).collect();
                    let (first, others) = bytes.split_at(dice.random_range(0..=length));
                    *piece = arena.replace(*piece, first, others);
                }
                for (piece, bytes) in &pieces {
                    assert_eq!(arena.get(*piece), bytes, "seed {seed}, step {step}");
                    assert_eq!(piece.is_empty(), bytes.is_empty());
                }
            }
        }
    }

    #[test]
    fn what_is_given_back_is_used_again() {
        let mut arena = Arena::default();
        for length in [1, 16, 17, 4_096, 4_097, 100_000] {
            let piece = arena.replace(Piece::default(), &vec![7; length], &[]);
            arena.release(piece);
            let taken = arena.bytes.len();
            for _ in 0..100 {
                let piece = arena.replace(Piece::default(), &vec![7; length], &[]);
                arena.release(piece);
            }
            assert_eq!(arena.bytes.len(), taken, "{length}");
        }
    }
}
