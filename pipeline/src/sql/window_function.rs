//! `TUMBLE`, `HOP`, `CUMULATE`, `SESSION`: read from a `FROM` clause into one plan node.
//!
//! The node only marks the place: it adds `window_start`, `window_end` and `window_time` to the
//! columns of its input. It is never executed; the cut takes it out and the engine assigns windows.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{DFSchema, DFSchemaRef, Result, ScalarValue, TableReference, plan_err};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::sql::sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, TableAlias, TableFactor,
};

use super::options::greatest_common_divisor;
use super::script::{PARTITION_BY_ARGUMENT, normalized};
use crate::model::Zone;

/// The columns a window function adds, in order.
pub const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// Milliseconds in a day; windows of whole days follow the zone's days.
pub const DAY_MS: i64 = 86_400_000;

/// Which windows a record belongs to; all lengths in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub enum WindowKind {
    /// Windows of `size`, one after another.
    Tumble {
        /// Length of a window.
        size: i64,
    },
    /// Windows of `size` that begin every `slide`.
    Hop {
        /// From one window's start to the next.
        slide: i64,
        /// Length of a window.
        size: i64,
    },
    /// Windows that begin together and end every `step` up to `size`.
    Cumulate {
        /// From one window's end to the next.
        step: i64,
        /// Length of the longest.
        size: i64,
    },
    /// Windows that end when nothing has come for `gap`.
    Session {
        /// Silence that ends a session.
        gap: i64,
    },
}

impl WindowKind {
    /// Length of the longest window; of a session, its gap.
    #[must_use]
    pub fn size(&self) -> i64 {
        match *self {
            Self::Tumble { size } | Self::Hop { size, .. } | Self::Cumulate { size, .. } => size,
            Self::Session { gap } => gap,
        }
    }

    /// The span of event time that all windows share whole; 1 for sessions, which share none.
    #[must_use]
    pub fn slice(&self) -> i64 {
        match *self {
            Self::Tumble { size } => size,
            Self::Hop { slide, size } => greatest_common_divisor(slide, size),
            Self::Cumulate { step, .. } => step,
            Self::Session { .. } => 1,
        }
    }

    /// Whether windows begin by the clock of a stream's zone, as Flink's do by that of the session. Where it says the same
    /// as UTC's they need not, and in a zone whose clock changes only whole days do: other windows would be longer or
    /// shorter than they say.
    #[must_use]
    pub fn follows(&self, zone: Zone) -> bool {
        let is_of_days = !matches!(self, Self::Session { .. }) && self.size() % DAY_MS == 0;
        is_of_days && zone != Zone::UTC || self.divides_days_of(zone)
    }

    /// Whether windows that are not of whole days begin otherwise by the zone's clock than by UTC's.
    #[must_use]
    pub fn divides_days_of(&self, zone: Zone) -> bool {
        if matches!(self, Self::Session { .. })
            || self.size() % DAY_MS == 0
            || zone.changes_its_clock()
        {
            return false;
        }
        // Any instant tells the offset of such a zone.
        let offset = zone.wall_ms(A_KNOWN_MS) - A_KNOWN_MS;
        // A window of HOP begins at every slide.
        let every = if let Self::Hop { slide, .. } = *self { slide } else { self.size() };
        offset % every != 0 || offset % self.slice() != 0
    }
}

/// 2020-11-11T00:00:00Z.
const A_KNOWN_MS: i64 = 1_605_052_800_000;

/// A window function with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
pub struct WindowSpec {
    /// Which windows.
    pub kind: WindowKind,
    /// Shift of all windows, in milliseconds; may be negative.
    pub offset: i64,
    /// The time column, as named.
    pub time_column: String,
    /// Columns that keep sessions apart.
    pub partition_by: Vec<String>,
}

/// The plan node of a window function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowNode {
    /// The rows.
    pub input: LogicalPlan,
    /// The windows.
    pub spec: WindowSpec,
    schema: DFSchemaRef,
}

impl Hash for WindowNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.spec.hash(state);
    }
}

impl PartialOrd for WindowNode {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.spec.partial_cmp(&other.spec)
    }
}

impl WindowNode {
    fn try_new(input: LogicalPlan, spec: WindowSpec) -> Result<Self> {
        let time = input.schema().index_of_column_by_name(None, &spec.time_column);
        let Some(time) = time else {
            return plan_err!(
                "the window function's time column '{}' is not in its table",
                spec.time_column
            );
        };
        let data_type = match input.schema().field(time).data_type() {
            DataType::Timestamp(_, zone) => {
                DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
            }
            other => {
                return plan_err!("'{}' is {other}; a window needs a timestamp", spec.time_column);
            }
        };
        let mut fields: Vec<(Option<TableReference>, Arc<Field>)> = input
            .schema()
            .iter()
            .map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)))
            .collect();
        if let Some(taken) =
            WINDOW_COLUMNS.iter().find(|name| input.schema().has_column_with_unqualified_name(name))
        {
            return plan_err!(
                "the windowed table has a column {taken} already; give it another name, as {taken} AS inner_{taken}"
            );
        }
        for name in WINDOW_COLUMNS {
            fields.push((None, Arc::new(Field::new(name, data_type.clone(), false))));
        }
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        Ok(Self { input, spec, schema: Arc::new(schema) })
    }
}

impl UserDefinedLogicalNodeCore for WindowNode {
    fn name(&self) -> &'static str {
        "WindowFunction"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowFunction: {:?}", self.spec)
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.pop() {
            Some(input) => Self::try_new(input, self.spec.clone()),
            None => plan_err!("a window function needs its table"),
        }
    }
}

/// Plans calls of window functions in `FROM`; leaves everything else to DataFusion.
#[derive(Debug)]
pub struct WindowFunctionPlanner;

impl RelationPlanner for WindowFunctionPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, alias, args: Some(args), .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let Some(function) = function_of(name) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let call = Call::read(function, &args.args, context)?;
        let input = context.plan(call.table)?;
        let node = WindowNode::try_new(input, call.spec)?;
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

#[derive(Clone, Copy)]
enum Function {
    Tumble,
    Hop,
    Cumulate,
    Session,
}

fn function_of(name: &ObjectName) -> Option<Function> {
    let [part] = name.0.as_slice() else { return None };
    match part.as_ident()?.value.to_ascii_lowercase().as_str() {
        "tumble" => Some(Function::Tumble),
        "hop" => Some(Function::Hop),
        "cumulate" => Some(Function::Cumulate),
        "session" => Some(Function::Session),
        _ => None,
    }
}

/// A call with its arguments in their places.
struct Call {
    table: TableFactor,
    spec: WindowSpec,
}

/// Names of the arguments in Flink's order, the table and the time column first.
fn parameters(function: Function) -> &'static [&'static str] {
    match function {
        Function::Tumble => &["data", "timecol", "size", "offset"],
        Function::Hop => &["data", "timecol", "slide", "size", "offset"],
        Function::Cumulate => &["data", "timecol", "step", "size", "offset"],
        Function::Session => &["data", "timecol", "gap"],
    }
}

impl Call {
    fn read(
        function: Function,
        args: &[FunctionArg],
        context: &mut dyn RelationPlannerContext,
    ) -> Result<Self> {
        let names = parameters(function);
        let mut values: Vec<Option<ast::Expr>> = vec![None; names.len()];
        let mut partition_by = Vec::new();
        let mut next = 0;
        for arg in args {
            let (name, value) = name_and_value(arg)?;
            if let Some(columns) = partition_columns(&value) {
                partition_by = columns;
                continue;
            }
            let at = match name {
                Some(name) => names.iter().position(|known| *known == name),
                None => (next < names.len()).then_some(next),
            };
            let Some(at) = at else {
                return plan_err!("a window function takes {}", names.join(", "));
            };
            values[at] = Some(value);
            next = at + 1;
        }
        let mut lengths = Vec::new();
        for (name, value) in names.iter().zip(&values).skip(2) {
            lengths.push(match value {
                Some(value) => Some(milliseconds(name, value.clone(), context)?),
                None => None,
            });
        }
        let table = match values.first().cloned().flatten() {
            Some(expression) => table_of(expression)?,
            None => return plan_err!("a window function needs its table first"),
        };
        let time_column = match values.get(1).cloned().flatten() {
            Some(ast::Expr::Identifier(ident)) => normalized(&ident),
            _ => return plan_err!("a window function needs its time column second"),
        };
        let (kind, offset) = kind_of(function, &lengths)?;
        Ok(Self { table, spec: WindowSpec { kind, offset, time_column, partition_by } })
    }
}

fn name_and_value(arg: &FunctionArg) -> Result<(Option<String>, ast::Expr)> {
    let (name, value) = match arg {
        FunctionArg::Unnamed(value) => (None, value),
        FunctionArg::Named { name, arg, .. } => (Some(name.value.to_ascii_lowercase()), arg),
        FunctionArg::ExprNamed { name, arg, .. } => {
            (Some(name.to_string().to_ascii_lowercase()), arg)
        }
    };
    match value {
        FunctionArgExpr::Expr(value) => Ok((name, value.clone())),
        other => plan_err!("'{other}' cannot be an argument of a window function"),
    }
}

fn partition_columns(value: &ast::Expr) -> Option<Vec<String>> {
    let ast::Expr::Function(function) = value else { return None };
    if function.name.to_string() != PARTITION_BY_ARGUMENT {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    let column = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Identifier(ident))) => {
            Some(normalized(ident))
        }
        _ => None,
    };
    list.args.iter().map(column).collect()
}

/// A query in parentheses, or the table itself where the query is `SELECT * FROM table`.
fn table_of(expression: ast::Expr) -> Result<TableFactor> {
    match expression {
        ast::Expr::Subquery(subquery) => match plain_table(&subquery) {
            Some(table) => Ok(table.clone()),
            None => Ok(TableFactor::Derived {
                lateral: false,
                subquery,
                alias: None::<TableAlias>,
                sample: None,
            }),
        },
        other => plan_err!(
            "'{other}' is not a table; a window function takes a table, a view or a query"
        ),
    }
}

fn plain_table(query: &ast::Query) -> Option<&TableFactor> {
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [from] = select.from.as_slice() else { return None };
    let whole = matches!(select.projection.as_slice(), [ast::SelectItem::Wildcard(_)])
        && select.selection.is_none()
        && from.joins.is_empty()
        && query.order_by.is_none()
        && query.limit_clause.is_none();
    (whole && matches!(from.relation, TableFactor::Table { .. })).then_some(&from.relation)
}

fn milliseconds(
    name: &str,
    value: ast::Expr,
    context: &mut dyn RelationPlannerContext,
) -> Result<i64> {
    let text = value.to_string();
    let literal = context.sql_to_expr(value, &DFSchema::empty())?;
    let scalar = match &literal {
        Expr::Literal(scalar, _) => scalar.clone(),
        Expr::Negative(inner) => match inner.as_ref() {
            Expr::Literal(scalar, _) => scalar.arithmetic_negate()?,
            _ => ScalarValue::Null,
        },
        _ => ScalarValue::Null,
    };
    match scalar {
        ScalarValue::IntervalMonthDayNano(Some(long)) if long.months == 0 => {
            Ok(i64::from(long.days) * DAY_MS + long.nanoseconds / 1_000_000)
        }
        ScalarValue::IntervalDayTime(Some(long)) => {
            Ok(i64::from(long.days) * DAY_MS + i64::from(long.milliseconds))
        }
        ScalarValue::IntervalMonthDayNano(_) | ScalarValue::IntervalYearMonth(_) => {
            plan_err!("{name} = {text}: a window is measured in days or less, not in months")
        }
        _ => plan_err!("{name} = {text}: write an INTERVAL, as INTERVAL '1' MINUTE"),
    }
}

fn kind_of(function: Function, lengths: &[Option<i64>]) -> Result<(WindowKind, i64)> {
    let length = |at: usize| lengths.get(at).copied().flatten();
    let positive = |at: usize, name: &str| match length(at) {
        Some(found) if found > 0 => Ok(found),
        Some(found) => plan_err!("{name} must be longer than nothing, not {found} ms"),
        None => plan_err!("{name} is missing"),
    };
    let whole = |part: i64, of: i64, names: &str| {
        if of % part == 0 {
            Ok(())
        } else {
            plan_err!("{names}: {of} ms is not a multiple of {part} ms")
        }
    };
    Ok(match function {
        Function::Tumble => {
            (WindowKind::Tumble { size: positive(0, "size")? }, length(1).unwrap_or(0))
        }
        Function::Hop => {
            let (slide, size) = (positive(0, "slide")?, positive(1, "size")?);
            (WindowKind::Hop { slide, size }, length(2).unwrap_or(0))
        }
        Function::Cumulate => {
            let (step, size) = (positive(0, "step")?, positive(1, "size")?);
            whole(step, size, "CUMULATE's size and step")?;
            (WindowKind::Cumulate { step, size }, length(2).unwrap_or(0))
        }
        Function::Session => (WindowKind::Session { gap: positive(0, "gap")? }, 0),
    })
}
