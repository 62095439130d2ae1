//! Functions that clients of PostgreSQL ask before anything else, and that the engine does not have or answers for itself.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility, create_udf,
};
use parking_lot::Mutex;
use tidemark_pipeline::model::Zone;

/// The version of PostgreSQL whose manners this door has. SQLAlchemy and others go by it.
pub(super) const SERVER_VERSION: &str = "16.6";

/// Settings as they are, for who asks for them by a query.
pub(super) const SETTINGS: [(&str, &str); 14] = [
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO, MDY"),
    ("default_transaction_read_only", "on"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("search_path", "\"$user\", public"),
    ("server_encoding", "UTF8"),
    ("server_version", SERVER_VERSION),
    ("server_version_num", "160006"),
    ("standard_conforming_strings", "on"),
    ("transaction_isolation", "read committed"),
];

/// An empty list of texts, which the catalogue is asked for in many ways.
pub(super) const NO_TEXTS: &str = "tidemark_no_texts";

/// The number of a table that is looked up by a name, and what is shown of it.
pub(super) const CLASS: &str = "tidemark_class";
/// The name of a table that is looked up, as it is shown.
pub(super) const CLASS_NAME: &str = "tidemark_class_name";

/// The name that a connection has given itself, once it is let in.
pub(super) type User = Arc<Mutex<String>>;

/// The number of UTF-8 among PostgreSQL's encodings.
const UTF8: i32 = 6;

/// Functions whose answer is the same whatever they are asked: what is in sight, what may be read, and the text of what there is
/// none of.
fn fixed() -> Vec<ScalarUDF> {
    let is_so = |name: &str| (name.to_owned(), ScalarValue::Boolean(Some(true)));
    let is_not_so = |name: &str| (name.to_owned(), ScalarValue::Boolean(Some(false)));
    let seen = ["collation", "conversion", "function", "opclass", "operator", "opfamily", "type"]
        .map(|what| is_so(&format!("pg_{what}_is_visible")));
    let texts = [
        "pg_get_function_arg_default",
        "pg_get_function_arguments",
        "pg_get_function_identity_arguments",
        "pg_get_function_result",
        "pg_get_function_sqlbody",
        "pg_get_functiondef",
        "pg_get_indexdef",
        "pg_get_partition_constraintdef",
        "pg_get_ruledef",
        "pg_get_triggerdef",
        "pg_get_viewdef",
        "pg_tablespace_location",
        "inet_client_addr",
        "inet_server_addr",
        "shobj_description",
    ];
    let texts = texts.map(|name| (name.to_owned(), ScalarValue::Utf8(None)));
    // How large something is on a disk is nobody's business here, and unknown.
    let sizes = ["database", "indexes", "table", "tablespace"]
        .map(|what| (format!("pg_{what}_size"), ScalarValue::Int64(None)));
    let others = [
        is_so("pg_has_role"),
        is_not_so("pg_is_in_recovery"),
        is_not_so("pg_is_other_temp_schema"),
        is_not_so("pg_jit_available"),
        is_not_so("row_security_active"),
        ("pg_my_temp_schema".to_owned(), ScalarValue::Int32(Some(0))),
        ("pg_char_to_encoding".to_owned(), ScalarValue::Int32(Some(UTF8))),
        ("getdatabaseencoding".to_owned(), ScalarValue::from("UTF8")),
        ("pg_client_encoding".to_owned(), ScalarValue::from("UTF8")),
        (NO_TEXTS.to_owned(), ScalarValue::List(ScalarValue::new_list(&[], &DataType::Utf8, true))),
    ];
    let all = seen.into_iter().chain(texts).chain(sizes).chain(others);
    all.map(|(name, value)| {
        let signature = Signature::one_of(
            vec![TypeSignature::Nullary, TypeSignature::VariadicAny],
            Volatility::Stable,
        );
        ScalarUDF::from(Fixed { name, signature, value })
    })
    .collect()
}

/// Answers with one value.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fixed {
    name: String,
    signature: Signature,
    value: ScalarValue,
}

impl ScalarUDFImpl for Fixed {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// A setting by its name; NULL for one there is not.
fn current_setting(args: &[ColumnarValue], zone: Zone) -> Result<ColumnarValue> {
    let [name] = args else { return exec_err!("current_setting takes the name of a setting") };
    let names = name.to_array(1)?;
    let names = names.as_string::<i32>();
    let value = |name: Option<&str>| {
        let name = name?.to_lowercase();
        if name == "timezone" {
            return Some(zone.name());
        }
        SETTINGS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    };
    let values: StringArray = names.iter().map(value).collect();
    match name {
        ColumnarValue::Array(_) => Ok(ColumnarValue::Array(Arc::new(values))),
        ColumnarValue::Scalar(_) => {
            let value = values.iter().next().flatten().map(str::to_owned);
            Ok(ColumnarValue::Scalar(ScalarValue::Utf8(value)))
        }
    }
}

/// A number of bytes in words, as PostgreSQL rounds them: `10 kB` from ten thousand bytes on.
fn size_in_words(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let [bytes] = args else { return exec_err!("pg_size_pretty takes a number of bytes") };
    let numbers = bytes.to_array(1)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    let words = |bytes: i64| {
        let (mut size, mut unit) = (bytes.unsigned_abs(), 0);
        let units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
        while size >= 10 * 1_024 && unit + 1 < units.len() {
            size = (size + 512) / 1_024;
            unit += 1;
        }
        format!("{}{size} {}", if bytes < 0 { "-" } else { "" }, units[unit])
    };
    let texts: StringArray = numbers.iter().map(|bytes| bytes.map(words)).collect();
    match bytes {
        ColumnarValue::Array(_) => Ok(ColumnarValue::Array(Arc::new(texts))),
        ColumnarValue::Scalar(_) => {
            let text = texts.iter().next().flatten().map(str::to_owned);
            Ok(ColumnarValue::Scalar(ScalarValue::Utf8(text)))
        }
    }
}

/// A name and the number that was found for it.
fn class(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let [name, number] = args else { return exec_err!("{CLASS} takes a name and a number") };
    check_class(name, number)?;
    Ok(number.clone())
}

/// The name of what was found, without a schema that need not be said.
fn class_name(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let [name, number] = args else { return exec_err!("{CLASS_NAME} takes a name and a number") };
    check_class(name, number)?;
    let shown = |name: &str| {
        let bare = ["public.", "pg_catalog."].iter().find_map(|schema| name.strip_prefix(schema));
        bare.unwrap_or(name).to_owned()
    };
    let names = name.to_array(1)?;
    let names: StringArray = names.as_string::<i32>().iter().map(|name| name.map(shown)).collect();
    Ok(ColumnarValue::Array(Arc::new(names)))
}

fn check_class(name: &ColumnarValue, number: &ColumnarValue) -> Result<()> {
    let both = ColumnarValue::values_to_arrays(&[name.clone(), number.clone()])?;
    let [names, numbers] = both.as_slice() else { return Ok(()) };
    let names = names.as_string::<i32>();
    let missing = (0..names.len()).find(|row| names.is_valid(*row) && numbers.is_null(*row));
    match missing {
        Some(row) => exec_err!("relation \"{}\" does not exist", names.value(row)),
        None => Ok(()),
    }
}

/// What says the number and the name of a table that is looked up.
fn of_classes() -> [ScalarUDF; 2] {
    let of = || vec![DataType::Utf8, DataType::Int32];
    let (number, name) = (DataType::Int32, DataType::Utf8);
    [
        create_udf(CLASS, of(), number, Volatility::Stable, Arc::new(class)),
        create_udf(CLASS_NAME, of(), name, Volatility::Stable, Arc::new(class_name)),
    ]
}

/// All of them, for whom times are told by the clock of `zone`; `user` is who asks.
pub(super) fn all(zone: Zone, user: &User) -> Vec<ScalarUDF> {
    let user = Arc::clone(user);
    let version = format!(
        "PostgreSQL {SERVER_VERSION} (Tidemark {} on Apache DataFusion {})",
        env!("CARGO_PKG_VERSION"),
        datafusion::DATAFUSION_VERSION
    );
    let told = ColumnarValue::Scalar(ScalarValue::Utf8(Some(version)));
    let no_sequence = ColumnarValue::Scalar(ScalarValue::Utf8(None));
    let mut all = fixed();
    all.extend(of_classes());
    all.extend([
        create_udf(
            "current_setting",
            vec![DataType::Utf8],
            DataType::Utf8,
            Volatility::Stable,
            Arc::new(move |args: &[ColumnarValue]| current_setting(args, zone)),
        ),
        create_udf(
            "version",
            Vec::new(),
            DataType::Utf8,
            Volatility::Stable,
            Arc::new(move |_: &[ColumnarValue]| Ok(told.clone())),
        ),
        create_udf(
            "session_user",
            Vec::new(),
            DataType::Utf8,
            Volatility::Stable,
            Arc::new(move |_: &[ColumnarValue]| {
                Ok(ColumnarValue::Scalar(ScalarValue::from(user.lock().as_str())))
            }),
        ),
        // No column counts by itself.
        create_udf(
            "pg_get_serial_sequence",
            vec![DataType::Utf8, DataType::Utf8],
            DataType::Utf8,
            Volatility::Stable,
            Arc::new(move |_: &[ColumnarValue]| Ok(no_sequence.clone())),
        ),
        create_udf(
            "pg_size_pretty",
            vec![DataType::Int64],
            DataType::Utf8,
            Volatility::Immutable,
            Arc::new(|args: &[ColumnarValue]| size_in_words(args)),
        ),
        create_udf(
            "to_regtype",
            vec![DataType::Utf8],
            DataType::Int32,
            Volatility::Stable,
            Arc::new(|args: &[ColumnarValue]| to_regtype(args)),
        ),
        ScalarUDF::from(JsonBuildObject {
            signature: Signature::variadic_any(Volatility::Immutable),
        }),
    ]);
    all
}

/// Types by their names in PostgreSQL's catalogue and in SQL, with their numbers there.
const TYPES: [(&str, &str, i32); 14] = [
    ("bool", "boolean", 16),
    ("bytea", "bytea", 17),
    ("int8", "bigint", 20),
    ("int2", "smallint", 21),
    ("int4", "integer", 23),
    ("text", "text", 25),
    ("json", "json", 114),
    ("float4", "real", 700),
    ("float8", "double precision", 701),
    ("varchar", "character varying", 1043),
    ("date", "date", 1082),
    ("timestamp", "timestamp without time zone", 1114),
    ("timestamptz", "timestamp with time zone", 1184),
    ("numeric", "numeric", 1700),
];

/// The number of a type by its name; NULL for one there is not, as `hstore`.
fn to_regtype(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let [name] = args else { return exec_err!("to_regtype takes the name of a type") };
    let names = name.to_array(1)?;
    let names = names.as_string::<i32>();
    let number = |name: Option<&str>| {
        let name = name?.to_lowercase();
        let found = TYPES.iter().find(|(short, long, _)| [*short, *long].contains(&name.as_str()));
        found.map(|(_, _, number)| *number)
    };
    let numbers: Int32Array = names.iter().map(number).collect();
    match name {
        ColumnarValue::Array(_) => Ok(ColumnarValue::Array(Arc::new(numbers))),
        ColumnarValue::Scalar(_) => {
            Ok(ColumnarValue::Scalar(ScalarValue::Int32(numbers.iter().next().flatten())))
        }
    }
}

/// `json_build_object('name', value, …)`: SQLAlchemy asks for the parts of collations and sequences as one text.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonBuildObject {
    signature: Signature,
}

impl ScalarUDFImpl for JsonBuildObject {
    fn name(&self) -> &str {
        "json_build_object"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if !args.args.len().is_multiple_of(2) {
            return exec_err!("json_build_object takes names and values, as many of each");
        }
        let values = ColumnarValue::values_to_arrays(&args.args)?;
        let rows = values.first().map_or(args.number_rows, |first| first.len());
        let columns = values.iter().map(json_words).collect::<Result<Vec<_>>>()?;
        let object = |row: usize| {
            let word = |column: Option<&Vec<String>>| {
                column.and_then(|column| column.get(row)).map_or("null", String::as_str).to_owned()
            };
            let pairs = columns
                .chunks(2)
                .map(|pair| format!("{} : {}", word(pair.first()), word(pair.get(1))));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        };
        let objects: StringArray = (0..rows).map(|row| Some(object(row))).collect();
        Ok(ColumnarValue::Array(Arc::new(objects)))
    }
}

/// The values of a column as JSON has them: numbers and truth as they are, all else as text.
fn json_words(column: &ArrayRef) -> Result<Vec<String>> {
    let is_bare = column.data_type().is_numeric() || *column.data_type() == DataType::Boolean;
    let texts = cast(column, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    let word = |text: Option<&str>| match text {
        None => "null".to_owned(),
        Some(text) if is_bare => text.to_owned(),
        Some(text) => serde_json::Value::from(text).to_string(),
    };
    Ok(texts.iter().map(word).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_as_postgresql_says_them() {
        let told = |bytes: i64| {
            let bytes = ColumnarValue::Scalar(ScalarValue::Int64(Some(bytes)));
            let ColumnarValue::Scalar(text) = size_in_words(&[bytes]).expect("words") else {
                panic!("a scalar")
            };
            text.to_string()
        };
        for (bytes, words) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (-10_485_760, "-10 MB"),
            (1_099_511_627_776, "1024 GB"),
        ] {
            assert_eq!(told(bytes), words);
        }
        let none = ColumnarValue::Scalar(ScalarValue::Int64(None));
        let none = size_in_words(&[none]).expect("NULL");
        assert!(matches!(none, ColumnarValue::Scalar(ScalarValue::Utf8(None))));
    }

    #[test]
    fn an_object_is_built_of_names_and_values() {
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a\"b", "c"]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("选\n"), None]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let told = |column| json_words(column).expect("words");
        assert_eq!(told(&names), ["\"a\\\"b\"", "\"c\""]);
        assert_eq!(told(&texts), ["\"选\\n\"", "null"]);
        assert_eq!(told(&numbers), ["1", "2"]);
    }
}
