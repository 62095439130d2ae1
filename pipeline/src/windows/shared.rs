//! What plans over the same rows have in common: views over one scope have its conditions, its look-ups and its
//! computed columns, and each is done once a batch.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, UInt32Array};
use arrow::compute::{FilterBuilder, FilterPredicate, is_not_null, take};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Result, internal_err};

use super::fold::Accepted;
use super::lookup::Lookup;
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

/// The rows that a step leaves of its parent's.
struct Node {
    parent: usize,
    /// `None` for the batch itself, which is the first node.
    step: Option<Step>,
    rows: usize,
    origin: Origin,
    /// Columns that someone has asked for, by number.
    columns: Vec<Option<ArrayRef>>,
    values: Vec<(Value, ArrayRef)>,
}

/// Where the columns of a node come from.
#[derive(Clone)]
enum Origin {
    Batch(RecordBatch),
    /// Its parent's rows, those kept; `None` for all.
    Kept(Option<Arc<FilterPredicate>>),
    /// Its parent's rows, those kept, and each one's row of the table.
    Found(Option<Arc<FilterPredicate>>, Arc<Lookup>, Arc<UInt32Array>),
    Made(Arc<[Value]>),
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
                parent: 0,
                step: None,
                rows: batch.num_rows(),
                columns: vec![None; batch.num_columns()],
                origin: Origin::Batch(batch.clone()),
                values: Vec::new(),
            });
        }
        let mut node = 0;
        for step in &steps.steps {
            let is_it = |made: &Node| made.parent == node && made.step.as_ref() == Some(step);
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

    fn add(&mut self, parent: usize, step: &Step) -> Result<usize> {
        let width = self.nodes.get(parent).map_or(0, |parent| parent.columns.len());
        let all = self.rows(parent);
        let (rows, width, origin) = match step {
            Step::Filter(predicate) => {
                let mask = self.value(parent, predicate)?;
                let keeps = kept(mask.as_boolean());
                let rows = keeps.as_ref().map_or(all, |keeps| keeps.count());
                (rows, width, Origin::Kept(keeps))
            }
            Step::Lookup { key, lookup } => {
                let keys = self.value(parent, key)?;
                let mut partners = lookup.partners(&keys)?;
                let mut keeps = None;
                if !lookup.is_outer() && partners.null_count() > 0 {
                    keeps = kept(&is_not_null(&partners)?);
                }
                if let Some(keeps) = &keeps {
                    partners = keeps.filter(&partners)?.as_primitive().clone();
                }
                let width = width + lookup.fields().count();
                let rows = partners.len();
                (rows, width, Origin::Found(keeps, Arc::clone(lookup), Arc::new(partners)))
            }
            Step::Project(values) => (all, values.len(), Origin::Made(values.as_slice().into())),
        };
        let (step, columns) = (Some(step.clone()), vec![None; width]);
        self.nodes.push(Node { parent, step, rows, origin, columns, values: Vec::new() });
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
        let parent = own.parent;
        match own.columns.get(at) {
            Some(Some(known)) => return Ok(Arc::clone(known)),
            Some(None) => {}
            None => return internal_err!("column {at} of {}", own.columns.len()),
        }
        let made = match own.origin.clone() {
            Origin::Batch(rows) => Arc::clone(rows.column(at)),
            Origin::Kept(keeps) => self.kept_column(parent, at, keeps.as_deref())?,
            Origin::Found(_, lookup, partners) if at >= lookup.width() => {
                take(lookup.column(at), partners.as_ref(), None)?
            }
            Origin::Found(keeps, ..) => self.kept_column(parent, at, keeps.as_deref())?,
            Origin::Made(values) => match values.get(at) {
                Some(value) => self.value(parent, value)?,
                None => return internal_err!("column {at} of {}", values.len()),
            },
        };
        if let Some(place) = self.nodes.get_mut(node).and_then(|own| own.columns.get_mut(at)) {
            *place = Some(Arc::clone(&made));
        }
        Ok(made)
    }

    fn kept_column(
        &mut self,
        parent: usize,
        at: usize,
        keeps: Option<&FilterPredicate>,
    ) -> Result<ArrayRef> {
        let column = self.column(parent, at)?;
        match keeps {
            Some(keeps) => Ok(keeps.filter(&column)?),
            None => Ok(column),
        }
    }
}

/// The rows for which the mask is true; `None` where that is all of them.
fn kept(mask: &BooleanArray) -> Option<Arc<FilterPredicate>> {
    let keeps_all = mask.true_count() == mask.len();
    (!keeps_all).then(|| Arc::new(FilterBuilder::new(mask).optimize().build()))
}
