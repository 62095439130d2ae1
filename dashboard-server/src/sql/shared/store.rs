//! Shared queries on disk: `data-dir/shared/ID/` has the statement and the rows that were put by.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidemark_pipeline::history::Pins;
use tidemark_pipeline::results::CommitError;

use crate::auth::secret::random_bytes;
use crate::sql::PastPaper;
use crate::sql::error::SqlError;

/// Form of the files.
const FORMAT: u32 = 1;
/// What the name begins with in which a query holds versions.
const HOLDER: &str = "shared/";
/// Name of the file with the statement.
const QUERY: &str = "query.json";

/// A shared query. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shared {
    /// Form of its files.
    pub(super) format: u32,
    /// The statement.
    pub sql: String,
    /// Values for `$1`, `$2`, ….
    pub params: Vec<Value>,
    /// Who shared it.
    pub author: String,
    /// When, epoch milliseconds: what it asks of the clock is asked of this.
    pub created_at: i64,
    /// What it reads.
    pub tables: Vec<SharedTable>,
    /// The cut that everything of it is of that was not asked for as of another time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pinned: Option<PinnedCut>,
}

/// The cut at which a query was shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PinnedCut {
    /// Life of the publisher in which it counts.
    pub epoch: String,
    /// Its number.
    pub cut: u64,
    /// The newest cut when the query was shared: an earlier one where records came in while its histories were committed.
    pub asked_cut: u64,
    /// Largest accepted event time, epoch milliseconds; `None` before the first record.
    pub as_of: Option<i64>,
    /// Event time every partition has passed, epoch milliseconds; `None` until all have begun.
    pub watermark: Option<i64>,
}

/// A table that a shared query reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharedTable {
    /// The name by which the statement reads it.
    pub(super) name: String,
    /// Whether it is a view, a history or a table that is the same for every query.
    pub(super) kind: SharedKind,
    /// What its rows are true of.
    pub paper: PastPaper,
}

/// Where the rows of a table are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum SharedKind {
    /// Put by: rows of a view.
    View,
    /// Put by: rows of a reference table.
    Reference,
    /// In the version of a history that has this name for itself.
    History {
        /// The Delta table's id.
        table_id: String,
    },
}

/// Why a query cannot be shared or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SharedError {
    /// There is none of this id.
    #[error("there is no shared query {id}; it may have been removed")]
    Unknown {
        /// As asked for.
        id: String,
    },
    /// There are as many as there may be.
    #[error("{most} queries are shared already; remove some, or raise sql.shared-max")]
    Full {
        /// The bound.
        most: usize,
    },
    /// What it reads is not in a version yet, and cannot be brought into one.
    #[error("this cannot be shared now: {0}; ask again in a moment")]
    NotCommitted(#[from] CommitError),
    /// It cannot answer the same for ever.
    #[error("this cannot be shared: {reason}")]
    NotFixed {
        /// What would change, and what to do.
        reason: String,
    },
    /// Files cannot be read or written.
    #[error("{place}: {detail}")]
    Store {
        /// The file or folder.
        place: String,
        /// What is wrong.
        detail: String,
    },
    /// The query fails.
    #[error(transparent)]
    Sql(#[from] SqlError),
}

/// The shared queries of a data folder.
#[derive(Debug, Clone)]
pub struct SharedQueries {
    dir: PathBuf,
    most: usize,
}

/// Rows that are put by, with the number of their table.
pub(super) type PutBy = (usize, SchemaRef, Vec<RecordBatch>);

impl SharedQueries {
    /// Those of a data folder, at most `most`. What a crash left half done is taken away: versions that are held by none
    /// of them, and queries that are not whole.
    #[must_use]
    pub fn open(data_dir: &Path, most: usize, pins: Option<&Pins>) -> Self {
        let queries = Self { dir: data_dir.join("shared"), most };
        for entry in std::fs::read_dir(&queries.dir).into_iter().flatten().flatten() {
            if !entry.path().join(QUERY).exists()
                || entry.file_name().as_encoded_bytes().starts_with(b".")
            {
                // If it cannot be removed it only takes room.
                let _gone = std::fs::remove_dir_all(entry.path());
            }
        }
        for name in pins.into_iter().flat_map(Pins::holders) {
            let Some(id) = name.strip_prefix(HOLDER) else { continue };
            if !queries.dir.join(id).join(QUERY).exists() {
                queries.release(pins, id);
            }
        }
        queries
    }

    /// Lets go of the versions that a query holds.
    pub(super) fn release(&self, pins: Option<&Pins>, id: &str) {
        if let Some(Err(error)) = pins.map(|pins| pins.release(&holder(id))) {
            tracing::warn!(%error, "a version of a history stays held by no query: {error}");
        }
    }

    /// Whether another one has room.
    ///
    /// # Errors
    /// When it has none.
    pub(super) fn check_room(&self) -> Result<(), SharedError> {
        let count = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries.count(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(failed(&self.dir, &error)),
        };
        if count >= self.most { Err(SharedError::Full { most: self.most }) } else { Ok(()) }
    }

    /// A new id, which nobody guesses.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub(super) fn new_id(&self) -> Result<String, SharedError> {
        let bytes = random_bytes::<12>().map_err(|error| failed(&self.dir, &error))?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Writes a query with the rows that it reads. Whole or not at all. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn put(&self, id: &str, shared: &Shared, rows: &[PutBy]) -> Result<(), SharedError> {
        let (aside, place) = (self.dir.join(format!(".{id}")), self.dir.join(id));
        let written = || -> io::Result<()> {
            std::fs::create_dir_all(&aside)?;
            for (nth, schema, batches) in rows {
                write_rows(&aside.join(rows_file(*nth)), schema, batches)?;
            }
            let mut file = File::create(aside.join(QUERY))?;
            serde_json::to_writer_pretty(&mut file, shared)?;
            file.sync_all()?;
            File::open(&aside)?.sync_all()?;
            std::fs::rename(&aside, &place)?;
            File::open(&self.dir)?.sync_all()
        };
        written().map_err(|error| {
            // What is left of it is of no use; the next start would count it.
            let _gone = std::fs::remove_dir_all(&aside);
            failed(&place, &error)
        })
    }

    /// Reads a query. Blocks.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn get(&self, id: &str) -> Result<Shared, SharedError> {
        let file = self.folder(id)?.join(QUERY);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unknown(id)),
            Err(error) => return Err(failed(&file, &error)),
        };
        let shared: Shared =
            serde_json::from_slice(&bytes).map_err(|error| failed(&file, &error))?;
        if shared.format != FORMAT {
            let detail =
                format!("it has the format {}, and this version reads {FORMAT}", shared.format);
            return Err(SharedError::Store { place: file.display().to_string(), detail });
        }
        Ok(shared)
    }

    /// The rows that were put by for one of its tables. Blocks.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn rows(
        &self,
        id: &str,
        nth: usize,
    ) -> Result<(SchemaRef, Vec<RecordBatch>), SharedError> {
        let file = self.folder(id)?.join(rows_file(nth));
        let opened = File::open(&file).map_err(|error| failed(&file, &error))?;
        let reader = FileReader::try_new(opened, None).map_err(|error| failed(&file, &error))?;
        let schema = reader.schema();
        let rows = reader.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&file, &error))?;
        Ok((schema, rows))
    }

    /// Removes a query, and lets go of what it holds. Blocks.
    ///
    /// # Errors
    /// When there is none, or the disk refuses.
    pub fn remove(&self, id: &str, pins: Option<&Pins>) -> Result<(), SharedError> {
        let folder = self.folder(id)?;
        // Whoever opens it from here on finds none, however far the rest has got.
        match std::fs::remove_file(folder.join(QUERY)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unknown(id)),
            Err(error) => return Err(failed(&folder, &error)),
        }
        self.release(pins, id);
        std::fs::remove_dir_all(&folder).map_err(|error| failed(&folder, &error))
    }

    fn folder(&self, id: &str) -> Result<PathBuf, SharedError> {
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { Ok(self.dir.join(id)) } else { Err(unknown(id)) }
    }
}

impl Shared {
    pub(super) fn new(
        (sql, params): (&str, &[Value]),
        author: &str,
        created_at: i64,
        (tables, pinned): (Vec<SharedTable>, Option<PinnedCut>),
    ) -> Self {
        let (sql, params, author) = (sql.to_owned(), params.to_vec(), author.to_owned());
        Self { format: FORMAT, sql, params, author, created_at, tables, pinned }
    }
}

/// The name in which a query holds versions.
pub(super) fn holder(id: &str) -> String {
    format!("{HOLDER}{id}")
}

fn unknown(id: &str) -> SharedError {
    SharedError::Unknown { id: id.to_owned() }
}

fn rows_file(nth: usize) -> String {
    format!("{nth}.arrow")
}

fn write_rows(file: &Path, schema: &SchemaRef, rows: &[RecordBatch]) -> io::Result<()> {
    let file = File::create(file)?;
    let written = || -> Result<(), arrow::error::ArrowError> {
        let mut writer = FileWriter::try_new(&file, schema)?;
        rows.iter().try_for_each(|batch| writer.write(batch))?;
        writer.finish()
    };
    written().map_err(io::Error::other)?;
    file.sync_all()
}

fn failed(place: &Path, error: &dyn std::error::Error) -> SharedError {
    SharedError::Store { place: place.display().to_string(), detail: error.to_string() }
}
