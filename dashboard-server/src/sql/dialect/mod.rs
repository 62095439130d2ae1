//! What analysts write that the engine says in other words, or reckons otherwise than they mean; the same at every door.
//!
//! ```text
//! text ─▶ words (TABLE t, TRIM(BOTH FROM x)) ─▶ parsed ─▶ statement (MOD, FETCH FIRST), repeated (SELECT a, a) ─▶ planned
//! plan ─▶ quotient (decimals divided and averaged), days (a day and a number), existence (EXISTS among columns) ─▶ analyzed
//! functions: moments (to_timestamp), patterns (to_char), kinds (pg_typeof)
//! ```

mod days;
mod existence;
mod kinds;
mod moments;
mod patterns;
mod plans;
mod quotient;
mod repeated;
mod statement;
mod wrapped;
mod words;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::optimizer::AnalyzerRule;
use tidemark_pipeline::model::Zone;

pub(super) use moments::stamp_in_full;
pub(super) use repeated::{as_written, columns_as_written};
pub(super) use statement::planned_as;
pub(super) use words::plain_words;

/// The rules that come before the engine makes types alike: what they make has types of its own.
pub(super) fn rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![
        Arc::new(existence::Existence),
        Arc::new(moments::FullStamps),
        Arc::new(days::DaysLater),
        Arc::new(quotient::Quotients::default()),
    ]
}

/// Registers the functions; moments are by the clock of `zone`.
///
/// # Errors
/// The engine's, when it refuses one.
pub(super) fn register(state: &mut SessionState, zone: Zone) -> Result<()> {
    let own = moments::all(state, zone)?.into_iter().chain(patterns::all(state)?);
    for function in own.chain([kinds::pg_typeof()]) {
        let _before = state.register_udf(Arc::new(function))?;
    }
    Ok(())
}
