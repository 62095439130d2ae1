//! The wrapper around a function that can grow, and the rule that puts it there.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Documentation, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature,
};

use super::claim::{Budget, claimed};
use super::concat::ConcatOperator;
use super::formula::{Growth, growth, worst};

/// Bytes of arguments a function works through before it is asked whether it may go on.
const STRIDE_BYTES: usize = 262_144;

/// Wraps every function of a plan that can grow. Part of analyzing, so that what the optimizer
/// computes beforehand is bounded too.
#[derive(Debug)]
pub(in crate::sql) struct BoundFunctions {
    budget: Arc<Budget>,
    concat: Arc<ScalarUDF>,
}

impl BoundFunctions {
    /// For the queries of one session.
    pub(in crate::sql) fn new(budget: Arc<Budget>) -> Self {
        let concat = Arc::new(ScalarUDF::new_from_impl(ConcatOperator::default()));
        let concat = bounded(concat, Growth::Times(1), Arc::clone(&budget));
        Self { budget, concat }
    }
}

impl BoundFunctions {
    /// The parts of a chain of `||` so far: one call with many arguments is planned in no time, and
    /// many calls within one another are not.
    fn joined_before(&self, left: Expr) -> Vec<Expr> {
        match left {
            Expr::ScalarFunction(call) if call.func == self.concat => call.args,
            other => vec![other],
        }
    }
}

impl FunctionRewrite for BoundFunctions {
    fn name(&self) -> &str {
        "bound_functions"
    }

    fn rewrite(
        &self,
        expression: Expr,
        _schema: &DFSchema,
        _config: &ConfigOptions,
    ) -> Result<Transformed<Expr>> {
        match expression {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
                let mut args = self.joined_before(*left);
                args.push(*right);
                let call = ScalarFunction { func: Arc::clone(&self.concat), args };
                Ok(Transformed::yes(Expr::ScalarFunction(call)))
            }
            Expr::ScalarFunction(call) if !call.func.inner().is::<Bounded>() => {
                let Some(growth) = growth(call.func.name()) else {
                    return Ok(Transformed::no(Expr::ScalarFunction(call)));
                };
                let func = bounded(call.func, growth, Arc::clone(&self.budget));
                Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: call.args })))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn bounded(inner: Arc<ScalarUDF>, growth: Growth, budget: Arc<Budget>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Bounded { inner, growth, budget }))
}

/// Whether a function is one of those that ask.
pub(in crate::sql) fn is_bounded(function: &ScalarUDF) -> bool {
    function.inner().is::<Bounded>()
}

/// A function that asks before it makes something. Equal to another around the same function: the
/// budget is the session's, and plans do not pass between sessions.
#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    budget: Arc<Budget>,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = Arc::new(self.inner.inner().with_updated_config(config)?);
        let (growth, budget) = (self.growth, Arc::clone(&self.budget));
        Some(ScalarUDF::new_from_impl(Self { inner, growth, budget }))
    }

    /// Not the function's own way: what it would put in its place is not wrapped.
    fn simplify(&self, args: Vec<Expr>, _context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(ExprSimplifyResult::Original(args))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.budget.go_on()?;
        let worst = worst(self.growth, &args)?;
        self.budget.allow(self.name(), worst.value)?;
        let rows = args.number_rows;
        let stride = rows.saturating_mul(STRIDE_BYTES) / worst.read.max(worst.all).max(1);
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        // The worst of a comparison is work and not bytes.
        let bytes =
            if self.growth == Growth::Compared { rows * size_of::<u64>() } else { worst.all };
        if is_constant || stride >= rows {
            let reservation = self.budget.reserve(bytes)?;
            return match self.inner.invoke_with_args(args)? {
                ColumnarValue::Array(array) => {
                    Ok(ColumnarValue::Array(claimed(array, reservation)?))
                }
                scalar @ ColumnarValue::Scalar(_) => Ok(scalar),
            };
        }
        // The parts, and the whole they are put together to.
        let reservation = self.budget.reserve(bytes.saturating_mul(2))?;
        let whole = self.in_strides(&args, stride.max(1))?;
        Ok(ColumnarValue::Array(claimed(whole, reservation)?))
    }
}

impl Bounded {
    /// A part of the rows at a time, so that a query that is over stops here too.
    fn in_strides(&self, args: &ScalarFunctionArgs, stride: usize) -> Result<ArrayRef> {
        let mut parts = Vec::new();
        for first in (0..args.number_rows).step_by(stride) {
            self.budget.go_on()?;
            let rows = stride.min(args.number_rows - first);
            let part = ScalarFunctionArgs {
                args: args.args.iter().map(|arg| part(arg, first, rows)).collect(),
                number_rows: rows,
                ..args.clone()
            };
            parts.push(self.inner.invoke_with_args(part)?.into_array(rows)?);
        }
        let parts: Vec<_> = parts.iter().map(|part| part.as_ref()).collect();
        Ok(concat(&parts)?)
    }
}

fn part(arg: &ColumnarValue, first: usize, rows: usize) -> ColumnarValue {
    match arg {
        ColumnarValue::Array(array) if array.len() >= first + rows => {
            ColumnarValue::Array(array.slice(first, rows))
        }
        other => other.clone(),
    }
}
