//! Between JSON and google.protobuf.Struct.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct};
use serde_json::{Map, Number, Value};

/// Whole numbers up to here are exact as doubles, which is all that a Struct has.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// JSON as a Struct.
pub(crate) fn to_struct(fields: Map<String, Value>) -> Struct {
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name, to_value(value)));
    Struct {
        fields: fields.collect(),
    }
}

fn to_value(value: Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(bool) => Kind::BoolValue(bool),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => Kind::ListValue(ListValue {
            values: values.into_iter().map(to_value).collect(),
        }),
        Value::Object(fields) => Kind::StructValue(to_struct(fields)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// A Struct as JSON. A whole number becomes one again: AGB's tools tell 5 from 5.0.
pub(in crate::service) fn from_struct(fields: Struct) -> Map<String, Value> {
    let fields = fields.fields.into_iter();
    fields
        .map(|(name, value)| (name, from_value(value)))
        .collect()
}

fn from_value(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(bool)) => Value::Bool(bool),
        Some(Kind::NumberValue(number)) => from_number(number),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(from_value).collect(),
        Some(Kind::StructValue(fields)) => Value::Object(from_struct(fields)),
    }
}

fn from_number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
        #[allow(clippy::cast_possible_truncation)] // It is whole and in range.
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_survives_the_way_there_and_back() {
        let json = json!({
            "null": null, "bool": true, "whole": -5, "fraction": 0.5, "text": "ü",
            "list": [1, "a", {"x": []}], "object": {"y": {}},
        });
        let Value::Object(fields) = json.clone() else {
            panic!("no object");
        };
        assert_eq!(Value::Object(from_struct(to_struct(fields))), json);
    }
}
