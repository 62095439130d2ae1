//! What stands beside one another in an expression, as its sides.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, binary_expr};

use super::clocks::CHOOSE;

/// How sides meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meet {
    /// One is compared with the others.
    Compared,
    /// One is chosen.
    Chosen,
}

/// An expression with its sides as `told` makes them, which `None` leaves as they are; it gives as many as it is given.
///
/// # Errors
/// Those of `told`.
pub(super) fn with_sides(
    expr: Expr,
    mut told: impl FnMut(Meet, &[&Expr]) -> Result<Option<Vec<Expr>>>,
) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            Ok(match told(Meet::Compared, &[&left, &right])?.map(<[Expr; 2]>::try_from) {
                Some(Ok([left, right])) => Transformed::yes(binary_expr(left, op, right)),
                _ => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            })
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let sides = told(Meet::Compared, &[&expr, &low, &high])?;
            Ok(match sides.map(<[Expr; 3]>::try_from) {
                Some(Ok([expr, low, high])) => {
                    let between = Between::new(expr.into(), negated, low.into(), high.into());
                    Transformed::yes(Expr::Between(between))
                }
                _ => Transformed::no(Expr::Between(Between { expr, negated, low, high })),
            })
        }
        Expr::InList(InList { expr, list, negated }) => {
            let sides: Vec<&Expr> = std::iter::once(expr.as_ref()).chain(&list).collect();
            Ok(match told(Meet::Compared, &sides)? {
                Some(mut sides) => {
                    let expr = Box::new(sides.remove(0));
                    Transformed::yes(Expr::InList(InList { expr, list: sides, negated }))
                }
                None => Transformed::no(Expr::InList(InList { expr, list, negated })),
            })
        }
        Expr::Case(mut case) => {
            let then = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            let chosen: Vec<&Expr> = then.chain(case.else_expr.as_deref()).collect();
            let chosen = told(Meet::Chosen, &chosen)?;
            let asked = match &case.expr {
                Some(asked) => {
                    let when = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
                    let sides: Vec<&Expr> = std::iter::once(asked.as_ref()).chain(when).collect();
                    told(Meet::Compared, &sides)?
                }
                None => None,
            };
            let is_told = chosen.is_some() || asked.is_some();
            if let Some(mut asked) = asked {
                case.expr = Some(Box::new(asked.remove(0)));
                for ((when, _), told) in case.when_then_expr.iter_mut().zip(asked) {
                    **when = told;
                }
            }
            if let Some(chosen) = chosen {
                let then = case.when_then_expr.iter_mut().map(|(_, then)| then);
                for (part, told) in then.chain(&mut case.else_expr).zip(chosen) {
                    **part = told;
                }
            }
            Ok(Transformed::new_transformed(Expr::Case(case), is_told))
        }
        Expr::ScalarFunction(call) if CHOOSE.contains(&call.name()) => {
            let args: Vec<&Expr> = call.args.iter().collect();
            Ok(match told(Meet::Chosen, &args)? {
                Some(args) => {
                    let func = call.func;
                    Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args }))
                }
                None => Transformed::no(Expr::ScalarFunction(call)),
            })
        }
        expr => Ok(Transformed::no(expr)),
    }
}
