//! Functions that clients of PostgreSQL ask before anything else, and that the engine does not have or answers for itself.

use std::sync::Arc;

use arrow::array::{AsArray as _, Int32Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, create_udf,
};

/// The version of PostgreSQL whose manners this door has. SQLAlchemy and others go by it.
pub(super) const SERVER_VERSION: &str = "16.6";

/// All of them.
pub(super) fn all() -> [ScalarUDF; 4] {
    let version = format!(
        "PostgreSQL {SERVER_VERSION} (Tidemark {} on Apache DataFusion {})",
        env!("CARGO_PKG_VERSION"),
        datafusion::DATAFUSION_VERSION
    );
    let told = ColumnarValue::Scalar(ScalarValue::Utf8(Some(version)));
    let no_sequence = ColumnarValue::Scalar(ScalarValue::Utf8(None));
    [
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
    ]
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
