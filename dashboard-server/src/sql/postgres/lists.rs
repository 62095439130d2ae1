//! Arrays as clients send them: `= ANY($1)` with the values of a list, each as exact as it was sent.
//!
//! The library makes `array_contains($1, x)` of it, whose two sides must be of one type; a decimal of a list and one of a column
//! seldom are. With the values known it is `x IN (…)`, where each is compared as what it is.

use std::collections::HashMap;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan};
use datafusion_postgres::pgwire::api::Type;

use crate::sql::decimals::{exact, in_words};

/// Days and microseconds from 1970 to 2000, where PostgreSQL begins to count.
const DAYS_TO_2000: i32 = 10_957;
const MICROSECONDS_TO_2000: i64 = 946_684_800_000_000;

/// A parameter that is a list: what its values are said to be, and how it was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent<'a> {
    /// The type of one value, where the client says it.
    pub(super) of: Option<Type>,
    /// As text, or in PostgreSQL's binary form.
    pub(super) is_text: bool,
    /// The whole of it.
    pub(super) bytes: &'a [u8],
}

/// The type of a list's values, of a type that is a list.
pub(super) fn type_of_values(of: &Type) -> Option<Type> {
    Some(match *of {
        Type::BOOL_ARRAY => Type::BOOL,
        Type::INT2_ARRAY => Type::INT2,
        Type::INT4_ARRAY => Type::INT4,
        Type::INT8_ARRAY | Type::OID_ARRAY => Type::INT8,
        Type::FLOAT4_ARRAY => Type::FLOAT4,
        Type::FLOAT8_ARRAY => Type::FLOAT8,
        Type::NUMERIC_ARRAY => Type::NUMERIC,
        Type::DATE_ARRAY => Type::DATE,
        Type::TIMESTAMP_ARRAY => Type::TIMESTAMP,
        Type::TIMESTAMPTZ_ARRAY => Type::TIMESTAMPTZ,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY | Type::NAME_ARRAY => {
            Type::TEXT
        }
        _ => return None,
    })
}

/// The plan with each `array_contains($n, x)` of these parameters as `x IN (…)`.
///
/// # Errors
/// Which value of which parameter cannot be read, or DataFusion's of a plan that does not fit together with them.
pub(super) fn with_lists(
    plan: LogicalPlan,
    lists: &HashMap<String, Sent<'_>>,
) -> Result<LogicalPlan> {
    if lists.is_empty() {
        return Ok(plan);
    }
    let told = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let told = expr.transform_up(|part| match among(&part, lists, &schema)? {
                Some(told) => Ok(Transformed::yes(told)),
                None => Ok(Transformed::no(part)),
            })?;
            Ok(told.update_data(|expr| name.restore(expr)))
        })?;
        node.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(told.data)
}

fn among(
    part: &Expr,
    lists: &HashMap<String, Sent<'_>>,
    schema: &DFSchema,
) -> Result<Option<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = part else { return Ok(None) };
    let ("array_has", [list, one]) = (func.name(), args.as_slice()) else { return Ok(None) };
    let (parameter, cast) = match list {
        Expr::Placeholder(parameter) => (parameter, None),
        Expr::Cast(cast) => match (cast.expr.as_ref(), cast.field.data_type()) {
            (Expr::Placeholder(parameter), DataType::List(of)) => {
                (parameter, Some(of.data_type().clone()))
            }
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let Some(sent) = lists.get(&parameter.id) else { return Ok(None) };
    let beside = cast.or_else(|| one.get_type(schema).ok()).unwrap_or(DataType::Utf8);
    let Some(values) = values(sent, &beside) else {
        return plan_err!("{} is no list of values of one type: {{1,2,3}}", parameter.id);
    };
    if values.is_empty() {
        return Ok(Some(Expr::Literal(ScalarValue::Boolean(Some(false)), None)));
    }
    let list = values.into_iter().map(|value| Expr::Literal(value, None)).collect();
    Ok(Some(Expr::InList(InList::new(Box::new(one.clone()), list, false))))
}

/// The values of a list; `None` where one cannot be read.
fn values(sent: &Sent<'_>, beside: &DataType) -> Option<Vec<ScalarValue>> {
    if sent.is_text {
        let words = elements(std::str::from_utf8(sent.bytes).ok()?)?;
        return words
            .into_iter()
            .map(|word| match word {
                Some(word) => value_of_text(&word, sent.of.as_ref(), beside),
                None => Some(ScalarValue::Null),
            })
            .collect();
    }
    binary_values(sent.bytes)
}

fn value_of_text(word: &str, of: Option<&Type>, beside: &DataType) -> Option<ScalarValue> {
    let read = |of: &DataType| ScalarValue::try_from_string(word.to_owned(), of).ok();
    match of {
        Some(&Type::BOOL) => match word {
            "t" | "true" => Some(ScalarValue::from(true)),
            "f" | "false" => Some(ScalarValue::from(false)),
            _ => None,
        },
        Some(&(Type::INT2 | Type::INT4 | Type::INT8)) => read(&DataType::Int64),
        Some(&Type::NUMERIC) => exact(word),
        Some(&(Type::FLOAT4 | Type::FLOAT8)) => {
            exact(word).filter(|_| beside.is_decimal()).or_else(|| read(&DataType::Float64))
        }
        Some(&Type::DATE) => read(&DataType::Date32),
        Some(&Type::TIMESTAMP) => read(&DataType::Timestamp(TimeUnit::Microsecond, None)),
        Some(&Type::TIMESTAMPTZ) => {
            read(&DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
        }
        // What the client does not say is a value of what it stands beside.
        None if beside.is_decimal() => exact(word),
        None if !matches!(beside, DataType::Null) => read(beside),
        _ => Some(ScalarValue::from(word)),
    }
}

/// A list in PostgreSQL's binary form (`array_send` in `arrayfuncs.c`): dimensions, whether there are NULLs, the type of the
/// values; then length and first index of each dimension; then the values with their lengths.
fn binary_values(bytes: &[u8]) -> Option<Vec<ScalarValue>> {
    let mut rest = bytes;
    let dimensions = number(&mut rest)?;
    let _has_nulls = number(&mut rest)?;
    let of = Type::from_oid(u32::try_from(number(&mut rest)?).ok()?)?;
    if dimensions == 0 {
        return Some(Vec::new());
    }
    let (length, _first) = (number(&mut rest)?, number(&mut rest)?);
    if dimensions != 1 {
        return None;
    }
    let mut values = Vec::new();
    for _ in 0..length {
        let bytes = number(&mut rest)?;
        if bytes == -1 {
            values.push(ScalarValue::Null);
            continue;
        }
        let (value, after) = rest.split_at_checked(usize::try_from(bytes).ok()?)?;
        rest = after;
        values.push(value_of_bytes(value, &of)?);
    }
    Some(values)
}

fn number(rest: &mut &[u8]) -> Option<i32> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(i32::from_be_bytes(*number))
}

/// A value in PostgreSQL's binary form; `None` where it cannot be read.
pub(super) fn value_of_bytes(bytes: &[u8], of: &Type) -> Option<ScalarValue> {
    Some(match *of {
        Type::BOOL => ScalarValue::from(*bytes.first()? != 0),
        Type::INT2 => ScalarValue::from(i64::from(i16::from_be_bytes(bytes.try_into().ok()?))),
        Type::INT4 => ScalarValue::from(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        Type::OID => ScalarValue::from(i64::from(u32::from_be_bytes(bytes.try_into().ok()?))),
        Type::INT8 => ScalarValue::from(i64::from_be_bytes(bytes.try_into().ok()?)),
        Type::FLOAT4 => {
            let value = f32::from_be_bytes(bytes.try_into().ok()?);
            exact(&value.to_string()).unwrap_or(ScalarValue::from(value))
        }
        Type::FLOAT8 => {
            let value = f64::from_be_bytes(bytes.try_into().ok()?);
            exact(&value.to_string()).unwrap_or(ScalarValue::from(value))
        }
        Type::NUMERIC => exact(&in_words(bytes)?)?,
        Type::DATE => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            ScalarValue::Date32(Some(days.checked_add(DAYS_TO_2000)?))
        }
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let us = i64::from_be_bytes(bytes.try_into().ok()?);
            let zone = (*of == Type::TIMESTAMPTZ).then(|| "UTC".into());
            ScalarValue::TimestampMicrosecond(Some(us.checked_add(MICROSECONDS_TO_2000)?), zone)
        }
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            ScalarValue::from(std::str::from_utf8(bytes).ok()?)
        }
        _ => return None,
    })
}

/// The values of `{a,"b,c",NULL}`; `None` for what is no list of one dimension.
pub(super) fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    let mut elements = Vec::new();
    let mut letters = inner.chars().peekable();
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        let mut word = String::new();
        if letters.next_if_eq(&'"').is_some() {
            loop {
                match letters.next()? {
                    '"' => break,
                    '\\' => word.push(letters.next()?),
                    letter => word.push(letter),
                }
            }
            while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
            elements.push(Some(word));
        } else {
            while let Some(letter) = letters.next_if(|letter| *letter != ',') {
                match letter {
                    '{' | '}' | '"' => return None,
                    '\\' => word.push(letters.next()?),
                    letter => word.push(letter),
                }
            }
            let word = word.trim_end();
            if word.is_empty() {
                return None;
            }
            elements.push((!word.eq_ignore_ascii_case("null")).then(|| word.to_owned()));
        }
        match letters.next() {
            Some(',') => {}
            Some(_) => return None,
            None => return Some(elements),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_words_is_taken_apart() {
        let told = |text: &str| {
            let words = elements(text)?;
            Some(words.into_iter().map(|word| word.unwrap_or("-".to_owned())).collect::<Vec<_>>())
        };
        let some = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(told("{}"), some(&[]));
        assert_eq!(told("{1, 2.50 ,NULL}"), some(&["1", "2.50", "-"]));
        assert_eq!(told(r#"{"a,b","c\"d\\","NULL",选}"#), some(&["a,b", "c\"d\\", "NULL", "选"]));
        for wrong in ["", "1,2", "{1,}", "{1,{2}}", "{\"a", "{\"a\"b}", "{1\\"] {
            assert_eq!(told(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_in_bytes_is_taken_apart() {
        let list = |of: i32, values: &[Option<&[u8]>]| {
            let count = i32::try_from(values.len()).expect("few");
            let head: [i32; 5] = [1, 1, of, count, 1];
            let mut bytes: Vec<u8> = head.iter().flat_map(|word| word.to_be_bytes()).collect();
            for value in values {
                let length = value.map_or(-1, |value| i32::try_from(value.len()).expect("short"));
                bytes.extend(length.to_be_bytes());
                bytes.extend(value.unwrap_or_default());
            }
            bytes
        };
        let numbers = list(20, &[Some(&7_i64.to_be_bytes()), None]);
        let told = binary_values(&numbers);
        assert_eq!(told, Some(vec![ScalarValue::from(7_i64), ScalarValue::Null]));
        let texts = list(25, &[Some(b"a,b")]);
        assert_eq!(binary_values(&texts), Some(vec![ScalarValue::from("a,b")]));
        // Cut off, a length that is not there, two dimensions.
        assert_eq!(binary_values(&texts[..texts.len() - 1]), None);
        assert_eq!(binary_values(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 127, 255, 255, 255]), None);
        let mut two = texts.clone();
        two[3] = 2;
        assert_eq!(binary_values(&two), None);
    }
}
