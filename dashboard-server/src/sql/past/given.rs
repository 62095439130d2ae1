//! Values for the parameters of clauses: `FOR VERSION AS OF $1`, `FOR SYSTEM_TIME AS OF $2 - INTERVAL '1 hour'`.
//!
//! Which table stands for a name has to be known before anything is planned, and a value that comes later cannot be in the plan.
//! So a clause is read with the values; what is prepared without them is planned over the table of now, as which it is described,
//! and planned anew with them before it runs.

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;

/// What is known of the parameters of a text when its clauses are read.
#[derive(Debug, Clone, Copy)]
pub(in crate::sql) enum Given<'a> {
    /// There are none here: a clause with one is refused.
    Nothing,
    /// They come when it runs; until then the table of now stands for what is asked.
    Later,
    /// They are these, from `$1`.
    Values(&'a [ScalarValue]),
}

/// What a parameter of a clause says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Says {
    /// The number of a version.
    Version,
    /// A time.
    Time,
}

/// The parameters of a text's clauses, by their numbers.
pub(in crate::sql) type Parameters = BTreeMap<usize, Says>;

impl Says {
    /// The type that it is asked for as.
    pub(in crate::sql) fn data_type(self) -> DataType {
        match self {
            Self::Version => DataType::Int64,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// The types of a plan's placeholders, with those of clauses, which are in no plan.
pub(in crate::sql) fn with_clauses(
    mut types: HashMap<String, Option<DataType>>,
    clauses: &Parameters,
) -> HashMap<String, Option<DataType>> {
    for (nth, says) in clauses {
        types.entry(format!("${nth}")).or_insert_with(|| Some(says.data_type()));
    }
    types
}

impl<'a> Given<'a> {
    /// The value of a parameter by its name, and its number; no value where it comes later.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn value(self, name: &str) -> Result<(usize, Option<&'a ScalarValue>), String> {
        let nth = name.strip_prefix('$').and_then(|nth| nth.parse::<usize>().ok());
        let nth = nth.filter(|nth| *nth > 0);
        let nth = nth.ok_or_else(|| format!("{name} is no parameter here: write $1, $2, …"))?;
        match self {
            Self::Nothing => {
                Err(format!("AS OF takes no parameter here; write the value of {name}"))
            }
            Self::Later => Ok((nth, None)),
            Self::Values(values) => match values.get(nth - 1) {
                Some(value) if !value.is_null() => Ok((nth, Some(value))),
                Some(_) => {
                    Err(format!("AS OF {name} is NULL, which is neither a version nor a time"))
                }
                None => Err(format!("AS OF {name} has no value: {} are given", values.len())),
            },
        }
    }
}

/// The number of a version that a parameter has.
pub(super) fn version_of(name: &str, value: &ScalarValue) -> Result<u64, String> {
    let told = match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            text.trim().parse().ok()
        }
        value if value.data_type().is_integer() => match value.cast_to(&DataType::UInt64) {
            Ok(ScalarValue::UInt64(version)) => version,
            _ => None,
        },
        _ => None,
    };
    told.ok_or_else(|| {
        format!("AS OF {name} = {value} is no version: a version is a whole number, as 12")
    })
}
