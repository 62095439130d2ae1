//! The Delta Lake table of one stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Date32Type, Int32Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{col, lit};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::kernel::{StructType, Transaction};
use deltalake_core::logstore::{StorageConfig, default_logstore};
use deltalake_core::operations::optimize::OptimizeType;
use deltalake_core::operations::write::SchemaMode;
use deltalake_core::protocol::SaveMode;
use deltalake_core::{DeltaTable, DeltaTableError, ensure_table_uri};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::HistoryError;
use super::layout::{DATE, HistoryLayout, OFFSET, PARTITION};
use super::past::Loaded;
use super::pins::Pins;
use super::stand::{self, OfCut};
use super::under_way::UnderWay;
use crate::model::{Offset, PartitionId};
use crate::state::objects::{self, S3Options};

/// Where histories are kept.
#[derive(Debug, Clone)]
pub struct HistoryPlace {
    /// A folder, `file:///folder` or `s3://bucket/prefix`; each stream has a folder below.
    pub url: String,
    /// How an S3 store is reached.
    pub s3: S3Options,
}

/// The table of one stream. Cheap to clone; a clone stays at its version.
#[derive(Debug, Clone)]
pub struct HistoryTable {
    stream: String,
    place: String,
    declaration: i64,
    days: Option<i32>,
    /// The newest day of what was added, in days since 1970.
    newest: Option<i32>,
    /// The day before which everything was removed.
    trimmed: Option<i32>,
    table: DeltaTable,
    /// Earlier versions that someone asked for.
    loaded: Loaded,
    /// Versions that must stay.
    pins: Arc<Pins>,
    /// The cut of the last rows that this life has added.
    of: Option<OfCut>,
    under_way: UnderWay,
}

/// Beyond the days that are kept: the newest may be of a clock that is ahead, by as much as the future guard lets through.
const AHEAD_DAYS: i32 = 1;
/// The clock of a local disk ticks a hundred times a second, or more often.
const COARSE_DISK: Duration = Duration::from_millis(20);
/// S3 tells whole seconds, by a clock of its own.
const COARSE_BUCKET: Duration = Duration::from_millis(1_500);

impl HistoryTable {
    /// Opens the table of a stream, and makes it where there is none.
    ///
    /// # Errors
    /// When the place refuses, or holds something else, or rows of a stream that was declared otherwise.
    pub async fn open(
        place: &HistoryPlace,
        layout: &HistoryLayout,
        pins: Arc<Pins>,
    ) -> Result<Self, HistoryError> {
        let (stream, schema) = (layout.stream(), &layout.schema);
        let url = format!("{}/{stream}", place.url.trim_end_matches('/'));
        let failed = |detail: String| HistoryError::Table {
            stream: stream.to_owned(),
            place: url.clone(),
            detail,
        };
        let (location, root): (_, Arc<dyn ObjectStore>) = match url.strip_prefix("s3://") {
            Some(rest) => {
                let bucket = rest.split('/').next().unwrap_or(rest);
                let root = objects::s3_store(bucket, &place.s3);
                let root = root.map_err(|error| failed(error.to_string()))?;
                // Not by `ensure_table_uri`, which knows buckets only where its own store for them is compiled in.
                let location = format!("{url}/").parse();
                (location.map_err(|_| failed("it is no s3://bucket/prefix".to_owned()))?, root)
            }
            None => {
                let location = ensure_table_uri(&url).map_err(|error| failed(error.to_string()))?;
                (location, Arc::new(LocalFileSystem::new()))
            }
        };
        let prefix = object_store::path::Path::from_url_path(location.path())
            .map_err(|error| failed(error.to_string()))?;
        let prefixed: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(&root), prefix));
        let log = default_logstore(prefixed, root, &location, &StorageConfig::default());
        let mut table = DeltaTable::new(log);
        match table.load().await {
            Ok(()) => {}
            Err(DeltaTableError::NotATable(_)) => {
                let columns: StructType =
                    schema.as_ref().try_into_kernel().map_err(|error| failed(error.to_string()))?;
                table = table
                    .create()
                    .with_table_name(stream)
                    .with_comment("Every accepted record, once; late ones are marked")
                    .with_columns(columns.fields().cloned())
                    .with_partition_columns([DATE])
                    .await
                    .map_err(|error| failed(error.to_string()))?;
            }
            Err(error) => return Err(failed(error.to_string())),
        }
        let declaration = layout.declaration;
        let coarse = if url.starts_with("s3://") { COARSE_BUCKET } else { COARSE_DISK };
        let opened = Self {
            stream: stream.to_owned(),
            place: url,
            declaration,
            days: layout.days,
            newest: None,
            trimmed: None,
            table,
            loaded: Loaded::default(),
            pins,
            of: None,
            under_way: UnderWay::new(coarse),
        };
        match opened.transaction(opened.declared()).await? {
            Some(other) if other != declaration => {
                Err(HistoryError::AnotherDeclaration { stream: opened.stream, place: opened.place })
            }
            _ => Ok(opened),
        }
    }

    /// Its stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.table.version().unwrap_or(0)
    }

    /// The table at its version.
    pub(super) fn delta(&self) -> &DeltaTable {
        &self.table
    }

    /// This table at another version.
    pub(super) fn at(&self, table: DeltaTable) -> Self {
        Self { table, ..self.clone() }
    }

    pub(super) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    pub(super) fn under_way(&self) -> &UnderWay {
        &self.under_way
    }

    fn failed(&self, error: &DeltaTableError) -> HistoryError {
        HistoryError::Table {
            stream: self.stream.clone(),
            place: self.place.clone(),
            detail: error.to_string(),
        }
    }

    /// On a local disk, makes the newest version survive a power cut; a bucket does so by itself.
    fn sync(&self) -> Result<(), HistoryError> {
        let Ok(folder) = self.table.table_url().to_file_path() else { return Ok(()) };
        super::sync::version(&folder, self.version()).map_err(|error| HistoryError::Table {
            stream: self.stream.clone(),
            place: self.place.clone(),
            detail: format!("it cannot be synced: {error}"),
        })
    }

    /// The application that a commit is of, in the words of Delta Lake.
    fn application(&self, partition: PartitionId) -> String {
        format!("tidemark/{}/{partition}", self.stream)
    }

    /// The application that remembers the declaration of the stream.
    fn declared(&self) -> String {
        format!("tidemark/{}/declaration", self.stream)
    }

    /// How a commit goes, which says of which cut the rows are then: what is held can only be put together from the log as
    /// far back as it.
    fn commit(&self, of: Option<&OfCut>) -> CommitProperties {
        let tidies_up = (self.pins.holds(&self.stream)).then_some(false);
        let told = of.and_then(|of| serde_json::to_value(of).ok());
        CommitProperties::default()
            .with_cleanup_expired_logs(tidies_up)
            .with_metadata(told.map(|told| (stand::KEY.to_owned(), told)))
    }

    async fn transaction(&self, application: String) -> Result<Option<i64>, HistoryError> {
        let log = self.table.log_store();
        let snapshot = self.table.snapshot().map_err(|error| self.failed(&error))?;
        let version = snapshot.transaction_version(log.as_ref(), application).await;
        version.map_err(|error| self.failed(&error))
    }

    /// Offset after the last record of a partition that the table holds; `None` for none.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn committed(&self, partition: PartitionId) -> Result<Option<Offset>, HistoryError> {
        self.transaction(self.application(partition)).await
    }

    /// Adds rows, which reach each partition up to `next`, in one commit, with which the table is `of` a cut. What an
    /// attempt before has committed without our knowing is left out.
    ///
    /// # Errors
    /// When the place refuses; nothing, or everything, has then been added.
    pub async fn append(
        &mut self,
        rows: Vec<RecordBatch>,
        next: &BTreeMap<PartitionId, Offset>,
        of: Option<OfCut>,
    ) -> Result<(), HistoryError> {
        let _under_way = self.under_way.begin();
        self.table.update_state().await.map_err(|error| self.failed(&error))?;
        let mut held = BTreeMap::new();
        for partition in next.keys() {
            held.insert(*partition, self.committed(*partition).await?.unwrap_or(0));
        }
        let fresh: Vec<RecordBatch> = rows
            .into_iter()
            .filter_map(|batch| without(&batch, &held))
            .filter(|batch| batch.num_rows() > 0)
            .collect();
        let mut transactions: Vec<Transaction> = next
            .iter()
            .filter(|(partition, next)| held.get(partition).is_none_or(|held| held < next))
            .map(|(partition, next)| Transaction::new(self.application(*partition), *next))
            .collect();
        if fresh.is_empty() || transactions.is_empty() {
            return Ok(());
        }
        transactions.push(Transaction::new(self.declared(), self.declaration));
        self.newest = self.newest.max(fresh.iter().filter_map(newest_day).max());
        crate::fail_points::hit("history-commit");
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let commit = self.commit(of.as_ref()).with_application_transactions(transactions);
        let written = self
            .table
            .clone()
            .write(fresh)
            .with_save_mode(SaveMode::Append)
            .with_schema_mode(SchemaMode::Merge)
            .with_partition_columns([DATE])
            .with_writer_properties(properties)
            .with_commit_properties(commit)
            .await;
        (self.table, self.of) = (written.map_err(|error| self.failed(&error))?, of);
        self.sync()?;
        crate::fail_points::hit("history-committed");
        Ok(())
    }

    /// Removes the days that are no longer kept. Versions before stay readable until [`Self::forget`]. How many files
    /// went.
    ///
    /// # Errors
    /// When the place refuses; it is tried again with the next commit.
    pub async fn trim(&mut self) -> Result<usize, HistoryError> {
        let Some((days, newest)) = self.days.zip(self.newest) else { return Ok(0) };
        let before = newest.saturating_sub(days).saturating_sub(AHEAD_DAYS);
        if self.trimmed.is_some_and(|trimmed| trimmed >= before) {
            return Ok(0);
        }
        let _under_way = self.under_way.begin();
        // Files are of one day each, so none is written anew.
        let old = col(DATE).lt(lit(ScalarValue::Date32(Some(before))));
        let done = self
            .table
            .clone()
            .delete()
            .with_predicate(old)
            .with_commit_properties(self.commit(self.of.as_ref()))
            .await;
        let (table, metrics) = done.map_err(|error| self.failed(&error))?;
        (self.table, self.trimmed) = (table, Some(before));
        self.sync()?;
        Ok(metrics.num_removed_files)
    }

    /// Puts small files together; the rows stay what they are. How many files went.
    ///
    /// # Errors
    /// When the place refuses.
    pub async fn compact(&mut self) -> Result<u64, HistoryError> {
        let done = self.table.clone().optimize().with_type(OptimizeType::Compact);
        let done = done.with_commit_properties(self.commit(self.of.as_ref())).await;
        let (table, metrics) = done.map_err(|error| self.failed(&error))?;
        self.table = table;
        self.sync()?;
        Ok(metrics.num_files_removed)
    }

    /// Deletes files that no version of the last `keep` needs, and none that is held. How many went.
    ///
    /// # Errors
    /// When the place refuses.
    pub async fn forget(&mut self, keep: Duration) -> Result<usize, HistoryError> {
        let keep = chrono::Duration::from_std(keep).unwrap_or(chrono::Duration::MAX);
        // Those of a table that was here before are of no use to anyone.
        let version = self.version();
        let (mut held, _deleting) = self.pins.before_deleting(&self.stream);
        held.retain(|held| *held <= version);
        let mut vacuum = self
            .table
            .clone()
            .vacuum()
            .with_retention_period(keep)
            .with_enforce_retention_duration(false)
            .with_commit_properties(self.commit(self.of.as_ref()));
        if !held.is_empty() {
            vacuum = vacuum.with_keep_versions(&held);
        }
        let vacuum = vacuum.await;
        let (table, metrics) = vacuum.map_err(|error| self.failed(&error))?;
        self.table = table;
        Ok(metrics.files_deleted.len())
    }
}

/// The newest day of some rows.
fn newest_day(rows: &RecordBatch) -> Option<i32> {
    let days = rows.column_by_name(DATE)?.as_primitive_opt::<Date32Type>()?;
    arrow::compute::max(days)
}

/// The rows that are not `held`: offsets by partition from which on rows are new.
fn without(batch: &RecordBatch, held: &BTreeMap<PartitionId, Offset>) -> Option<RecordBatch> {
    let partitions = batch.column_by_name(PARTITION)?.as_primitive_opt::<Int32Type>()?;
    let offsets = batch.column_by_name(OFFSET)?.as_primitive_opt::<Int64Type>()?;
    let is_new = |row: usize| {
        let partition = PartitionId::try_from(partitions.value(row)).unwrap_or_default();
        held.get(&partition).is_none_or(|held| offsets.value(row) >= *held)
    };
    let mask: Vec<bool> = (0..offsets.len()).map(is_new).collect();
    match mask.iter().all(|is_new| *is_new) {
        true => Some(batch.clone()),
        false => filter_record_batch(batch, &BooleanArray::from(mask)).ok(),
    }
}
