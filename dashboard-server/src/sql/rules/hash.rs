//! A value's keyed hash in its place: equal values stay equal, so that joins and COUNT(DISTINCT) work, and nobody
//! without the key can tell whose it is.
//!
//! The function has no name that a query could call it by: else whoever has a list of buyers could look them up.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, StringBuilder, StringViewBuilder,
};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use tidemark_pipeline::history::HashKey;

/// Whether values of a type can be hashed, into values of the same type.
pub(super) fn is_hashed(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::Utf8View | DataType::Int64)
}

/// The hash of a column of text or of BIGINT.
pub(super) fn hashed(column: Expr, key: &HashKey) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let function = ScalarUDF::new_from_impl(KeyedHash { signature, key: key.clone() });
    let call = ScalarFunction { func: Arc::new(function), args: vec![column] };
    Expr::ScalarFunction(call)
}

struct KeyedHash {
    signature: Signature,
    key: HashKey,
}

impl std::fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedHash")
    }
}

/// A server has one key.
impl PartialEq for KeyedHash {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for KeyedHash {}

impl Hash for KeyedHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        "keyed hash".hash(state);
    }
}

impl ScalarUDFImpl for KeyedHash {
    fn name(&self) -> &'static str {
        "masked"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [of] if is_hashed(of) => Ok(of.clone()),
            other => Err(DataFusionError::Plan(format!("{other:?} is not hashed"))),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let values = ColumnarValue::values_to_arrays(&args.args)?;
        let [values] = values.as_slice() else {
            return Err(DataFusionError::Internal("one value is hashed".to_owned()));
        };
        debug_assert!(values.len() == rows || values.len() == 1);
        Ok(ColumnarValue::Array(self.hashes(values)?))
    }
}

impl KeyedHash {
    fn hashes(&self, values: &ArrayRef) -> Result<ArrayRef> {
        match values.data_type() {
            DataType::Utf8 => {
                let mut hashes = StringBuilder::new();
                for value in values.as_string::<i32>() {
                    hashes.append_option(value.map(|value| self.key.hash(value)));
                }
                Ok(Arc::new(hashes.finish()))
            }
            DataType::Utf8View => {
                let mut hashes = StringViewBuilder::new();
                for value in values.as_string_view() {
                    hashes.append_option(value.map(|value| self.key.hash(value)));
                }
                Ok(Arc::new(hashes.finish()))
            }
            DataType::Int64 => {
                let values = values.as_primitive::<Int64Type>().iter();
                let hashes = values.map(|value| value.map(|value| self.number(value)));
                Ok(Arc::new(hashes.collect::<Int64Array>()))
            }
            other => Err(DataFusionError::Internal(format!("{other} is not hashed"))),
        }
    }

    /// 63 bits, so that it is not below zero: two of a million numbers meet once in ten million deployments.
    fn number(&self, value: i64) -> i64 {
        let digits = self.key.hash(&value.to_string());
        let leading = digits.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        i64::try_from(leading.unwrap_or(0) >> 1).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    fn hash(key: u8) -> KeyedHash {
        let signature = Signature::any(1, Volatility::Immutable);
        KeyedHash { signature, key: HashKey::new([key; 32]) }
    }

    #[test]
    fn equal_values_have_equal_hashes_under_one_key_and_others_under_another() {
        let texts: ArrayRef =
            Arc::new(StringArray::from(vec![Some("b1"), Some("b2"), None, Some("b1")]));
        let ours = hash(1).hashes(&texts).expect("hashes");
        let ours = ours.as_string::<i32>();
        assert_eq!((ours.value(0), ours.is_null(2)), (ours.value(3), true));
        assert_ne!(ours.value(0), ours.value(1));
        assert_eq!(ours.value(0), HashKey::new([1; 32]).hash("b1"), "as in a history's files");
        let theirs = hash(2).hashes(&texts).expect("hashes");
        assert_ne!(ours.value(0), theirs.as_string::<i32>().value(0));
        let views = arrow::compute::cast(&texts, &DataType::Utf8View).expect("casts");
        let views = hash(1).hashes(&views).expect("hashes");
        let views = arrow::compute::cast(&views, &DataType::Utf8).expect("casts");
        assert_eq!(views.as_string::<i32>(), ours, "whatever holds the texts");
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(8), None, Some(7)]));
        let numbers = hash(1).hashes(&numbers).expect("hashes");
        let numbers = numbers.as_primitive::<Int64Type>();
        assert_eq!((numbers.value(0), numbers.is_null(2)), (numbers.value(3), true));
        assert!(numbers.value(0) != numbers.value(1) && numbers.value(0) >= 0);
    }
}
