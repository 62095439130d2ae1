//! A statement in words that the planner knows.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, LimitClause,
    Query, Statement, Value, VisitMut as _, VisitorMut,
};

use super::repeated::named_apart;
use crate::sql::error::SqlError;

/// The statement as it is planned: `MOD(a, b)` is `a % b`, `FETCH FIRST n ROWS ONLY` is `LIMIT n`, and columns that are
/// asked for twice are told apart until they are shown.
///
/// # Errors
/// For what cannot be said so.
pub(in crate::sql) fn planned_as(mut statement: Statement) -> Result<Statement, SqlError> {
    if let ControlFlow::Break(error) = statement.visit(&mut Words) {
        return Err(error);
    }
    apart(&mut statement);
    Ok(statement)
}

fn apart(statement: &mut Statement) {
    match statement {
        Statement::Explain { statement, .. } => apart(statement),
        Statement::Query(query) => named_apart(query),
        _ => {}
    }
}

struct Words;

impl VisitorMut for Words {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        let Some(fetch) = query.fetch.take() else { return ControlFlow::Continue(()) };
        if fetch.with_ties || fetch.percent {
            return refused(
                "FETCH FIRST … WITH TIES and PERCENT are not known here: write ORDER BY … LIMIT n",
            );
        }
        let one = || Expr::value(Value::Number("1".to_owned(), false));
        let count = Some(fetch.quantity.unwrap_or_else(one));
        match &mut query.limit_clause {
            None => {
                let clause =
                    LimitClause::LimitOffset { limit: count, offset: None, limit_by: Vec::new() };
                query.limit_clause = Some(clause);
            }
            Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = count,
            Some(_) => {
                return refused("LIMIT and FETCH FIRST say the same twice: leave one of them out");
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match expr {
            Expr::Function(_) => {
                if let Some(remainder) = remainder(expr) {
                    *expr = remainder;
                }
            }
            Expr::Cast { data_type: DataType::Uuid, .. } => {
                return refused(
                    "there is no type UUID here: compare it as text, in lower case and without ::uuid",
                );
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn refused(message: &str) -> ControlFlow<SqlError> {
    ControlFlow::Break(SqlError::Plan { message: message.to_owned(), place: None })
}

/// `MOD(a, b)`.
fn remainder(call: &Expr) -> Option<Expr> {
    let Expr::Function(function) = call else { return None };
    if !function.name.to_string().eq_ignore_ascii_case("mod") {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    let [left, right] = list.args.as_slice() else { return None };
    let value = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => {
            Some(Box::new(Expr::Nested(Box::new(value.clone()))))
        }
        _ => None,
    };
    let (left, right) = (value(left)?, value(right)?);
    let remainder = Expr::BinaryOp { left, op: BinaryOperator::Modulo, right };
    Some(Expr::Nested(Box::new(remainder)))
}
