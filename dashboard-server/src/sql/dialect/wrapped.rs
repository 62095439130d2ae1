//! A function of the engine that is given other arguments, or whose value has another type.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// What is done otherwise.
pub(super) trait Manner: Debug + PartialEq + Eq + Hash + Send + Sync + 'static {
    /// The type of a value, given that of the engine's.
    fn return_type(&self, engine: &DataType, arguments: &[DataType]) -> DataType;

    /// Refuses what the function cannot be given.
    ///
    /// # Errors
    /// In words for who wrote it.
    fn check(&self, _arguments: &[DataType]) -> Result<()> {
        Ok(())
    }

    /// The value; the field of `args` is the one that has been told.
    ///
    /// # Errors
    /// The engine's own.
    fn invoke(&self, inner: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue>;
}

/// A function in another manner, under its own name.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Wrapped<M: Manner> {
    inner: Arc<ScalarUDF>,
    signature: Signature,
    manner: M,
}

impl<M: Manner> Wrapped<M> {
    /// The function of that name in `state`, in this manner.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn of(state: &SessionState, name: &str, manner: M) -> Result<ScalarUDF> {
        Ok(Self::around(state.udf(name)?, manner))
    }

    /// A function in this manner.
    pub(super) fn around(inner: Arc<ScalarUDF>, manner: M) -> ScalarUDF {
        let signature = Signature::user_defined(inner.signature().volatility);
        ScalarUDF::from(Self { inner, signature, manner })
    }
}

impl<M: Manner> ScalarUDFImpl for Wrapped<M> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// Under these too, or the engine's own would come back under all of its names.
    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the type of {} depends on its arguments", self.name())
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.manner.check(arguments)?;
        coerced(&self.inner, arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> =
            args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let field = self.inner.return_field_from_args(args)?;
        let told = self.manner.return_type(field.data_type(), &types);
        Ok(Arc::new(field.as_ref().clone().with_data_type(told)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.manner.invoke(&self.inner, args)
    }
}

/// The types that a function of the engine takes these for.
fn coerced(function: &ScalarUDF, arguments: &[DataType]) -> Result<Vec<DataType>> {
    let fields: Vec<FieldRef> =
        arguments.iter().map(|of| Arc::new(Field::new("argument", of.clone(), true))).collect();
    let taken = fields_with_udf(&fields, function)?;
    Ok(taken.iter().map(|field| field.data_type().clone()).collect())
}
