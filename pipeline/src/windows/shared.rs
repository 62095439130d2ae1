//! What plans over the same rows have in common: views over one scope have its conditions, its look-ups and its
//! computed columns, and each is done once a batch.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, UInt32Array};
use arrow::compute::{FilterBuilder, FilterPredicate, is_not_null, take};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Result, internal_err};

use super::fold::Accepted;
use super::placed::Span;
use super::row_by_row;
use super::steps::{Step, Steps, Value};

/// Everything that has been made of one batch.
#[derive(Default)]
pub struct Shared {
    nodes: Vec<Node>,
    /// Of the rows' times; `None` before anyone has asked.
    span: Option<Option<Span>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("nodes", &self.nodes.len()).finish()
    }
}

/// A set of rows.
struct Node {
    /// The step that left them; `None` for the batch itself, which is the first node and has all its columns.
    made: Option<Made>,
    rows: usize,
    /// Columns that someone has asked for, by number.
    columns: Vec<Option<ArrayRef>>,
    values: Vec<(Value, ArrayRef)>,
}

/// What a step left of its parent's rows.
#[derive(Clone)]
struct Made {
    parent: usize,
    step: Arc<Step>,
    /// The parent's rows that are kept; `None` for all.
    keeps: Option<Arc<FilterPredicate>>,
    /// Of a look-up, each kept row's row of the table.
    partners: Option<Arc<UInt32Array>>,
}

impl Shared {
    /// How many sets of rows have been made, the batch itself among them.
    #[cfg(test)]
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The times of the rows.
    pub(super) fn span(&mut self, rows: Accepted<'_>) -> Option<Span> {
        *self.span.get_or_insert_with(|| Span::of(rows.times, rows.watermarks))
    }

    /// What the steps make of `batch`, which is the same at every call.
    ///
    /// # Errors
    /// When an expression fails on a row.
    pub(super) fn run(&mut self, batch: &RecordBatch, steps: &Steps) -> Result<RecordBatch> {
        if self.nodes.is_empty() {
            self.nodes.push(Node {
                made: None,
                rows: batch.num_rows(),
                columns: batch.columns().iter().cloned().map(Some).collect(),
                values: Vec::new(),
            });
        }
        let mut node = 0;
        for step in &steps.steps {
            let is_it = |known: &Node| {
                known.made.as_ref().is_some_and(|made| made.parent == node && made.step == *step)
            };
            node = match self.nodes.iter().position(is_it) {
                Some(at) => at,
                None => self.add(node, step)?,
            };
        }
        let columns = steps.outputs.iter().map(|value| self.value(node, value));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows(node)));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&steps.schema), columns, &options)?)
    }

    fn rows(&self, node: usize) -> usize {
        self.nodes.get(node).map_or(0, |node| node.rows)
    }

    fn add(&mut self, parent: usize, step: &Arc<Step>) -> Result<usize> {
        let mut width = self.nodes.get(parent).map_or(0, |parent| parent.columns.len());
        let (mut keeps, mut partners) = (None, None);
        match &**step {
            Step::Filter(predicate) => {
                keeps = kept(self.value(parent, predicate)?.as_boolean());
            }
            Step::Lookup { key, lookup, .. } => {
                let mut found = lookup.partners(&self.value(parent, key)?)?;
                if !lookup.is_outer() && found.null_count() > 0 {
                    keeps = kept(&is_not_null(&found)?);
                }
                if let Some(keeps) = &keeps {
                    found = keeps.filter(&found)?.as_primitive().clone();
                }
                width += lookup.fields().count();
                partners = Some(Arc::new(found));
            }
            Step::Project(values) => width = values.len(),
        }
        let rows = keeps.as_ref().map_or_else(|| self.rows(parent), |keeps| keeps.count());
        let made = Some(Made { parent, step: Arc::clone(step), keeps, partners });
        self.nodes.push(Node { made, rows, columns: vec![None; width], values: Vec::new() });
        Ok(self.nodes.len() - 1)
    }

    /// A value over the rows of a node.
    fn value(&mut self, node: usize, value: &Value) -> Result<ArrayRef> {
        if let Some(column) = value.as_column() {
            return self.column(node, column);
        }
        let Some(own) = self.nodes.get(node) else { return internal_err!("step {node} of none") };
        if let Some((_, known)) = own.values.iter().find(|(known, _)| known == value) {
            return Ok(Arc::clone(known));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(own.rows));
        let columns = value.columns.iter().map(|at| self.column(node, *at));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = RecordBatch::try_new_with_options(Arc::clone(&value.schema), columns, &options)?;
        let made = row_by_row::evaluate(value.expr.as_ref(), &rows)?;
        if let Some(own) = self.nodes.get_mut(node) {
            own.values.push((value.clone(), Arc::clone(&made)));
        }
        Ok(made)
    }

    fn column(&mut self, node: usize, at: usize) -> Result<ArrayRef> {
        let Some(own) = self.nodes.get(node) else { return internal_err!("step {node} of none") };
        let made = match (own.columns.get(at), &own.made) {
            (Some(Some(known)), _) => return Ok(Arc::clone(known)),
            (Some(None), Some(made)) => made.clone(),
            _ => return internal_err!("column {at} of {}", own.columns.len()),
        };
        let column = match (&*made.step, &made.partners) {
            (Step::Project(values), _) => match values.get(at) {
                Some(value) => self.value(made.parent, value)?,
                None => return internal_err!("column {at} of {}", values.len()),
            },
            (Step::Lookup { lookup, width, .. }, Some(partners)) if at >= *width => {
                take(lookup.column(at - width), partners.as_ref(), None)?
            }
            _ => {
                let column = self.column(made.parent, at)?;
                match &made.keeps {
                    Some(keeps) => keeps.filter(&column)?,
                    None => column,
                }
            }
        };
        if let Some(place) = self.nodes.get_mut(node).and_then(|own| own.columns.get_mut(at)) {
            *place = Some(Arc::clone(&column));
        }
        Ok(column)
    }
}

/// The rows for which the mask is true; `None` where that is all of them.
fn kept(mask: &BooleanArray) -> Option<Arc<FilterPredicate>> {
    let keeps_all = mask.true_count() == mask.len();
    (!keeps_all).then(|| Arc::new(FilterBuilder::new(mask).optimize().build()))
}
