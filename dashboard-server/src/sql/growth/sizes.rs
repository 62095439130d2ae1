//! How many bytes the values of a column have.

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

/// Bytes an entry of a list takes beside its own.
const ENTRY_BYTES: usize = 8;

/// Sizes of one argument, a row each.
pub(super) enum Sizes {
    /// The same for every row.
    Same(usize),
    /// One a row.
    Each(Vec<usize>),
}

impl Sizes {
    /// Of an argument's values, in bytes.
    ///
    /// # Errors
    /// When the engine cannot read its own scalar.
    pub(super) fn of(value: &ColumnarValue) -> Result<Self> {
        Self::by(value, lengths)
    }

    /// Of an argument's lists, in entries; 1 for what is no list.
    ///
    /// # Errors
    /// When the engine cannot read its own scalar.
    pub(super) fn entries(value: &ColumnarValue) -> Result<Self> {
        Self::by(value, |array| match array.data_type() {
            DataType::List(_) => spans(array.as_list::<i32>().offsets().as_ref()),
            DataType::LargeList(_) => spans(array.as_list::<i64>().offsets().as_ref()),
            DataType::FixedSizeList(_, entries) => {
                vec![usize::try_from(*entries).unwrap_or(0); array.len()]
            }
            _ => vec![1; array.len()],
        })
    }

    fn by(value: &ColumnarValue, measure: impl Fn(&dyn Array) -> Vec<usize>) -> Result<Self> {
        match value {
            ColumnarValue::Array(array) => Ok(Self::Each(measure(array.as_ref()))),
            ColumnarValue::Scalar(scalar) => {
                let one = scalar.to_array_of_size(1)?;
                Ok(Self::Same(measure(one.as_ref()).first().copied().unwrap_or(0)))
            }
        }
    }

    /// Of one row.
    pub(super) fn at(&self, row: usize) -> usize {
        match self {
            Self::Same(size) => *size,
            Self::Each(sizes) => sizes.get(row).copied().unwrap_or(0),
        }
    }
}

/// Bytes of every value of a column.
pub(in crate::sql) fn lengths(array: &dyn Array) -> Vec<usize> {
    let wide = |length: u32| usize::try_from(length).unwrap_or(usize::MAX);
    match array.data_type() {
        DataType::Utf8 => spans(array.as_string::<i32>().offsets().as_ref()),
        DataType::LargeUtf8 => spans(array.as_string::<i64>().offsets().as_ref()),
        DataType::Binary => spans(array.as_binary::<i32>().offsets().as_ref()),
        DataType::LargeBinary => spans(array.as_binary::<i64>().offsets().as_ref()),
        DataType::Utf8View => array.as_string_view().lengths().map(wide).collect(),
        DataType::BinaryView => array.as_binary_view().lengths().map(wide).collect(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            of_lists(list.values(), list.offsets().as_ref())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            of_lists(list.values(), list.offsets().as_ref())
        }
        DataType::Dictionary(..) => {
            let values = array.as_any_dictionary().values();
            vec![lengths(values.as_ref()).into_iter().max().unwrap_or(0); array.len()]
        }
        DataType::Struct(_) => of_structs(array.as_struct().columns(), array.len()),
        other => {
            let all = || array.get_array_memory_size().div_ceil(array.len().max(1));
            vec![other.primitive_width().unwrap_or_else(all); array.len()]
        }
    }
}

fn spans<T: Copy + TryInto<usize>>(offsets: &[T]) -> Vec<usize> {
    let at = |offset: T| offset.try_into().unwrap_or(0);
    offsets.windows(2).map(|pair| at(pair[1]).saturating_sub(at(pair[0]))).collect()
}

fn of_lists<T: Copy + TryInto<usize>>(values: &ArrayRef, offsets: &[T]) -> Vec<usize> {
    let mut sums = Vec::with_capacity(values.len() + 1);
    let mut sum = 0_usize;
    sums.push(sum);
    for length in lengths(values.as_ref()) {
        sum = sum.saturating_add(length + ENTRY_BYTES);
        sums.push(sum);
    }
    let upto = |offset: T| sums.get(offset.try_into().unwrap_or(0)).copied().unwrap_or(sum);
    offsets.windows(2).map(|pair| upto(pair[1]).saturating_sub(upto(pair[0]))).collect()
}

fn of_structs(columns: &[ArrayRef], rows: usize) -> Vec<usize> {
    let mut sums = vec![0_usize; rows];
    for column in columns {
        for (sum, length) in sums.iter_mut().zip(lengths(column.as_ref())) {
            *sum = sum.saturating_add(length);
        }
    }
    sums
}
