//! Decimals that are compared as exactly as they are, whatever their scales.
//!
//! DataFusion makes the two sides one type before it compares them, and goes wrong in two ways. The type that has room for both
//! may need more than the 38 digits of its decimals; it takes 38 and leaves no room for the whole part. And it tells the type of
//! `ROUND(x, 0)` by the literal, which it hides behind a cast while it looks, so that the type is another one afterwards and
//! nothing can be compared with it. So here such literals have their type from the beginning, and where 38 digits do not do,
//! both sides get 76.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{InList, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::expr_schema::cast_subquery;
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    Between, BinaryExpr, Case, Cast, Expr, ExprSchemable as _, Join, LogicalPlan, Operator,
};
use datafusion::optimizer::AnalyzerRule;

use super::constants::value_of;
use super::instants::schema_under;
use super::refusal::{in_words, refuse};

/// Digits of a decimal of 128 bits.
const DIGITS: i16 = 38;
/// Digits of the widest decimal there is.
const DIGITS_MAX: i16 = 76;
/// Functions that compare what they are given, and answer with one of it.
const COMPARING: [&str; 3] = ["nullif", "greatest", "least"];

/// Makes the types of what is compared alike where DataFusion would lose digits; before it looks at types itself.
#[derive(Debug)]
pub struct ExactComparisons;

impl AnalyzerRule for ExactComparisons {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let told = plan.transform_up_with_subqueries(|node| {
            let schema = schema_under(&node)?;
            let names = NamePreserver::new(&node);
            let node = node.map_expressions(|expr| {
                let name = names.save(&expr);
                let told = expr.transform_up(|part| told(part, &schema))?;
                Ok(told.update_data(|expr| name.restore(expr)))
            })?;
            let is_changed = node.transformed;
            let node = match node.data {
                LogicalPlan::Join(join) => joined(join)?,
                node => Transformed::no(node),
            };
            match is_changed || node.transformed {
                true => Ok(Transformed::yes(node.data.recompute_schema()?)),
                false => Ok(node),
            }
        })?;
        Ok(told.data)
    }

    fn name(&self) -> &str {
        "exact_comparisons"
    }
}

fn told(part: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match part {
        Expr::ScalarFunction(call) => called(call, schema),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            let of = common(&[&left, &right], schema)?;
            Ok(alike(of, schema, |cast| {
                Expr::BinaryExpr(BinaryExpr::new(Box::new(cast(*left)), op, Box::new(cast(*right))))
            }))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let of = common(&[&expr, &low, &high], schema)?;
            Ok(alike(of, schema, |cast| {
                let [expr, low, high] = [expr, low, high].map(|side| Box::new(cast(*side)));
                Expr::Between(Between::new(expr, negated, low, high))
            }))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let sides: Vec<&Expr> = std::iter::once(expr.as_ref()).chain(&list).collect();
            let of = common(&sides, schema)?;
            Ok(alike(of, schema, |cast| {
                let expr = Box::new(cast(*expr));
                Expr::InList(InList::new(expr, list.into_iter().map(cast).collect(), negated))
            }))
        }
        Expr::Case(Case { expr: Some(expr), when_then_expr, else_expr }) => {
            let when = when_then_expr.iter().map(|(when, _)| when.as_ref());
            let sides: Vec<&Expr> = std::iter::once(expr.as_ref()).chain(when).collect();
            let of = common(&sides, schema)?;
            Ok(alike(of, schema, |cast| {
                let when_then = when_then_expr.into_iter();
                let when_then = when_then.map(|(when, then)| (Box::new(cast(*when)), then));
                let when_then = when_then.collect();
                Expr::Case(Case::new(Some(Box::new(cast(*expr))), when_then, else_expr))
            }))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let theirs = subquery.subquery.schema().field(0).data_type().clone();
            let Some(of) = wide(&expr, &[type_of(&expr, schema), Some(theirs)])? else {
                let same = InSubquery { expr, subquery, negated };
                return Ok(Transformed::no(Expr::InSubquery(same)));
            };
            let expr = Box::new(Expr::Cast(Cast::new(expr, of.clone())));
            let subquery = cast_subquery(subquery, &of)?;
            Ok(Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated })))
        }
        Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
            let theirs = subquery.subquery.schema().field(0).data_type().clone();
            let Some(of) = wide(&expr, &[type_of(&expr, schema), Some(theirs)])? else {
                let same = SetComparison { expr, subquery, op, quantifier };
                return Ok(Transformed::no(Expr::SetComparison(same)));
            };
            let expr = Box::new(Expr::Cast(Cast::new(expr, of.clone())));
            let subquery = cast_subquery(subquery, &of)?;
            let told = SetComparison { expr, subquery, op, quantifier };
            Ok(Transformed::yes(Expr::SetComparison(told)))
        }
        part => Ok(Transformed::no(part)),
    }
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// An expression whose sides are cast where they need more room; the same one where they do not.
fn alike(
    of: Option<DataType>,
    schema: &DFSchema,
    built: impl FnOnce(&dyn Fn(Expr) -> Expr) -> Expr,
) -> Transformed<Expr> {
    match of {
        None => Transformed::no(built(&|side| side)),
        Some(of) => Transformed::yes(built(&|side| cast(side, &of, schema))),
    }
}

fn cast(side: Expr, of: &DataType, schema: &DFSchema) -> Expr {
    match type_of(&side, schema) {
        Some(own) if own == *of => side,
        _ => Expr::Cast(Cast::new(Box::new(side), of.clone())),
    }
}

/// A call whose constant whole numbers are literals of the type that the function wants, by which it may tell its own.
fn called(call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let ScalarFunction { func, mut args } = call;
    let fields: Result<Vec<FieldRef>> =
        args.iter().map(|arg| arg.to_field(schema).map(|(_, field)| field)).collect();
    let wanted = fields.and_then(|fields| fields_with_udf(&fields, func.as_ref()));
    let mut is_changed = false;
    for (arg, wanted) in args.iter_mut().zip(wanted.unwrap_or_default()) {
        let of = wanted.data_type();
        let is_of = |value: &Expr| type_of(value, schema).as_ref() == Some(of);
        if !of.is_integer() || !is_constant(arg) || matches!(arg, Expr::Literal(..)) && is_of(&*arg)
        {
            continue;
        }
        // One that does not fit is told by who computes it.
        if let Ok(value) = value_of(arg)
            && value.data_type().is_integer()
            && let Ok(value) = value.cast_to(of)
        {
            *arg = Expr::Literal(value, None);
            is_changed = true;
        }
    }
    if !COMPARING.contains(&func.name()) {
        let call = Expr::ScalarFunction(ScalarFunction { func, args });
        return Ok(Transformed::new_transformed(call, is_changed));
    }
    let of = common(&args.iter().collect::<Vec<_>>(), schema)?;
    Ok(alike(of, schema, |cast| {
        let args = args.into_iter().map(cast).collect();
        Expr::ScalarFunction(ScalarFunction { func, args })
    }))
}

/// Whether an expression is made of numbers alone.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.data_type().is_integer() && !value.is_null(),
        Expr::Negative(inner) => is_constant(inner),
        Expr::Cast(cast) => cast.field.data_type().is_integer() && is_constant(&cast.expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
                && is_constant(left)
                && is_constant(right)
        }
        _ => false,
    }
}

/// The keys of a join, which are no expression of their own.
fn joined(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let mut is_changed = false;
    for (left, right) in &mut join.on {
        let (mine, theirs) = (join.left.schema(), join.right.schema());
        let types = [type_of(left, mine), type_of(right, theirs)];
        if let Some(of) = wide(left, &types)? {
            *left = cast(left.clone(), &of, mine);
            *right = cast(right.clone(), &of, theirs);
            is_changed = true;
        }
    }
    Ok(Transformed::new_transformed(LogicalPlan::Join(join), is_changed))
}

fn type_of(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    // What has no type yet has none that could be lost.
    expr.get_type(schema).ok()
}

fn common(sides: &[&Expr], schema: &DFSchema) -> Result<Option<DataType>> {
    let types: Vec<Option<DataType>> = sides.iter().map(|side| type_of(side, schema)).collect();
    match sides.first() {
        Some(first) => wide(first, &types),
        None => Ok(None),
    }
}

/// The type with room for all of these, where it is wider than what DataFusion would take for it.
fn wide(at: &Expr, types: &[Option<DataType>]) -> Result<Option<DataType>> {
    let (mut whole, mut scale) = (0, 0);
    let mut has_decimal = false;
    for of in types {
        let Some((digits, own_scale)) = of.as_ref().and_then(digits_of) else { return Ok(None) };
        whole = whole.max(digits - own_scale);
        scale = scale.max(own_scale);
        has_decimal |= of.as_ref().is_some_and(DataType::is_decimal);
    }
    let digits = whole + scale;
    if !has_decimal || digits <= DIGITS {
        return Ok(None);
    }
    let (Ok(precision), Ok(of_scale)) = (u8::try_from(digits), i8::try_from(scale)) else {
        return Ok(None);
    };
    if digits > DIGITS_MAX {
        let told = in_words(at);
        return refuse(
            at,
            format!(
                "{told} is compared with what would need {digits} digits together with it, and {DIGITS_MAX} can be: CAST one of \
                 them to a DECIMAL with fewer"
            ),
        );
    }
    Ok(Some(DataType::Decimal256(precision, of_scale)))
}

/// The digits of a number and how many of them are behind the point; `None` for what is no exact number.
fn digits_of(of: &DataType) -> Option<(i16, i16)> {
    Some(match of {
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
        | DataType::Decimal256(digits, scale) => (i16::from(*digits), i16::from(*scale)),
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 | DataType::UInt64 => (20, 0),
        DataType::Null => (0, 0),
        _ => return None,
    })
}
