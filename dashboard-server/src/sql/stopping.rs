//! Makes queries stoppable: a time limit or a cancel takes hold only where a query pauses.
//!
//! The engine pauses at the leaves of a plan. A join makes a million rows of a thousand without
//! asking a leaf, so without this a cross join runs on for hours after its client has gone.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

/// The last rule of planning: a pause above every operator that multiplies rows.
#[derive(Debug)]
pub(super) struct PauseAtJoins;

impl PhysicalOptimizerRule for PauseAtJoins {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let paused = plan.transform_up(|node| {
            if multiplies(node.as_ref()) {
                Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
            } else {
                Ok(Transformed::no(node))
            }
        })?;
        Ok(paused.data)
    }

    fn name(&self) -> &'static str {
        "pause_at_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn multiplies(node: &dyn ExecutionPlan) -> bool {
    node.name().ends_with("JoinExec") || node.name() == "UnnestExec"
}
