//! Sums, differences and products of a query fail where they do not fit their type, as those of views do.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use tidemark_pipeline::sql::exact::checked_plan;

/// Checks what is selected, joined by, what rows are filtered by and what aggregates are given. It has to come before the
/// rules that move expressions into a scan. What sorts, keys, FILTER, DISTINCT and functions OVER reckon has been put into projections
/// before, and what is reckoned of constants has been computed (`OwnColumns`, `ExactConstants`).
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
