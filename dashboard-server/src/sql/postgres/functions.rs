//! Functions that clients of PostgreSQL ask before anything else, and that the engine does not have or answers for itself.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, create_udf,
};

/// The version of PostgreSQL whose manners this door has. SQLAlchemy and others go by it.
pub(super) const SERVER_VERSION: &str = "16.6";

/// All of them.
pub(super) fn all() -> [ScalarUDF; 3] {
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
        ScalarUDF::from(JsonBuildObject {
            signature: Signature::variadic_any(Volatility::Immutable),
        }),
    ]
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
