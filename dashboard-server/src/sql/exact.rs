//! Sums, differences and products of a query fail where they do not fit their type, as those of views do.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use tidemark_pipeline::sql::exact::checked_plan;

/// Checks what is selected, what rows are filtered by and what aggregates are given. It has to come before the rules
/// that move expressions into a scan. What stands in a join's condition, in ORDER BY, in GROUP BY or over a window wraps
/// as DataFusion's own does; so does what the optimizer computes of constants.
#[derive(Debug)]
pub(super) struct ExactArithmetic;

impl PhysicalOptimizerRule for ExactArithmetic {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        checked_plan(plan)
    }

    fn name(&self) -> &'static str {
        "exact_arithmetic"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
