//! Functions whose value the log does not tell: the clock's and the dice's.
//!
//! A figure is a pure function of the log, so whatever decides one may call only functions that give equal
//! results for equal arguments. DataFusion calls these immutable; the others, stable and volatile, are refused,
//! now and whatever it adds later. It is asked of the parsed text, for the optimizer makes a literal of `now()`
//! and a table function is run while it is planned; and of the analyzed plan, which is what will run.
//!
//! A question that somebody asks once, over HTTP or the PostgreSQL door, decides no figure and may use them.

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::execution::registry::FunctionRegistry as _;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility, WindowFunctionDefinition};
use datafusion::sql::sqlparser::ast::{self, Visit, visit_expressions};

use super::error::Place;
use super::refusal::{refuse_at, refuse_function};

/// Refuses what is written with a function whose value the log does not tell.
///
/// # Errors
/// A refusal with the place of the first such call.
pub(super) fn check_text<V: Visit>(state: &SessionState, written: &V) -> Result<()> {
    let found = visit_expressions(written, |expr| match expr {
        ast::Expr::Function(function) => match impure_name(state, function) {
            Some(found) => ControlFlow::Break(found),
            None => ControlFlow::Continue(()),
        },
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break((name, place)) => refuse_at(place, refusal_of(&name)),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The name and place of a call, if it is one of those.
fn impure_name(state: &SessionState, function: &ast::Function) -> Option<(String, Place)> {
    let ident = function.name.0.last()?.as_ident()?;
    let name = ident.value.to_ascii_lowercase();
    let volatility = state
        .udf(&name)
        .map(|function| function.signature().volatility)
        .or_else(|_| state.udaf(&name).map(|function| function.signature().volatility))
        .or_else(|_| state.udwf(&name).map(|function| function.signature().volatility));
    let is_impure = volatility.is_ok_and(|found| found != Volatility::Immutable)
        || OF_THE_ENGINE.contains(&name.as_str());
    let place = Place { line: ident.span.start.line, column: ident.span.start.column };
    is_impure.then_some((name, place))
}

/// Refuses a plan, not yet optimized, that calls such a function.
///
/// # Errors
/// A refusal with the name of the first of them.
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| check_expr(expr).map(|()| TreeNodeRecursion::Continue))
    })
    .map(drop)
}

/// Refuses an expression, not yet simplified, that calls such a function.
///
/// # Errors
/// As [`check_plan`].
pub(super) fn check_expr(expr: &Expr) -> Result<()> {
    expr.apply(|part| {
        let called = match part {
            Expr::ScalarFunction(call) => Some((call.name(), call.func.signature())),
            Expr::AggregateFunction(call) => Some((call.func.name(), call.func.signature())),
            Expr::WindowFunction(call) => Some(match &call.fun {
                WindowFunctionDefinition::AggregateUDF(of) => (of.name(), of.signature()),
                WindowFunctionDefinition::WindowUDF(of) => (of.name(), of.signature()),
            }),
            Expr::ScalarVariable(_, names) => {
                return refuse_function("@", format!("{} is not in the log", names.join(".")));
            }
            _ => None,
        };
        match called {
            Some((name, signature))
                if signature.volatility != Volatility::Immutable
                    || OF_THE_ENGINE.contains(&name) =>
            {
                refuse_function(name, refusal_of(name))
            }
            _ => Ok(TreeNodeRecursion::Continue),
        }
    })
    .map(drop)
}

/// Functions that DataFusion calls immutable, and whose value is another with another engine.
const OF_THE_ENGINE: [&str; 1] = ["version"];

/// Why a function is refused, and what does instead.
fn refusal_of(name: &str) -> String {
    let instead = match name {
        "now" | "current_timestamp" | "current_date" | "today" | "current_time" => {
            "it asks the clock; use the event time, window_start or window_end, and let WATERMARK and max-future-skew judge \
             what is late or ahead"
        }
        "random" | "uuid" => {
            "it is drawn anew each time; use a column of the record, or its METADATA FROM 'partition' and 'offset'"
        }
        "version" => "it tells the engine, and the next one would give other rows; leave it out",
        "input_file_name" | "file_row_index" => {
            "a record is known by METADATA FROM 'partition' and 'offset'"
        }
        _ => "its value does not depend on its arguments alone; use columns of the record",
    };
    format!(
        "{}() cannot decide a figure, for the same log must give the same rows: {instead}",
        name.to_uppercase()
    )
}
