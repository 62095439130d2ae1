//! One CSV record into values, by the names of the file's header.

use super::json::bad_value;
use super::{FieldSpec, Value};
use crate::model::RejectReason;

/// Reads `payload` into `row`; an empty field is NULL. The answer is the last undeclared column.
///
/// # Errors
/// When it is not one CSV record or a value is not of its field's type.
pub fn read(
    payload: &[u8],
    (header, delimiter): (&[String], u8),
    fields: &[FieldSpec],
    row: &mut [Value<'_>],
    unknown: &mut dyn FnMut(&str),
) -> Result<Option<String>, RejectReason> {
    let malformed = |detail: String| RejectReason::Malformed { format: "csv", detail };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(payload);
    let mut record = csv::StringRecord::new();
    if !reader.read_record(&mut record).map_err(|error| malformed(error.to_string()))? {
        return Err(malformed("an empty record".to_owned()));
    }
    if record.len() != header.len() {
        return Err(malformed(format!(
            "{} fields where {} are expected",
            record.len(),
            header.len()
        )));
    }
    let mut foreign = None;
    for (name, text) in header.iter().zip(&record) {
        match fields.iter().position(|field| field.is_field(name)) {
            None => {
                unknown(name);
                foreign = Some(name.clone());
            }
            Some(_) if text.is_empty() => {}
            Some(at) => {
                let field = &fields[at];
                let value = field.field_type.read(text).ok_or_else(|| bad_value(field, text))?;
                row[at] = value.into_owned();
            }
        }
    }
    Ok(foreign)
}
