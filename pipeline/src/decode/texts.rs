//! A column of texts as it grows: the bytes of all one after another, and where each ends.

use arrow::array::{NullBufferBuilder, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::error::ArrowError;

/// Texts, appended as bytes that a reader has found to be UTF-8. It is looked at once more where they become a column, all
/// at once, so that a fault of a reader is an error and never a text that is none.
#[derive(Debug)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Default for Texts {
    fn default() -> Self {
        Self::with_capacity(0, 0)
    }
}

impl Texts {
    fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self { bytes: Vec::with_capacity(bytes), ends, nulls: NullBufferBuilder::new(rows) }
    }

    /// Appends a text.
    pub(super) fn append(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.nulls.append_non_null();
        self.end();
    }

    /// Appends NULL.
    pub(super) fn append_null(&mut self) {
        self.nulls.append_null();
        self.end();
    }

    fn end(&mut self) {
        // What is too long is told when the column is made.
        self.ends.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
    }

    /// The column. The next one has room for as much, for batches are mostly of one size.
    ///
    /// # Errors
    /// When it is no UTF-8, or has more than 2 GiB.
    pub(super) fn finish(&mut self) -> Result<StringArray, ArrowError> {
        if i32::try_from(self.bytes.len()).is_err() {
            return Err(ArrowError::OffsetOverflowError(self.bytes.len()));
        }
        let next = Self::with_capacity(self.ends.len() - 1, self.bytes.len());
        let Self { bytes, ends, mut nulls } = std::mem::replace(self, next);
        let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
        StringArray::try_new(ends, Buffer::from_vec(bytes), nulls.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_nulls_are_a_column_and_the_next_begins_empty() {
        let mut texts = Texts::default();
        texts.append("杭州".as_bytes());
        texts.append_null();
        texts.append(b"");
        let column = texts.finish().expect("a column");
        assert_eq!(column, StringArray::from(vec![Some("杭州"), None, Some("")]));
        assert_eq!(texts.finish().expect("a column"), StringArray::from(Vec::<&str>::new()));
    }

    #[test]
    fn what_is_no_text_is_no_column() {
        for parts in [[&b"\xFF"[..], b"a"], [&"杭".as_bytes()[..1], &"杭".as_bytes()[1..]]] {
            let mut texts = Texts::default();
            parts.iter().for_each(|part| texts.append(part));
            assert!(texts.finish().is_err(), "{parts:?}");
        }
    }
}
