//! A table as it was, and what its rows are true of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tidemark_pipeline::history::{HistoryAt, PastHistory, Wanted};
use tidemark_pipeline::model::{Offset, PartitionId};
use tidemark_pipeline::results::Cut;
use tidemark_pipeline::results::view_history::ViewThen;

/// What the rows of a table of the past are true of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PastPaper {
    /// The table.
    pub table: String,
    /// Version of a history.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<u64>,
    /// Life of the publisher in which the cut counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub epoch: Option<String>,
    /// Cut of its rows; `None` for a version that does not say so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cut: Option<u64>,
    /// When the version was committed, or the cut published, epoch milliseconds; `None` for a table that is not of a time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<i64>,
    /// Largest event time accepted by its cut, epoch milliseconds; `None` where that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub as_of: Option<i64>,
    /// Of a history, the offset by partition after the last record that was read by its cut.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offsets: Option<BTreeMap<PartitionId, Offset>>,
    /// Of a history that was asked for as of a time: by how many milliseconds its cut is older than that time. Orders are
    /// committed more seldom than views are looked at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub behind_ms: Option<i64>,
}

impl PastPaper {
    /// Of a table that is the same at any time.
    pub(in crate::sql) fn of_no_time(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            version: None,
            epoch: None,
            cut: None,
            at: None,
            as_of: None,
            offsets: None,
            behind_ms: None,
        }
    }
}

/// Where its rows are.
#[derive(Debug)]
pub(in crate::sql) enum PastRows {
    /// In the files of a history.
    History {
        /// The version of it.
        rows: Box<HistoryAt>,
        /// The Delta table's own name for itself.
        table_id: String,
    },
    /// Here.
    Held(Vec<RecordBatch>),
}

/// A table as it was.
#[derive(Debug)]
pub(in crate::sql) struct PastTable {
    schema: SchemaRef,
    rows: PastRows,
    paper: PastPaper,
}

impl PastTable {
    /// A version of a history, as it was wanted.
    pub(in crate::sql) fn of_history(table: &str, past: PastHistory, wanted: Wanted) -> Self {
        let stood_at = past.of.as_ref().map_or(past.committed_at, |of| of.published_at);
        let paper = PastPaper {
            version: Some(past.version),
            epoch: past.of.as_ref().map(|of| of.epoch.clone()),
            cut: past.of.as_ref().map(|of| of.cut),
            at: Some(past.committed_at),
            as_of: past.of.as_ref().and_then(|of| of.as_of),
            offsets: past.of.map(|of| of.offsets),
            behind_ms: match wanted {
                Wanted::Time(ms) => Some(ms.saturating_sub(stood_at)),
                Wanted::Version(_) => None,
            },
            ..PastPaper::of_no_time(table)
        };
        let (rows, table_id) = (Box::new(past.rows), past.table_id);
        Self { schema: rows.schema(), rows: PastRows::History { rows, table_id }, paper }
    }

    /// What a view showed.
    pub(in crate::sql) fn of_view(table: &str, then: ViewThen) -> Self {
        let paper = PastPaper {
            epoch: Some(then.told.epoch),
            cut: Some(then.told.cut),
            at: Some(then.at),
            as_of: then.told.as_of,
            ..PastPaper::of_no_time(table)
        };
        Self::held(paper, then.schema, vec![then.rows])
    }

    /// The same rows as they stand at a later cut, up to which none was added.
    pub(in crate::sql) fn at_cut(mut self, epoch: &str, cut: &Cut) -> Self {
        let stream = &self.paper.table;
        self.paper.as_of = cut.streams.get(stream).and_then(|stream| stream.as_of);
        self.paper.offsets = cut.offsets.get(stream).cloned();
        (self.paper.epoch, self.paper.cut) = (Some(epoch.to_owned()), Some(cut.cut));
        self
    }

    /// The same rows with what was told of them before.
    pub(in crate::sql) fn told(self, paper: PastPaper) -> Self {
        Self { paper, ..self }
    }

    /// Rows that were put by.
    pub(in crate::sql) fn held(
        paper: PastPaper,
        schema: SchemaRef,
        rows: Vec<RecordBatch>,
    ) -> Self {
        Self { schema, rows: PastRows::Held(rows), paper }
    }

    /// What its rows are true of.
    pub(in crate::sql) fn paper(&self) -> &PastPaper {
        &self.paper
    }

    /// Where its rows are.
    pub(in crate::sql) fn rows(&self) -> &PastRows {
        &self.rows
    }
}

#[async_trait]
impl TableProvider for PastTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        match &self.rows {
            PastRows::History { rows, .. } => rows.supports_filters_pushdown(filters),
            PastRows::Held(_) => Ok(vec![TableProviderFilterPushDown::Unsupported; filters.len()]),
        }
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match &self.rows {
            PastRows::History { rows, .. } => rows.scan(state, projection, filters, limit).await,
            PastRows::Held(rows) => Ok(MemorySourceConfig::try_new_exec(
                std::slice::from_ref(rows),
                Arc::clone(&self.schema),
                projection.cloned(),
            )?),
        }
    }
}

/// The tables of the past that a session's statement has asked for, by the names that stand for them.
#[derive(Debug, Default)]
pub(in crate::sql) struct Pasts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tables: BTreeMap<String, Arc<PastTable>>,
    has_nothing_else: bool,
}

impl Pasts {
    /// Those of the statement that comes; what was planned keeps those it has.
    pub(in crate::sql) fn set(&self, tables: BTreeMap<String, Arc<PastTable>>) {
        *self.0.lock() = Known { tables, has_nothing_else: false };
    }

    /// As [`Self::set`], and nothing that is of now beside them.
    pub(in crate::sql) fn set_alone(&self, tables: BTreeMap<String, Arc<PastTable>>) {
        *self.0.lock() = Known { tables, has_nothing_else: true };
    }

    /// The one of this name.
    pub(in crate::sql) fn get(&self, name: &str) -> Option<Arc<PastTable>> {
        self.0.lock().tables.get(name).cloned()
    }

    /// Whether there is nothing of now.
    pub(in crate::sql) fn is_alone(&self) -> bool {
        self.0.lock().has_nothing_else
    }

    /// All of them.
    pub(in crate::sql) fn all(&self) -> BTreeMap<String, Arc<PastTable>> {
        self.0.lock().tables.clone()
    }
}

/// What the tables of the past in a plan are true of, each once.
pub(in crate::sql) fn papers_of(plan: &LogicalPlan, pasts: &Pasts) -> Vec<PastPaper> {
    let read = names_of(plan).into_iter().filter_map(|name| pasts.get(&name));
    let mut papers: Vec<PastPaper> = read.map(|table| table.paper().clone()).collect();
    papers.sort();
    papers.dedup();
    papers
}

/// The names by which a plan reads its tables. Not the tables themselves: what stands between may hide them.
pub(in crate::sql) fn names_of(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let _whole = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            names.insert(scan.table_name.table().to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    names
}
