//! Functions that clients of PostgreSQL ask before anything else, and that the engine does not have or answers for itself.

use std::sync::Arc;

use arrow::array::{AsArray as _, Int32Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility, create_udf,
};

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

/// Functions whose answer is the same whatever they are asked: what is in sight, and the text of what there is none of.
fn fixed() -> Vec<ScalarUDF> {
    let seen = ["collation", "conversion", "function", "opclass", "operator", "opfamily", "type"]
        .map(|what| (format!("pg_{what}_is_visible"), ScalarValue::Boolean(Some(true))));
    let texts = [
        "pg_get_function_arg_default",
        "pg_get_function_arguments",
        "pg_get_function_identity_arguments",
        "pg_get_function_result",
        "pg_get_functiondef",
        "pg_get_indexdef",
        "pg_get_ruledef",
        "pg_get_triggerdef",
        "pg_get_viewdef",
        "pg_tablespace_location",
        "shobj_description",
    ];
    let texts = texts.map(|name| (name.to_owned(), ScalarValue::Utf8(None)));
    let recovers = [("pg_is_in_recovery".to_owned(), ScalarValue::Boolean(Some(false)))];
    let all = seen.into_iter().chain(texts).chain(recovers);
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
fn current_setting(args: &[ColumnarValue]) -> Result<ColumnarValue> {
    let [name] = args else { return exec_err!("current_setting takes the name of a setting") };
    let names = name.to_array(1)?;
    let names = names.as_string::<i32>();
    let value = |name: Option<&str>| {
        let name = name?.to_lowercase();
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

/// All of them.
pub(super) fn all() -> Vec<ScalarUDF> {
    let version = format!(
        "PostgreSQL {SERVER_VERSION} (Tidemark {} on Apache DataFusion {})",
        env!("CARGO_PKG_VERSION"),
        datafusion::DATAFUSION_VERSION
    );
    let told = ColumnarValue::Scalar(ScalarValue::Utf8(Some(version)));
    let no_sequence = ColumnarValue::Scalar(ScalarValue::Utf8(None));
    let mut all = fixed();
    all.extend([
        create_udf(
            "current_setting",
            vec![DataType::Utf8],
            DataType::Utf8,
            Volatility::Stable,
            Arc::new(|args: &[ColumnarValue]| current_setting(args)),
        ),
        create_udf(
            "version",
            Vec::new(),
            DataType::Utf8,
            Volatility::Stable,
            Arc::new(move |_: &[ColumnarValue]| Ok(told.clone())),
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

/// Stands in questions about sequences, of which there are none; so it can be planned and is never computed.
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

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("json_build_object is not available; select the columns themselves")
    }
}
