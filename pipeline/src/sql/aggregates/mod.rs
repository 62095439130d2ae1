//! Aggregate functions of continuous queries: which are allowed, and our own where DataFusion's
//! would depend on the order or batching of rows, or wrap.
//!
//! ```text
//! allowed   the list; everything else is refused with its place and what to use instead
//! per_group one state a group, as DataFusion's accumulator
//! exact     SUM, AVG of integers and decimals: checked, never wrapping
//! float     SUM, AVG of floats: the exact sum, rounded once;  superaccumulator  its arithmetic
//! distinct  SUM of the values that differ, of ad-hoc queries
//! extreme   MIN, MAX of floats in a total order
//! quantile  APPROX_PERCENTILE, APPROX_MEDIAN;                 sketch            its buckets
//! ```

pub mod allowed;
mod distinct;
mod exact;
mod extreme;
mod float;
mod per_group;
mod quantile;
mod sketch;
mod superaccumulator;
mod total;

use datafusion::logical_expr::AggregateUDF;

pub use extreme::FloatExtreme;

/// Our own functions, to be registered over DataFusion's of the same names.
#[must_use]
pub fn own() -> Vec<AggregateUDF> {
    let mut all =
        vec![AggregateUDF::from(total::Total::sum()), AggregateUDF::from(total::Total::avg())];
    all.extend(quantile::Quantile::all().into_iter().map(AggregateUDF::from));
    all
}

/// AVG of decimals that is rounded half up and not cut off, of ad-hoc queries: a figure of a view stays what it was.
#[must_use]
pub fn rounded_average() -> AggregateUDF {
    AggregateUDF::from(total::Total::rounded_avg())
}
