//! Numbers that are written with an exponent, without one.
//!
//! `1e2` is a decimal of negative scale to DataFusion's parser, and most of what comes behind it does not expect one: it
//! divides by zero while it plans, or takes `ROUND(1e2)` for 10.

use std::sync::Arc;

use arrow::datatypes::i256;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::Analyzer;

use super::alike::AlikeTimes;
use super::exact_comparisons::ExactComparisons;
use super::finer::FinerTimes;
use super::instants::Instants;
use super::rewrite::rewritten;
use super::written::WrittenTimes;

/// Gives them their digits. Before all other rules: those tell types by them.
#[derive(Debug)]
pub struct PlainNumbers;

type Rule = Arc<dyn AnalyzerRule + Send + Sync>;

/// The rules of analysis that all sessions share: DataFusion's own, behind those that read a query as it is written and before
/// those that say what its times mean once types are alike.
#[must_use]
pub fn rules() -> Vec<Rule> {
    let mut rules = Analyzer::new().rules;
    rules.splice(0..0, [Arc::new(PlainNumbers) as Rule, Arc::new(WrittenTimes)]);
    // Days begin where the zone's do; what is written finer than an event time is compared as it is written; what then still
    // meets and is not alike is refused.
    rules.extend([Arc::new(Instants) as Rule, Arc::new(FinerTimes), Arc::new(AlikeTimes)]);
    rules
}

/// As [`rules`], for questions that are asked once: decimals of any two scales can be compared. (The plan of a view is made in two
/// steps, which does the same for `ROUND`, and it would not be the plan that its checkpoints are of.)
#[must_use]
pub fn rules_of_questions() -> Vec<Rule> {
    let mut rules = rules();
    // Behind those that read a query as it is written.
    rules.insert(2, Arc::new(ExactComparisons));
    rules
}

impl AnalyzerRule for PlainNumbers {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten(plan, number)
    }

    fn name(&self) -> &str {
        "plain_numbers"
    }
}

fn number(expr: Expr) -> Result<Transformed<Expr>> {
    let (value, precision, scale) = match &expr {
        Expr::Literal(ScalarValue::Decimal128(Some(value), precision, scale), _) if *scale < 0 => {
            (i256::from_i128(*value), *precision, *scale)
        }
        Expr::Literal(ScalarValue::Decimal256(Some(value), precision, scale), _) if *scale < 0 => {
            (*value, *precision, *scale)
        }
        _ => return Ok(Transformed::no(expr)),
    };
    let digits = precision.saturating_add(scale.unsigned_abs());
    let whole = i256::from_i128(10)
        .checked_pow(u32::from(scale.unsigned_abs()))
        .and_then(|power| value.checked_mul(power));
    let plain = match whole {
        Some(whole) if digits <= 38 => ScalarValue::Decimal128(whole.to_i128(), digits, 0),
        Some(whole) if digits <= 76 => ScalarValue::Decimal256(Some(whole), digits, 0),
        _ => return plan_err!("the number {expr} has more than 76 digits"),
    };
    Ok(Transformed::yes(Expr::Literal(plain, None)))
}
