//! `SUM` and `AVG` as functions of the session, over DataFusion's of the same names.

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};

use super::distinct::Distinct;
use super::exact::{AVG_DIGITS, ExactFold, Figure};
use super::float::FloatFold;
use super::per_group::PerGroup;

/// `SUM` or `AVG`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Total {
    figure: Figure,
    signature: Signature,
    aliases: Vec<String>,
}

impl Total {
    /// `SUM`.
    pub fn sum() -> Self {
        Self::new(Figure::Sum, &[])
    }

    /// `AVG`, also known as `MEAN`.
    pub fn avg() -> Self {
        Self::new(Figure::Avg, &["mean"])
    }

    /// `AVG` whose last digit is rounded half up.
    pub fn rounded_avg() -> Self {
        Self::new(Figure::RoundedAvg, &["mean"])
    }

    fn new(figure: Figure, aliases: &[&str]) -> Self {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        Self { figure, signature: Signature::user_defined(Volatility::Immutable), aliases }
    }

    fn exact(&self, args: &AccumulatorArgs<'_>) -> Option<ExactFold> {
        let argument = args.expr_fields.first()?.data_type().clone();
        let is_exact =
            matches!(argument, DataType::Int64 | DataType::UInt64 | DataType::Decimal128(..));
        is_exact.then(|| {
            ExactFold::new(self.figure, argument, args.return_field.data_type().clone(), args.name)
        })
    }
}

impl AggregateUDFImpl for Total {
    fn name(&self) -> &str {
        match self.figure {
            Figure::Sum => "sum",
            Figure::Avg | Figure::RoundedAvg => "avg",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [argument] = arguments else {
            return plan_err!(
                "{} takes one argument, not {}",
                self.name().to_uppercase(),
                arguments.len()
            );
        };
        Ok(vec![match argument {
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Null => DataType::Int64,
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
                DataType::UInt64
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale) => DataType::Decimal128(*precision, *scale),
            other => {
                let name = self.name().to_uppercase();
                return plan_err!(
                    "{name} of {other}: it adds integers, decimals of up to 38 digits and doubles; CAST first"
                );
            }
        }])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match (self.figure, arguments.first()) {
            (Figure::Sum, Some(DataType::Decimal128(_, scale))) => DataType::Decimal128(38, *scale),
            (Figure::Sum, Some(DataType::Int64)) => DataType::Int64,
            (Figure::Sum, Some(DataType::UInt64)) => DataType::UInt64,
            (Figure::Avg | Figure::RoundedAvg, Some(DataType::Decimal128(_, scale))) => {
                DataType::Decimal128(38, scale.saturating_add(AVG_DIGITS).min(38))
            }
            _ => DataType::Float64,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |name: &str, data_type: DataType| -> FieldRef {
            Field::new(format_state_name(args.name, name), data_type, true).into()
        };
        if args.is_distinct {
            let Some(value) = args.input_fields.first() else {
                return plan_err!("{} without its argument", self.name().to_uppercase());
            };
            return Ok(vec![field("values", Distinct::state_type(value.data_type()))]);
        }
        let number = match (self.figure, args.input_fields.first().map(|field| field.data_type())) {
            (_, Some(DataType::Float64)) => {
                return Ok(vec![field("sum", DataType::Binary), field("count", DataType::Int64)]);
            }
            (Figure::Sum, Some(DataType::Int64)) => DataType::Int64,
            _ => DataType::Decimal128(38, 0),
        };
        let mut fields = vec![field("sum", number.clone()), field("magnitude", number)];
        if self.figure != Figure::Sum {
            fields.push(field("count", DataType::Int64));
        }
        Ok(fields)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let all: Box<dyn Accumulator> = match self.exact(&args) {
            Some(exact) => Box::new(PerGroup::one(exact)),
            None => Box::new(PerGroup::one(FloatFold(self.figure))),
        };
        let Some(argument) = args.expr_fields.first().filter(|_| args.is_distinct) else {
            return Ok(all);
        };
        Ok(Box::new(Distinct::new(argument.data_type().clone(), all)))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match self.exact(&args) {
            Some(exact) => Box::new(PerGroup::new(exact)),
            None => Box::new(PerGroup::new(FloatFold(self.figure))),
        })
    }
}
