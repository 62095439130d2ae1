//! The groups of one slice in one allocation: keys and states as bytes, in the order of the keys.
//!
//! Slices that are closed but may still be revised outnumber those that are open by ten thousand to one
//! (a day of one-second slices), so what a slice costs beyond its groups decides how much memory a view
//! needs. A hash table costs three allocations and about 350 bytes for one group; this costs one, and
//! two bytes a group more than the key and the state themselves.
//!
//! ```text
//! [length of key][key][length of state][state] … in the order of the keys; lengths in 7-bit groups
//! ```

/// The groups of one slice: encoded key to encoded state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    bytes: Box<[u8]>,
    groups: u32,
}

impl Slice {
    /// Number of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.groups).unwrap_or(usize::MAX)
    }

    /// Whether there is no group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups == 0
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Keys and states in the order of the keys.
    pub fn iter(&self) -> Groups<'_> {
        Groups { rest: &self.bytes }
    }
}

impl<'a> IntoIterator for &'a Slice {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Groups<'a>;

    fn into_iter(self) -> Groups<'a> {
        self.iter()
    }
}

/// Groups in any order, as an old checkpoint has them; of equal keys the last counts.
impl FromIterator<(Box<[u8]>, Box<[u8]>)> for Slice {
    fn from_iter<T: IntoIterator<Item = (Box<[u8]>, Box<[u8]>)>>(groups: T) -> Self {
        let sorted: std::collections::BTreeMap<_, _> = groups.into_iter().collect();
        let mut builder = SliceBuilder::default();
        sorted.iter().for_each(|(key, state)| builder.push(key, state));
        builder.finish()
    }
}

/// Walks a slice.
#[derive(Debug, Clone)]
pub struct Groups<'a> {
    rest: &'a [u8],
}

impl<'a> Groups<'a> {
    fn part(&mut self) -> Option<&'a [u8]> {
        let mut length = 0_usize;
        let mut shift = 0;
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            length |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
        let (part, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(part)
    }
}

impl<'a> Iterator for Groups<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.part()?, self.part()?))
    }
}

/// Puts a slice together; the keys must come in order.
#[derive(Debug, Default)]
pub struct SliceBuilder {
    bytes: Vec<u8>,
    groups: u32,
}

impl SliceBuilder {
    /// Adds a group whose key is larger than all before it.
    pub fn push(&mut self, key: &[u8], state: &[u8]) {
        self.part(key);
        self.part(state);
        self.groups += 1;
    }

    fn part(&mut self, part: &[u8]) {
        let mut length = part.len();
        while length >= 0x80 {
            self.bytes.push(0x80 | (length & 0x7F) as u8);
            length >>= 7;
        }
        self.bytes.push(length as u8);
        self.bytes.extend_from_slice(part);
    }

    /// The slice.
    #[must_use]
    pub fn finish(self) -> Slice {
        Slice { bytes: self.bytes.into_boxed_slice(), groups: self.groups }
    }
}

/// Where a group of two merged slices comes from.
#[derive(Debug, Clone, Copy)]
pub enum Origin<L, R> {
    /// Only from the left one.
    Left(L),
    /// Only from the right one.
    Right(R),
    /// From both.
    Both(L, R),
}

/// Walks two runs of groups, both in the order of their keys, as one.
pub fn merge<'a, L: 'a, R: 'a>(
    left: impl Iterator<Item = (&'a [u8], L)>,
    right: impl Iterator<Item = (&'a [u8], R)>,
) -> impl Iterator<Item = (&'a [u8], Origin<L, R>)> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (Some((left, _)), Some((right, _))) => left.cmp(right),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return None,
        };
        Some(match order {
            std::cmp::Ordering::Less => {
                left.next().map(|(key, found)| (key, Origin::Left(found)))?
            }
            std::cmp::Ordering::Greater => {
                right.next().map(|(key, found)| (key, Origin::Right(found)))?
            }
            std::cmp::Ordering::Equal => {
                let ((key, own), (_, theirs)) = (left.next()?, right.next()?);
                (key, Origin::Both(own, theirs))
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_back_in_the_order_of_their_keys() {
        let long = vec![7_u8; 20_000];
        let given: Vec<(Box<[u8]>, Box<[u8]>)> = vec![
            (b"b".as_slice().into(), long.as_slice().into()),
            (b"".as_slice().into(), b"".as_slice().into()),
            (b"a".as_slice().into(), b"xyz".as_slice().into()),
        ];
        let slice: Slice = given.into_iter().collect();
        assert_eq!(slice.len(), 3);
        let found: Vec<_> = slice.iter().collect();
        assert_eq!(found, [(&b""[..], &b""[..]), (b"a", b"xyz"), (b"b", long.as_slice())]);
    }

    #[test]
    fn two_runs_are_walked_as_one() {
        let left = [(&b"a"[..], 1), (b"c", 2)];
        let right = [(&b"b"[..], 'x'), (b"c", 'y')];
        let walked: Vec<String> = merge(left.into_iter(), right.into_iter())
            .map(|(key, from)| format!("{key:?} {from:?}"))
            .collect();
        assert_eq!(walked, ["[97] Left(1)", "[98] Right('x')", "[99] Both(2, 'y')"]);
    }
}
