//! A stream as its `CREATE TABLE` declares it: columns, event time, watermark, keys, bounds.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast;
use sha2::{Digest as _, Sha256};

use super::column_type::{arrow_type, metadata_type};
use super::error::{Place, SqlError};
use super::lifecycle::Derived;
use super::options::{self, Options};
use super::script::{ColumnKind, Statement, TableStatement};
use crate::decode::RecordMetadata;
use crate::model::record::SHADOW_HEADER;
use crate::model::{MS_A_DAY, Zone};

/// Options a stream may have; others are refused. `properties.*` go to librdkafka as they are.
pub const STREAM_OPTIONS: [&str; 28] = [
    "connector",
    "format",
    "path",
    "topic",
    "partitions",
    "time-zone",
    "event-time.min",
    "max-future-skew",
    "dedup.key",
    "dedup.horizon",
    "partition.key",
    "shadow.header",
    "shadow.column",
    "unknown-fields",
    "record.bytes-max",
    "csv.header",
    "csv.delimiter",
    "on-partition-added",
    "retention",
    "retention.bytes",
    "sequence.column",
    "sequence.ranges-max",
    "accounted.by",
    "accounted.values-max",
    "history",
    "history.hashed",
    "history.retention",
    "personal",
];

/// Default of `record.bytes-max`: Kafka's own default for a message.
const RECORD_BYTES_MAX: usize = 1_048_576;
/// Default of `accounted.values-max`: the shop systems of a large house; each takes 100 bytes a partition.
const ACCOUNTED_VALUES_MAX: usize = 1_000;
/// Default of `sequence.ranges-max`: partitions that are read apart leave gaps in one another's numbers for a while;
/// a range takes about 30 bytes.
const SEQUENCE_RANGES_MAX: usize = 1_000_000;
/// Default of `event-time.min`: 2000-01-01T00:00:00Z.
const EVENT_TIME_MIN_MS: i64 = 946_684_800_000;
/// Default of `max-future-skew`: a day. Without it one order of a clock that is years ahead makes all later ones
/// late; no zone's midnight is further ahead than this.
const MAX_FUTURE_SKEW_MS: i64 = MS_A_DAY;

/// One declared column.
#[derive(Debug, Clone)]
pub struct StreamColumn {
    /// Name, type and nullability.
    pub field: Field,
    /// Its SQL type as written, for messages; for a computed column its expression.
    pub declared: String,
    /// The expression of a computed column; `None` for a field of the record.
    pub computed: Option<ast::Expr>,
    /// For a `METADATA` column, what it is; `None` for a field of the record.
    pub metadata: Option<String>,
    /// Where it is declared.
    pub place: Place,
}

impl StreamColumn {
    /// Whether it is a field of the record, neither computed nor metadata.
    #[must_use]
    pub fn is_field(&self) -> bool {
        self.computed.is_none() && self.metadata.is_none()
    }
}

/// What to do with fields the stream does not declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownFields {
    /// Count them by name and go on.
    Ignore,
    /// Reject the record.
    Reject,
}

/// Everything a stream declares, checked.
#[derive(Debug, Clone)]
pub struct StreamDefinition {
    /// Name of the stream in SQL.
    pub name: String,
    /// The statement it comes from.
    pub statement: Statement,
    /// Columns in order, fields and computed ones.
    pub columns: Vec<StreamColumn>,
    /// Index of the event-time column; `None` for a table without a watermark.
    pub event_time: Option<usize>,
    /// `WATERMARK FOR … AS` this.
    pub watermark: Option<(ast::Expr, Place)>,
    /// `CHECK` conditions with their text.
    pub checks: Vec<(ast::Expr, String)>,
    /// Zone of stamps without one, and of day boundaries.
    pub zone: Zone,
    /// `connector`: `kafka`, `embedded`, `filesystem`, `stdin`, or `lifecycle` for a derived table.
    pub connector: String,
    /// `format`: `json`, `csv` or `parquet`.
    pub format: String,
    /// Columns whose values make the dedup key; empty for none.
    pub dedup_key: Vec<usize>,
    /// How long a dedup key is kept after its event time, in milliseconds.
    pub dedup_horizon_ms: i64,
    /// The column producers partition by.
    pub partition_key: Option<usize>,
    /// The column by whose value records are accounted for; `None` for none.
    pub accounted_by: Option<usize>,
    /// Values of that column that are counted by name.
    pub accounted_values_max: usize,
    /// The column with the number that the source of a record gave it, among its own; `None` for none.
    pub sequence: Option<usize>,
    /// Runs of a source's numbers that are kept apart, with gaps between them; past it nothing is told of the source.
    pub sequence_ranges_max: usize,
    /// Whether every accepted record goes to a table of its own.
    pub keeps_history: bool,
    /// Columns of that table that are hashed with a key.
    pub history_hashed: Vec<usize>,
    /// Days that its history keeps; `None` for all.
    pub history_days: Option<i32>,
    /// Columns that tell of a person. The engine counts them like any other; who is shown them decides by role.
    pub personal: Vec<usize>,
    /// Header that marks shadow records.
    pub shadow_header: String,
    /// Boolean column that marks shadow records.
    pub shadow_column: Option<usize>,
    /// Earliest accepted event time, epoch milliseconds.
    pub event_time_min_ms: i64,
    /// How far ahead of the log's timestamp an event time may be, milliseconds; `None` where it is `'off'`. Records
    /// without a timestamp have no such bound.
    pub max_future_skew_ms: Option<i64>,
    /// See [`UnknownFields`].
    pub unknown_fields: UnknownFields,
    /// Whether partitions that the log did not have at first are taken in; otherwise they stop the pipeline.
    pub accepts_partitions: bool,
    /// Largest accepted record in bytes.
    pub record_bytes_max: usize,
    /// All options as written.
    pub options: Options,
    /// How its rows come from another stream; `None` for a stream of the log.
    pub derived: Option<Arc<Derived>>,
}

impl StreamDefinition {
    /// Reads `CREATE TABLE`; `zone` is the default for `time-zone`.
    ///
    /// # Errors
    /// Every mistake of the statement.
    pub fn read(
        statement: &Statement,
        table: &TableStatement,
        zone: Zone,
        overrides: &Options,
    ) -> Result<Self, Vec<SqlError>> {
        let mut reader = Reader { statement, table, errors: Vec::new() };
        let mut options = table.options.clone();
        options.extend(overrides.iter().map(|(key, value)| (key.clone(), value.clone())));
        let definition = reader.definition(options, zone);
        if reader.errors.is_empty() { Ok(definition) } else { Err(reader.errors) }
    }

    /// SHA-256 over everything that decides which records are read and which of them count, in hex.
    ///
    /// How the log is reached is not part of it, nor how much of it is kept.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for column in &self.columns {
            let (name, declared, metadata) =
                (column.field.name(), &column.declared, &column.metadata);
            let is_computed = column.computed.is_some();
            hash.update(format!(
                "{name} {declared} {} {is_computed} {metadata:?}\n",
                column.field.is_nullable()
            ));
        }
        let event_time =
            self.event_time.and_then(|at| self.columns.get(at)).map(|column| column.field.name());
        let watermark = self.watermark.as_ref().map(|(expression, _)| expression.to_string());
        hash.update(format!("{} {event_time:?} {watermark:?} {}", self.name, self.zone.name()));
        self.checks.iter().for_each(|(_, text)| hash.update(format!("\nCHECK {text}")));
        hash.update(self.derived.as_ref().map_or("", |derived| &derived.text));
        // State from before it was kept of each currency lacks what a refused event had crowded out.
        if self.derived.as_ref().is_some_and(|derived| derived.rules.currency.is_some()) {
            hash.update("the earliest event of each currency");
        }
        let elsewhere = [
            "retention",
            "retention.bytes",
            "partitions",
            "on-partition-added",
            "history.retention",
            // Who is shown a column changes no figure.
            "personal",
        ];
        for (key, value) in &self.options {
            if !key.starts_with("properties.") && !elsewhere.contains(&key.as_str()) {
                hash.update(format!("\n{key}={value}"));
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The columns as an Arrow schema.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self.columns.iter().map(|column| column.field.clone()).collect();
        Arc::new(Schema::new(fields))
    }

    /// The stream of the log that its rows come from: itself, unless it is derived.
    #[must_use]
    pub fn base(&self) -> &str {
        self.derived.as_ref().map_or(&self.name, |derived| &derived.source)
    }

    /// Everything its rows depend on, as written.
    #[must_use]
    pub fn text(&self) -> String {
        let under = self.derived.as_ref().map_or("", |derived| &derived.text);
        [self.statement.text.as_str(), under].join("\n")
    }

    /// Index of a column by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.field.name() == name)
    }
}

struct Reader<'a> {
    statement: &'a Statement,
    table: &'a TableStatement,
    errors: Vec<SqlError>,
}

impl Reader<'_> {
    fn wrong(&mut self, place: Place, message: impl Into<String>) {
        self.errors.push(SqlError::at(&self.statement.file, place, message));
    }

    /// At the place where the option is written; the statement's for one that is not written there.
    fn wrong_option(&mut self, key: &str, message: impl Into<String>) {
        self.wrong(self.table.place_of(key, self.statement.place), message);
    }

    fn definition(&mut self, options: Options, zone: Zone) -> StreamDefinition {
        let table = self.table;
        self.refuse_unknown_options(&options);
        self.refuse_options_without_effect(&options);
        let zone = self.option(&options, "time-zone", zone, Zone::named);
        let columns = self.columns(table, zone);
        if options.get("connector").is_none_or(|connector| connector != "lifecycle") {
            self.check_metadata(&columns, zone);
        }
        let find = |name: &str| columns.iter().position(|column| column.field.name() == name);
        let mut wrong = Vec::new();
        let mut named = |key: &str| {
            let name = options.get(key)?.trim();
            let found = find(name);
            if found.is_none() {
                wrong.push((
                    key.to_owned(),
                    format!("'{key}' = '{name}': the stream has no such column"),
                ));
            }
            found
        };
        let partition_key = named("partition.key");
        let accounted_by = named("accounted.by");
        let sequence = named("sequence.column");
        let shadow_column = named("shadow.column");
        let mut all_named = |key: &str| -> Vec<usize> {
            let names = options.get(key).into_iter().flat_map(|names| names.split(','));
            let found = names.map(str::trim).filter_map(|name| {
                let found = find(name);
                if found.is_none() {
                    let message = format!("'{key}' = '{name}': the stream has no such column");
                    wrong.push((key.to_owned(), message));
                }
                found
            });
            found.collect()
        };
        let dedup_key = all_named("dedup.key");
        let history_hashed = all_named("history.hashed");
        let personal = all_named("personal");
        let (event_time, watermark) = match &table.watermark {
            None => (None, None),
            Some((name, expression, at)) => {
                let found = find(name);
                if found.is_none() {
                    let message = format!("WATERMARK FOR {name}: the stream has no such column");
                    self.wrong(*at, message);
                }
                (found, Some((expression.clone(), *at)))
            }
        };
        if let Some(column) = sequence.and_then(|at| columns.get(at)) {
            let name = column.field.name();
            if !column.field.data_type().is_integer() {
                wrong.push(("sequence.column".to_owned(), format!(
                    "'sequence.column' = '{name}': it is {}, and numbers of a sequence are a BIGINT or INT",
                    column.declared
                )));
            }
            if accounted_by.is_none() {
                wrong.push(("sequence.column".to_owned(), format!(
                    "'sequence.column' = '{name}': say whose sequence it is, as 'accounted.by' = 'source'"
                )));
            }
        }
        for (key, message) in wrong {
            self.wrong_option(&key, message);
        }
        let duration = |text: &str| options::duration(text).map(options::ms);
        StreamDefinition {
            name: table.name.clone(),
            statement: self.statement.clone(),
            event_time,
            watermark,
            checks: table.checks.clone(),
            zone,
            connector: self.option(&options, "connector", "embedded".to_owned(), |word| {
                one_of(word, &["kafka", "embedded", "filesystem", "stdin", "lifecycle"])
            }),
            format: self.option(&options, "format", "json".to_owned(), |word| {
                one_of(word, &["json", "csv", "parquet"])
            }),
            dedup_key,
            dedup_horizon_ms: self.option(&options, "dedup.horizon", 3 * MS_A_DAY, duration),
            partition_key,
            accounted_by,
            accounted_values_max: self.option(
                &options,
                "accounted.values-max",
                ACCOUNTED_VALUES_MAX,
                |text| match text.parse() {
                    Ok(count @ 1..=100_000) => Ok(count),
                    _ => Err(format!("'{text}' is not a number from 1 to 100000")),
                },
            ),
            sequence,
            sequence_ranges_max: self.option(
                &options,
                "sequence.ranges-max",
                SEQUENCE_RANGES_MAX,
                |text| match text.parse() {
                    Ok(count @ 1..=100_000_000) => Ok(count),
                    _ => Err(format!("'{text}' is not a number from 1 to 100000000")),
                },
            ),
            keeps_history: self.option(&options, "history", false, |word| match word {
                "keep" => Ok(true),
                "none" => Ok(false),
                other => Err(format!("'{other}' is neither 'keep' nor 'none'")),
            }),
            history_hashed,
            personal,
            history_days: self.option(&options, "history.retention", None, |text| {
                whole_days(duration(text)?).map(Some)
            }),
            shadow_header: options
                .get("shadow.header")
                .cloned()
                .unwrap_or_else(|| SHADOW_HEADER.to_owned()),
            shadow_column,
            event_time_min_ms: self.option(&options, "event-time.min", EVENT_TIME_MIN_MS, instant),
            max_future_skew_ms: self.option(
                &options,
                "max-future-skew",
                Some(MAX_FUTURE_SKEW_MS),
                |text| match text {
                    "off" => Ok(None),
                    text => duration(text).map(Some),
                },
            ),
            unknown_fields: self.option(
                &options,
                "unknown-fields",
                UnknownFields::Ignore,
                |word| match word {
                    "ignore" => Ok(UnknownFields::Ignore),
                    "reject" => Ok(UnknownFields::Reject),
                    other => Err(format!("'{other}' is neither 'ignore' nor 'reject'")),
                },
            ),
            accepts_partitions: self.option(
                &options,
                "on-partition-added",
                false,
                |word| match word {
                    "accept" => Ok(true),
                    "stop" => Ok(false),
                    other => Err(format!("'{other}' is neither 'stop' nor 'accept'")),
                },
            ),
            record_bytes_max: self.option(&options, "record.bytes-max", RECORD_BYTES_MAX, |text| {
                text.parse().map_err(|_| format!("'{text}' is not a number of bytes"))
            }),
            columns,
            options,
            derived: None,
        }
    }

    /// What a log knows of a record beside its fields, each with its type.
    fn check_metadata(&mut self, columns: &[StreamColumn], zone: Zone) {
        let known = RecordMetadata::ALL.map(RecordMetadata::key);
        for column in columns {
            let Some(key) = &column.metadata else { continue };
            let Some(found) = RecordMetadata::named(key) else {
                let message = format!("METADATA FROM '{key}': a record has {}", known.join(", "));
                self.wrong(column.place, message);
                continue;
            };
            let (wanted, name) = metadata_type(found, zone);
            if *column.field.data_type() != wanted {
                self.wrong(
                    column.place,
                    format!("METADATA FROM '{key}' is a {name}, not a {}", column.declared),
                );
            }
        }
    }

    fn refuse_unknown_options(&mut self, options: &Options) {
        for key in options.keys() {
            if STREAM_OPTIONS.contains(&key.as_str()) || key.starts_with("properties.") {
                continue;
            }
            let hint = options::nearest(key, &STREAM_OPTIONS)
                .map_or(String::new(), |near| format!("; did you mean '{near}'?"));
            self.wrong_option(key, format!("unknown option '{key}'{hint}"));
        }
    }

    /// What is declared and does nothing is a misunderstanding that would be noticed too late.
    fn refuse_options_without_effect(&mut self, options: &Options) {
        let is = |key: &str, value: &str| options.get(key).is_some_and(|is| is == value);
        let has = |key: &str| options.contains_key(key);
        let (is_kept, is_csv) = (is("history", "keep"), is("format", "csv"));
        let needs = [
            ("dedup.horizon", has("dedup.key"), "'dedup.key'"),
            ("accounted.values-max", has("accounted.by"), "'accounted.by'"),
            ("sequence.ranges-max", has("sequence.column"), "'sequence.column'"),
            ("history.hashed", is_kept, "'history' = 'keep'"),
            ("history.retention", is_kept, "'history' = 'keep'"),
            ("csv.header", is_csv, "'format' = 'csv'"),
            ("csv.delimiter", is_csv, "'format' = 'csv'"),
        ];
        for (key, _, other) in needs.iter().filter(|(key, is_there, _)| has(key) && !is_there) {
            self.wrong_option(key, format!("option '{key}' has no effect without {other}"));
        }
    }

    fn option<T>(
        &mut self,
        options: &Options,
        key: &str,
        otherwise: T,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        match options.get(key).map(|text| read(text)) {
            None => otherwise,
            Some(Ok(value)) => value,
            Some(Err(message)) => {
                self.wrong_option(key, format!("option '{key}': {message}"));
                otherwise
            }
        }
    }

    fn columns(&mut self, table: &TableStatement, zone: Zone) -> Vec<StreamColumn> {
        let mut columns: Vec<StreamColumn> = Vec::new();
        for column in &table.columns {
            if columns.iter().any(|earlier| earlier.field.name() == &column.name) {
                self.wrong(column.place, format!("column `{}` is declared twice", column.name));
            }
            let metadata = match &column.kind {
                ColumnKind::Metadata { key, .. } => Some(key.clone()),
                _ => None,
            };
            let (data_type, nullable, declared, computed) = match &column.kind {
                ColumnKind::Field { data_type, required }
                | ColumnKind::Metadata { data_type, required, .. } => {
                    match arrow_type(data_type, zone) {
                        Ok(found) => (found, !required, data_type.to_string(), None),
                        Err(message) => {
                            self.wrong(column.place, message);
                            continue;
                        }
                    }
                }
                // Its type is known once the session has planned the expression.
                ColumnKind::Computed(expression) => {
                    (DataType::Null, true, expression.to_string(), Some(expression.clone()))
                }
            };
            columns.push(StreamColumn {
                field: Field::new(&column.name, data_type, nullable),
                declared,
                computed,
                metadata,
                place: column.place,
            });
        }
        columns
    }
}

fn one_of(word: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&word) {
        Ok(word.to_owned())
    } else {
        Err(format!("'{word}' is not one of {}", known.join(", ")))
    }
}

/// A span in days, of which histories have a folder each.
fn whole_days(ms: i64) -> Result<i32, String> {
    match (ms / MS_A_DAY, ms % MS_A_DAY) {
        (days @ 1.., 0) => i32::try_from(days).map_err(|error| error.to_string()),
        _ => Err("a history is kept by whole days; write as '400 d'".to_owned()),
    }
}

fn instant(text: &str) -> Result<i64, String> {
    arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(text)
        .map(|nanos| nanos.div_euclid(1_000_000))
        .map_err(|_| format!("'{text}' is not a time; write as '2000-01-01T00:00:00Z'"))
}
