//! The rows of a plan, asked for on a thread that is no runtime's.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect};
use tokio::runtime::{Builder, Runtime};

/// Where a plan of several parts, as a UNION ALL, lets them run; it panics where there is none. `None` where the system
/// gives no thread.
static PARTS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(1).thread_name("tidemark-parts").build().ok()
});

/// Executes a plan and waits for its rows.
///
/// # Errors
/// When an expression fails on a row.
pub fn collected(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
) -> Result<Vec<RecordBatch>> {
    let _inside = PARTS.as_ref().map(Runtime::enter);
    futures::executor::block_on(collect(plan, context))
}
