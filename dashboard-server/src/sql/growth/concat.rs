//! `||` as a function of two texts or more, so that it can be wrapped like the others; it computes as the
//! operator does.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr as _;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::scalar::ScalarValue;

/// Name of the function.
pub(super) const NAME: &str = "||";

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ConcatOperator {
    signature: Signature,
}

impl Default for ConcatOperator {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ConcatOperator {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![joined_type(types)?; types.len()])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        joined_type(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let mut sides = args.args.into_iter().map(|side| side.into_array(rows));
        let Some(first) = sides.next() else {
            return plan_err!("{NAME} joins at least one text");
        };
        let joined = sides.try_fold(first?, |left, right| joined(left, right?))?;
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?));
        }
        Ok(ColumnarValue::Array(joined))
    }
}

/// The type of a chain of `||`, as the operator has it from left to right.
fn joined_type(types: &[DataType]) -> Result<DataType> {
    let Some((first, rest)) = types.split_first() else {
        return plan_err!("{NAME} joins at least one text");
    };
    rest.iter().try_fold(first.clone(), |left, right| {
        BinaryTypeCoercer::new(&left, &Operator::StringConcat, right).get_result_type()
    })
}

fn joined(left: ArrayRef, right: ArrayRef) -> Result<ArrayRef> {
    let rows = left.len();
    let field = |name, side: &ArrayRef| Field::new(name, side.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field("left", &left), field("right", &right)]));
    let column = |name, at| Arc::new(Column::new(name, at));
    let operator = BinaryExpr::new(column("left", 0), Operator::StringConcat, column("right", 1));
    operator.evaluate(&RecordBatch::try_new(schema, vec![left, right])?)?.into_array(rows)
}
