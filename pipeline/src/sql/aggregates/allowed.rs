//! Which aggregate functions a continuous query may use: those whose value depends on the rows alone.
//!
//! The list says what is allowed. Whatever else DataFusion offers, now or later, is refused.

use arrow::datatypes::DataType;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable as _, LogicalPlan, SortExpr, WindowFrameUnits,
    WindowFunctionDefinition,
};
use std::sync::Arc;

use super::extreme::FloatExtreme;
use crate::sql::refusal::{refuse, refuse_call};

/// Where a call stands.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The plan whose columns it reads.
    pub input: &'a LogicalPlan,
    /// What orders rows where the SQL does not, and breaks its ties: partition and offset, or all columns.
    pub order: &'a [SortExpr],
    /// The scope the query reads, if it reads one.
    pub scope: Option<&'a str>,
}

/// The call as it will run.
///
/// # Errors
/// A refusal, when its value would depend on the order or batching of rows, or a float would touch money.
pub fn allowed(call: &AggregateFunction, place: Surroundings<'_>) -> Result<AggregateFunction> {
    let mut call = call.clone();
    match call.func.name() {
        "count" if call.params.distinct && call.params.args.len() > 1 => {
            return refuse_call(
                &call,
                "COUNT(DISTINCT …) counts the values of one expression: GROUP BY the columns in a view of its own, \
                 and count its rows; or count one column that tells them apart",
            );
        }
        "count" | "approx_distinct" => call.params.order_by.clear(),
        "sum" | "avg" => {
            refuse_distinct(&call, "group by the value in a query of its own first, then add")?;
            refuse_float_money(&call, place)?;
            call.params.order_by.clear();
        }
        "min" | "max" => {
            if argument_type(&call, place)?.is_floating()
                && let Some(own) = FloatExtreme::named(call.func.name())
            {
                call.func = Arc::new(AggregateUDF::from(own));
            }
            plain(&mut call);
        }
        "bit_and" | "bit_or" | "bool_and" | "bool_or" => plain(&mut call),
        "bit_xor" => {
            refuse_distinct(&call, "group by the value in a query of its own first")?;
            call.params.order_by.clear();
        }
        "first_value" | "last_value" => {
            call.params.distinct = false;
            then_by(&mut call.params.order_by, place.order);
        }
        "array_agg" | "string_agg" if call.params.distinct => order_by_value(&mut call),
        "array_agg" | "string_agg" => then_by(&mut call.params.order_by, place.order),
        "approx_percentile" | "approx_percentile_cont" | "approx_median" => {
            refuse_distinct(&call, "group by the value in a query of its own first")?;
            rank_from_below(&mut call)?;
        }
        other => return refuse_call(&call, refusal_of(other)),
    }
    Ok(call)
}

/// The window function as it will run.
///
/// # Errors
/// A refusal, as [`allowed`].
pub fn allowed_over(function: &WindowFunction, place: Surroundings<'_>) -> Result<WindowFunction> {
    let mut function = function.clone();
    match &function.fun {
        WindowFunctionDefinition::WindowUDF(udf) => {
            if POSITIONAL.contains(&udf.name()) {
                then_by(&mut function.params.order_by, place.order);
            } else if !BY_PEERS.contains(&udf.name()) {
                let message = format!(
                    "{} OVER is not on the list of functions that do not depend on order",
                    udf.name()
                );
                return refuse(&Expr::WindowFunction(Box::new(function)), message);
            }
        }
        WindowFunctionDefinition::AggregateUDF(udf) => {
            let params = &function.params;
            let (filter, nulls) = (params.filter.clone(), params.null_treatment);
            let call = AggregateFunction::new_udf(
                Arc::clone(udf),
                params.args.clone(),
                params.distinct,
                filter,
                Vec::new(),
                nulls,
            );
            let by_value = matches!(
                udf.name(),
                "count"
                    | "sum"
                    | "avg"
                    | "min"
                    | "max"
                    | "bit_and"
                    | "bit_or"
                    | "bit_xor"
                    | "bool_and"
                    | "bool_or"
                    | "approx_distinct"
            );
            let call = allowed(&call, place)?;
            // A frame of rows cuts through equals; one of ranges holds all of them.
            if !by_value || params.window_frame.units == WindowFrameUnits::Rows {
                then_by(&mut function.params.order_by, place.order);
            }
            function.fun = WindowFunctionDefinition::AggregateUDF(call.func);
        }
    }
    Ok(function)
}

/// Window functions whose value depends on the order among equal rows.
const POSITIONAL: [&str; 7] =
    ["row_number", "ntile", "lag", "lead", "first_value", "last_value", "nth_value"];
/// Window functions that give equal rows one value.
const BY_PEERS: [&str; 4] = ["rank", "dense_rank", "percent_rank", "cume_dist"];

/// Why a function is refused, and what does instead.
fn refusal_of(name: &str) -> String {
    let reason = match name {
        "approx_percentile_cont_with_weight" => {
            "its sketch depends on how rows are batched; use APPROX_PERCENTILE(x, p)"
        }
        "median" | "percentile_cont" | "quantile_cont" => {
            "it would keep every value; use APPROX_MEDIAN(x) or APPROX_PERCENTILE(x, p), which are within 1 % (below 1e-9: zero)"
        }
        "nth_value" => {
            "which row is the n-th depends on arrival; use ROW_NUMBER() over the rows of the window"
        }
        "any_value" => {
            "it may take any row; use MIN(x), or FIRST_VALUE(x), which goes by partition and offset"
        }
        "stddev" | "stddev_samp" | "stddev_pop" | "var" | "var_samp" | "var_pop" | "var_sample"
        | "covar_samp" | "covar_pop" | "corr" => {
            "it rounds after every row, so its last digits depend on arrival; add SUM(x), SUM(x * x) and COUNT(x) and compute it from them"
        }
        name if name.starts_with("regr_") => {
            "it rounds after every row, so its last digits depend on arrival; add the sums it needs and compute it from them"
        }
        _ => {
            "it is not on the list: COUNT, SUM, AVG, MIN, MAX, COUNT(DISTINCT), APPROX_DISTINCT, APPROX_PERCENTILE, APPROX_MEDIAN, BIT_AND, BIT_OR, BIT_XOR, BOOL_AND, BOOL_OR, FIRST_VALUE, LAST_VALUE, ARRAY_AGG, STRING_AGG"
        }
    };
    format!("{} cannot be used in a continuous query: {reason}", name.to_uppercase())
}

/// Lets `order` decide where `keys` do not. What is a key already is none again: DataFusion's FIRST_VALUE counts the keys it
/// was given and those it has kept of them, and panics where these are not as many.
fn then_by(keys: &mut Vec<SortExpr>, order: &[SortExpr]) {
    let mut first: Vec<SortExpr> = Vec::with_capacity(keys.len() + order.len());
    for key in keys.drain(..).chain(order.iter().cloned()) {
        if !first.iter().any(|before| before.expr == key.expr) {
            first.push(key);
        }
    }
    *keys = first;
}

/// Neither repeats nor order matter to it.
fn plain(call: &mut AggregateFunction) {
    call.params.distinct = false;
    call.params.order_by.clear();
}

fn refuse_distinct(call: &AggregateFunction, instead: &str) -> Result<()> {
    if !call.params.distinct {
        return Ok(());
    }
    let name = call.func.name().to_uppercase();
    refuse_call(call, format!("{name}(DISTINCT …) cannot be used in a continuous query; {instead}"))
}

/// Values that are told apart go by their own order where the SQL gives none.
fn order_by_value(call: &mut AggregateFunction) {
    if let (true, Some(value)) = (call.params.order_by.is_empty(), call.params.args.first()) {
        call.params.order_by = vec![value.clone().sort(true, true)];
    }
}

/// Makes the rank a plain number; `WITHIN GROUP (ORDER BY x DESC)` counts it from above.
fn rank_from_below(call: &mut AggregateFunction) -> Result<()> {
    let descends = call.params.order_by.first().is_some_and(|sort| !sort.asc);
    call.params.order_by.clear();
    let Some(written) = call.params.args.get(1) else { return Ok(()) };
    let literal = match written {
        Expr::Cast(cast) => cast.expr.as_ref(),
        other => other,
    };
    let rank = match literal {
        Expr::Literal(value, _) => value.cast_to(&DataType::Float64).ok(),
        _ => None,
    };
    match rank {
        Some(ScalarValue::Float64(Some(rank))) if (0.0..=1.0).contains(&rank) => {
            let rank = if descends { 1.0 - rank } else { rank };
            call.params.args[1] = Expr::Literal(ScalarValue::Float64(Some(rank)), None);
            Ok(())
        }
        _ => {
            let message = format!(
                "the rank of {} is a number from 0 to 1, as 0.95, not {written}",
                call.func.name().to_uppercase()
            );
            refuse_call(call, message)
        }
    }
}

fn argument_type(call: &AggregateFunction, place: Surroundings<'_>) -> Result<DataType> {
    match call.params.args.first() {
        Some(argument) => argument.get_type(place.input.schema()),
        None => Ok(DataType::Null),
    }
}

fn refuse_float_money(call: &AggregateFunction, place: Surroundings<'_>) -> Result<()> {
    let Some(argument) = call.params.args.first() else { return Ok(()) };
    if !argument_type(call, place)?.is_floating() {
        return Ok(());
    }
    let name = call.func.name().to_uppercase();
    if let Some(scope) = place.scope {
        return refuse_call(
            call,
            format!(
                "{name} over a float in scope {scope}: what counts is exact; declare the column DECIMAL"
            ),
        );
    }
    if comes_from_decimal(argument, place.input) {
        return refuse_call(
            call,
            format!(
                "{name} over a decimal made a float: money stays exact; leave out the cast, or CAST to DECIMAL"
            ),
        );
    }
    Ok(())
}

/// Whether a decimal goes into an expression, here or in the plans below it.
fn comes_from_decimal(expr: &Expr, input: &LogicalPlan) -> bool {
    expr.column_refs().into_iter().any(|column| column_from_decimal(column, input))
}

fn column_from_decimal(column: &Column, plan: &LogicalPlan) -> bool {
    let Some(at) = plan.schema().maybe_index_of_column(column) else { return false };
    if plan.schema().field(at).data_type().is_decimal() {
        return true;
    }
    match plan {
        LogicalPlan::Projection(projection) => {
            projection.expr.get(at).is_some_and(|expr| comes_from_decimal(expr, &projection.input))
        }
        LogicalPlan::SubqueryAlias(alias) => column_from_decimal(
            &Column::from(alias.input.schema().qualified_field(at)),
            &alias.input,
        ),
        LogicalPlan::Aggregate(aggregate) => {
            let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
            exprs.into_iter().nth(at).is_some_and(|expr| comes_from_decimal(expr, &aggregate.input))
        }
        other => other.inputs().into_iter().any(|input| column_from_decimal(column, input)),
    }
}
