//! `SUM(DISTINCT x)` of ad-hoc queries. Continuous queries refuse it.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::Accumulator;

/// The values of a group that differ, given to another accumulator at the end.
#[derive(Debug)]
pub struct Distinct {
    data_type: DataType,
    values: HashSet<ScalarValue>,
    /// It has seen no row before [`Accumulator::evaluate`].
    all: Box<dyn Accumulator>,
}

impl Distinct {
    /// Values of `data_type` for `all`.
    pub fn new(data_type: DataType, all: Box<dyn Accumulator>) -> Self {
        Self { data_type, values: HashSet::new(), all }
    }

    /// The type of its state over values of `value`.
    pub fn state_type(value: &DataType) -> DataType {
        DataType::List(Arc::new(Field::new_list_field(value.clone(), true)))
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(column) = values.first() else {
            return internal_err!("a sum without its argument");
        };
        for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
            self.values.insert(ScalarValue::try_from_array(column, row)?);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(lists) = states.first() else {
            return internal_err!("a sum's state without its column");
        };
        lists.as_list::<i32>().iter().flatten().try_for_each(|list| self.update_batch(&[list]))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<_> = self.values.iter().cloned().collect();
        let list = ScalarValue::new_list_nullable(&values, &self.data_type);
        Ok(vec![ScalarValue::List(list)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if !self.values.is_empty() {
            let values = ScalarValue::iter_to_array(self.values.drain())?;
            self.all.update_batch(&[values])?;
        }
        self.all.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<ScalarValue>() + self.all.size()
    }
}
