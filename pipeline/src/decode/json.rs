//! One JSON object into values. serde_json does the grammar; numbers are read from their own digits.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{FieldSpec, FieldType, Value};
use crate::model::RejectReason;

/// Characters of a bad value that are kept for the message.
const SHOWN_MAX: usize = 200;

/// Reads `payload` into `row`. Of a declared field that stands there more than once the last value counts, as it
/// does in Flink and in most readers of JSON; the stream may refuse such a record. A value that is not of its field's
/// type rejects the record, also where another follows.
///
/// # Errors
/// When it is not one JSON object or a value is not of its field's type.
pub fn read<'a>(
    payload: &'a [u8],
    fields: &[FieldSpec],
    row: &mut [Value<'a>],
    unknown: &mut dyn FnMut(&str),
) -> Result<Strange, RejectReason> {
    let mut bad = None;
    let mut strange = Strange::default();
    let mut deserializer = serde_json::Deserializer::from_slice(payload);
    let object = Object { fields, row, unknown, bad: &mut bad, strange: &mut strange };
    let read = deserializer.deserialize_map(object).and_then(|()| deserializer.end());
    read.map_err(|error| RejectReason::Malformed { format: "json", detail: error.to_string() })?;
    match bad {
        Some(reason) => Err(reason),
        None => Ok(strange),
    }
}

/// What a record has that a stream of strict records refuses.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Strange {
    /// The last field that is not declared.
    pub undeclared: Option<String>,
    /// The last declared field that stands there more than once.
    pub repeated: Option<String>,
}

struct Object<'a, 'de> {
    fields: &'a [FieldSpec],
    row: &'a mut [Value<'de>],
    unknown: &'a mut dyn FnMut(&str),
    bad: &'a mut Option<RejectReason>,
    strange: &'a mut Strange,
}

impl<'de> Visitor<'de> for Object<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Producers write fields in one order, so the next field is nearly always the expected one.
        let mut expected = 0;
        let mut seen = vec![false; self.fields.len()];
        while let Some(name) = map.next_key_seed(Name)? {
            let found = match self.fields.get(expected) {
                Some(field) if field.is_field(&name) => Some(expected),
                _ => self.fields.iter().position(|field| field.is_field(&name)),
            };
            let Some(at) = found else {
                map.next_value::<IgnoredAny>()?;
                (self.unknown)(&name);
                self.strange.undeclared = Some(name.into_owned());
                continue;
            };
            expected = at + 1;
            if std::mem::replace(&mut seen[at], true) {
                self.strange.repeated = Some(name.into_owned());
            }
            let raw: &RawValue = map.next_value()?;
            match value(raw.get(), &self.fields[at]) {
                Ok(value) => self.row[at] = value,
                Err(reason) => *self.bad = self.bad.take().or(Some(reason)),
            }
        }
        Ok(())
    }
}

/// A field name, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// A value from its JSON text.
fn value<'a>(raw: &'a str, field: &FieldSpec) -> Result<Value<'a>, RejectReason> {
    let read = match raw.as_bytes().first() {
        Some(b'n') => return Ok(Value::Null),
        Some(b'"') => {
            let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or("");
            if inner.contains('\\') {
                let text = serde_json::from_str::<String>(raw).ok();
                text.and_then(|text| field.field_type.read(&text).map(Value::into_owned))
            } else {
                field.field_type.read(inner)
            }
        }
        // A truth value is no number, and an object or a list is a value only as text.
        Some(b't' | b'f') if !matches!(field.field_type, FieldType::Boolean | FieldType::Text) => {
            None
        }
        Some(b'{' | b'[') if field.field_type != FieldType::Text => None,
        _ => field.field_type.read(raw),
    };
    read.ok_or_else(|| bad_value(field, raw))
}

/// The rejection of a value that is not of its field's type.
#[must_use]
pub fn bad_value(field: &FieldSpec, text: &str) -> RejectReason {
    RejectReason::BadValue {
        field: field.name.clone(),
        expected: field.declared.clone(),
        text: text.chars().take(SHOWN_MAX).collect(),
    }
}
