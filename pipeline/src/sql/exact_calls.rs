//! Arithmetic of ad-hoc queries that fails where it would say something else than it means.
//!
//! A continuous query is checked where it is run, by `exact`. An ad-hoc query goes through DataFusion's
//! optimizer first, which computes constants with its own, wrapping arithmetic; so here the operators become
//! functions while the query is analyzed, before anything is computed. The kernels are the same ones.

use arrow::compute::kernels::numeric::{add, mul, neg, sub};
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;

use super::exact::check_digits;

/// Makes `+`, `-` and `*` of integers and decimals fail where the value does not fit its type. It comes after
/// type coercion: both sides have to have the types they are computed in.
#[derive(Debug)]
pub struct ExactArithmetic;

impl AnalyzerRule for ExactArithmetic {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let exact = plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            let schema = merge_schema(&node.inputs());
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_up(|expr| exact(expr, &schema))?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(exact.data)
    }

    fn name(&self) -> &str {
        "exact_arithmetic"
    }
}

fn exact(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (sign, args) = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if Sign::of(op).is_some()
                && is_exact(&left.get_type(schema)?)
                && is_exact(&right.get_type(schema)?) =>
        {
            (Sign::of(op), vec![*left, *right])
        }
        Expr::Negative(value) if is_exact(&value.get_type(schema)?) => {
            (Some(Sign::Negate), vec![*value])
        }
        other => return Ok(Transformed::no(other)),
    };
    let Some(sign) = sign else { return internal_err!("an operator that is not checked") };
    let func = ScalarUDF::new_from_impl(ExactCall::new(sign)).into();
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
}

fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_decimal()
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sign {
    Plus,
    Minus,
    Times,
    Negate,
}

impl Sign {
    fn of(operator: Operator) -> Option<Self> {
        match operator {
            Operator::Plus => Some(Self::Plus),
            Operator::Minus => Some(Self::Minus),
            Operator::Multiply => Some(Self::Times),
            _ => None,
        }
    }

    /// The operator between two values; a negated one stands before its value.
    fn operator(self) -> Operator {
        match self {
            Self::Plus => Operator::Plus,
            Self::Minus | Self::Negate => Operator::Minus,
            Self::Times => Operator::Multiply,
        }
    }
}

/// One operator as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactCall {
    sign: Sign,
    signature: Signature,
}

impl ExactCall {
    fn new(sign: Sign) -> Self {
        Self { sign, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ExactCall {
    fn name(&self) -> &str {
        match self.sign {
            Sign::Plus => "exact_plus",
            Sign::Minus => "exact_minus",
            Sign::Times => "exact_times",
            Sign::Negate => "exact_negative",
        }
    }

    /// As the operator's own, so that what refers to the column by its name finds it.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match args {
            [left, right] => {
                let operator = self.sign.operator();
                format!("{} {operator} {}", left.schema_name(), right.schema_name())
            }
            _ => {
                let value = args.first().map(|value| value.schema_name().to_string());
                format!("(- {})", value.unwrap_or_default())
            }
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [left, right] => {
                BinaryTypeCoercer::new(left, &self.sign.operator(), right).get_result_type()
            }
            [value] => Ok(value.clone()),
            _ => internal_err!("{} of {} values", self.name(), types.len()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = match (self.sign, args.args.as_slice()) {
            (Sign::Plus, [left, right]) => apply(left, right, add)?,
            (Sign::Minus, [left, right]) => apply(left, right, sub)?,
            (Sign::Times, [left, right]) => apply(left, right, mul)?,
            (Sign::Negate, [ColumnarValue::Array(value)]) => ColumnarValue::Array(neg(value)?),
            (Sign::Negate, [ColumnarValue::Scalar(value)]) => {
                ColumnarValue::Scalar(value.arithmetic_negate()?)
            }
            (_, args) => return internal_err!("{} of {} values", self.name(), args.len()),
        };
        check_digits(&value)?;
        Ok(value)
    }
}
