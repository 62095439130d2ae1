//! What a table's connector names: files, standard input, Kafka.

use std::path::{Path, PathBuf};

use crate::source::files::{FileFormat, FilesOptions, FilesSource};
use crate::source::kafka::KafkaSource;
use crate::source::{Source, SourceError};
use crate::sql::StreamDefinition;

/// The source a stream's connector names, and the header of its CSV files.
///
/// # Errors
/// When it cannot be opened or the stream lacks one of its options.
pub fn open_source(
    definition: &StreamDefinition,
) -> Result<(Box<dyn Source>, Option<Vec<String>>), SourceError> {
    match definition.connector.as_str() {
        "kafka" => Ok((Box::new(KafkaSource::new(&definition.options)?), None)),
        "stdin" => {
            let source = FilesSource::stdin(file_format(definition), definition.record_bytes_max)?;
            let header = source.csv_header();
            Ok((Box::new(source), header))
        }
        "filesystem" => {
            let source = FilesSource::open(&FilesOptions {
                path: resolved_path(definition)?,
                format: file_format(definition),
                record_bytes_max: definition.record_bytes_max,
            })?;
            let header = source.csv_header();
            Ok((Box::new(source), header))
        }
        other => Err(SourceError::BadOption {
            option: "connector".to_owned(),
            detail: format!(
                "'{other}' needs a running server; use 'filesystem', 'stdin' or 'kafka' here"
            ),
        }),
    }
}

/// The declared path; a relative one that does not exist here is looked for beside the script.
pub(super) fn resolved_path(definition: &StreamDefinition) -> Result<String, SourceError> {
    let Some(path) = definition.options.get("path") else {
        return Err(SourceError::BadOption {
            option: "path".to_owned(),
            detail: "the connector 'filesystem' needs 'path' = '…'".to_owned(),
        });
    };
    let beside: Option<PathBuf> =
        definition.statement.file.parent().map(|parent| parent.join(path));
    Ok(match beside {
        Some(beside) if !Path::new(path).exists() && beside.exists() => {
            beside.to_string_lossy().into_owned()
        }
        _ => path.clone(),
    })
}

fn file_format(definition: &StreamDefinition) -> FileFormat {
    match definition.format.as_str() {
        "csv" => FileFormat::Csv {
            has_header: definition.options.get("csv.header").is_some_and(|text| text == "true"),
            delimiter: definition
                .options
                .get("csv.delimiter")
                .and_then(|text| text.bytes().next())
                .unwrap_or(b','),
        },
        "parquet" => FileFormat::Parquet,
        _ => FileFormat::JsonLines,
    }
}
