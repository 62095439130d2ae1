//! Types of columns as a `CREATE TABLE` writes them, in Arrow's words.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::sql::sqlparser::ast;

use crate::decode::RecordMetadata;
use crate::model::Zone;

/// The timestamp type in which a stream of this zone keeps its times.
#[must_use]
pub fn timestamp_type(zone: Zone) -> DataType {
    let name = (zone != Zone::UTC).then(|| Arc::from(zone.name()));
    DataType::Timestamp(TimeUnit::Millisecond, name)
}

/// Flink's and the SQL standard's names as Arrow types.
pub(super) fn arrow_type(declared: &ast::DataType, zone: Zone) -> Result<DataType, String> {
    use ast::DataType as Sql;
    Ok(match declared {
        Sql::Boolean | Sql::Bool => DataType::Boolean,
        Sql::TinyInt(_) => DataType::Int8,
        Sql::SmallInt(_) => DataType::Int16,
        Sql::Int(_) | Sql::Integer(_) => DataType::Int32,
        Sql::BigInt(_) => DataType::Int64,
        Sql::Float(_) | Sql::Real => DataType::Float32,
        Sql::Double(_) | Sql::DoublePrecision => DataType::Float64,
        Sql::Decimal(info) | Sql::Numeric(info) | Sql::Dec(info) => decimal(info)?,
        Sql::Varchar(length)
        | Sql::Char(length)
        | Sql::CharVarying(length)
        | Sql::Character(length) => text_of(declared, length.as_ref())?,
        Sql::String(_) | Sql::Text => DataType::Utf8,
        Sql::Date => DataType::Date32,
        Sql::Timestamp(digits, _) => time_of(declared, *digits, zone)?,
        Sql::Custom(name, digits) if name.to_string().eq_ignore_ascii_case("TIMESTAMP_LTZ") => {
            let digits = digits.first().and_then(|digits| digits.parse().ok());
            time_of(declared, digits, zone)?
        }
        other => {
            return Err(format!(
                "type {other} is not supported; use BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL(p, s), STRING, DATE or TIMESTAMP(3)"
            ));
        }
    })
}

/// A text; no length is looked at, so none may be declared but the longest there is, which is Flink's STRING.
fn text_of(
    declared: &ast::DataType,
    length: Option<&ast::CharacterLength>,
) -> Result<DataType, String> {
    const LONGEST: u64 = 2_147_483_647;
    match length {
        Some(ast::CharacterLength::IntegerLength { length, .. }) if *length != LONGEST => {
            Err(format!(
                "{declared}: lengths are not checked; write STRING, and a CHECK (char_length(…) <= {length}) where a longer \
                 one is wrong"
            ))
        }
        _ => Ok(DataType::Utf8),
    }
}

/// A time, which is of milliseconds.
fn time_of(declared: &ast::DataType, digits: Option<u64>, zone: Zone) -> Result<DataType, String> {
    match digits {
        Some(digits) if digits != 3 => {
            Err(format!("{declared}: times are of milliseconds; write TIMESTAMP(3)"))
        }
        _ => Ok(timestamp_type(zone)),
    }
}

fn decimal(info: &ast::ExactNumberInfo) -> Result<DataType, String> {
    let (precision, scale) = match info {
        ast::ExactNumberInfo::None => (38, 0),
        ast::ExactNumberInfo::Precision(precision) => (*precision, 0),
        ast::ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(p @ 1..=38), Ok(s)) if s >= 0 && i16::from(s) <= i16::from(p) => {
            Ok(DataType::Decimal128(p, s))
        }
        _ => Err(format!(
            "DECIMAL({precision}, {scale}): digits must be 1 to 38 and the scale 0 to the digits"
        )),
    }
}

/// The type of what a log knows of a record, and its name in SQL.
pub(super) fn metadata_type(metadata: RecordMetadata, zone: Zone) -> (DataType, &'static str) {
    match metadata {
        RecordMetadata::Timestamp => (timestamp_type(zone), "TIMESTAMP(3)"),
        RecordMetadata::Partition => (DataType::Int32, "INT"),
        RecordMetadata::Offset => (DataType::Int64, "BIGINT"),
    }
}
