//! The envelope around every answer: `{success, code, message, httpStatusCode, requestId, data}`.
//!
//! Some answers capitalise their keys and some nest all under `body`; here both become the plain form. A field that is null
//! counts as missing. What was asked for stays where it is in the answer until its type reads it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::value::RawValue;
use serde_json::{Error, Map, Value};

/// An answer's envelope in its plain form.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    /// AGB's verdict. `None` where the answer has none, which is not success.
    pub success: Option<bool>,
    /// AGB's code, for example `InvalidMcpSession.NotFound`.
    pub code: String,
    /// AGB's message for people.
    pub message: String,
    /// AGB's id of the request.
    pub request_id: String,
    /// The HTTP status that AGB means, where it tells.
    pub http_status: Option<u16>,
    /// What stands beside `data` in lists.
    pub page: Page,
    /// What was asked for.
    pub data: Data<'a>,
}

/// What lists tell beside their items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// AGB's token of the next page; empty on the last one.
    pub next_token: String,
    /// How many items there are in all.
    pub total: u32,
}

impl<'a> Envelope<'a> {
    /// Reads an envelope. An error of the category `Data`: it is no object.
    pub fn read(json: &'a [u8]) -> Result<Self, Error> {
        let Nesting { envelope, body } = serde_json::from_slice(json)?;
        if envelope.success.is_none()
            && let Some(body) = body
            && let Ok(Nesting {
                envelope: inner, ..
            }) = serde_json::from_str(body.get())
        {
            let request_id = if inner.request_id.is_empty() {
                envelope.request_id
            } else {
                inner.request_id
            };
            return Ok(Self {
                request_id,
                ..inner
            });
        }
        Ok(envelope)
    }
}

/// An envelope, and what stands under `body`, which may be the real one.
struct Nesting<'a> {
    envelope: Envelope<'a>,
    body: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Nesting<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NestingVisitor)
    }
}

struct NestingVisitor;

impl<'de> Visitor<'de> for NestingVisitor {
    type Value = Nesting<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Nesting<'de>, A::Error> {
        let mut envelope = Envelope::default();
        let (mut body, mut total, mut count) = (None, None, None);
        while let Some(Name(name)) = object.next_key()? {
            match &*with_small_initial(name) {
                "success" => envelope.success = value(object.next_value()?),
                "httpStatusCode" => envelope.http_status = value(object.next_value()?),
                "code" => envelope.code = text(object.next_value()?),
                "message" => envelope.message = text(object.next_value()?),
                "requestId" => envelope.request_id = text(object.next_value()?),
                "nextToken" => envelope.page.next_token = text(object.next_value()?),
                "totalCount" => total = value(object.next_value()?),
                "count" => count = value(object.next_value()?),
                "data" => envelope.data = object.next_value()?,
                "body" => body = Some(object.next_value()?),
                _ => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        envelope.page.total = total.or(count).unwrap_or_default();
        Ok(Nesting { envelope, body })
    }
}

/// A name, copied only where it has to be.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn with_small_initial(name: Cow<'_, str>) -> Cow<'_, str> {
    let mut chars = name.chars();
    match chars.next() {
        Some(initial) if !initial.is_lowercase() => initial
            .to_lowercase()
            .chain(chars)
            .collect::<String>()
            .into(),
        _ => name,
    }
}

fn value<T: for<'de> Deserialize<'de>>(json: &RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

fn text(json: &RawValue) -> String {
    match value(json) {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// What was asked for, in its plain form, as far as its outermost fields or items. The type that it is meant for reads the rest, from
/// where it stands.
#[derive(Clone, Debug, Default)]
pub enum Data<'a> {
    /// Nothing, or null.
    #[default]
    Missing,
    /// The fields of an object, without nulls and with small initials. Nested objects stay as they are: those may be callers' own.
    Object(BTreeMap<Cow<'a, str>, &'a RawValue>),
    /// The items of a list, each in its plain form.
    List(Vec<Self>),
    /// Anything else.
    Scalar(Value),
}

impl<'a> Data<'a> {
    /// Reads it. Nothing may also stand for an empty list or an empty object, whichever the type takes.
    pub fn read<T: Deserialize<'a>>(self) -> Result<T, Error> {
        match self {
            Self::Missing => T::deserialize(Value::Null)
                .or_else(|_| T::deserialize(Value::Array(Vec::new())))
                .or_else(|_| T::deserialize(Value::Object(Map::new()))),
            data => T::deserialize(data),
        }
    }
}

impl<'de> Deserialize<'de> for Data<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Data<'de>, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((Name(name), json)) = object.next_entry::<_, &RawValue>()? {
            if json.get() != "null" {
                fields.insert(with_small_initial(name), json);
            }
        }
        Ok(Data::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Data<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Data::List(items))
    }

    fn visit_unit<E>(self) -> Result<Data<'de>, E> {
        Ok(Data::Missing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Data<'de>, E> {
        Ok(Data::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Data<'de>, E> {
        Ok(Data::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Data<'de>, E> {
        Ok(Data::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Data<'de>, E> {
        Ok(Data::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Data<'de>, E> {
        Ok(Data::Scalar(value.into()))
    }
}

impl<'de> Deserializer<'de> for Data<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Missing => visitor.visit_unit(),
            Self::Object(fields) => {
                let fields = fields.into_iter().map(|(name, json)| (name, Field(json)));
                visitor.visit_map(MapDeserializer::new(fields))
            }
            Self::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Self::Scalar(value) => value.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Missing => visitor.visit_none(),
            data => visitor.visit_some(data),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Data<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The value of a field, which is read as it stands; not at all where nobody wants it.
struct Field<'a>(&'a RawValue);

impl<'de> IntoDeserializer<'de, Error> for Field<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Field<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_option(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_capitalised_and_nested_envelopes_read_the_same() {
        for json in [
            json!({"success": true, "code": "ok", "message": null, "requestId": "r-1", "data": {"status": "RUNNING"}}),
            json!({"Success": true, "Code": "ok", "RequestId": "r-1", "Data": {"Status": "RUNNING", "X": null}}),
            json!({"body": {"Success": true, "Code": "ok", "RequestId": "r-1", "data": {"status": "RUNNING"}}}),
            json!({"requestId": "r-1", "body": {"success": true, "code": "ok", "data": {"Status": "RUNNING"}}}),
        ] {
            let text = json.to_string();
            let envelope = Envelope::read(text.as_bytes()).unwrap();
            assert_eq!(envelope.success, Some(true), "{json}");
            assert_eq!(envelope.code, "ok", "{json}");
            assert_eq!(envelope.request_id, "r-1", "{json}");
            let data: Value = envelope.data.read().unwrap();
            assert_eq!(data, json!({"status": "RUNNING"}), "{json}");
        }
    }

    #[test]
    fn an_answer_without_a_verdict_is_not_a_success() {
        assert_eq!(Envelope::read(b"{}").unwrap().success, None);
        let text = br#"{"success": "yes"}"#;
        assert_eq!(Envelope::read(text).unwrap().success, None);
        assert!(Envelope::read(b"[]").unwrap_err().is_data());
    }

    #[test]
    fn what_lists_tell_is_read_under_all_of_its_names() {
        for json in [
            json!({"data": [], "nextToken": "n", "totalCount": 7}),
            json!({"data": [], "NextToken": "n", "count": 7}),
            json!({"data": [], "nextToken": "n", "count": 8, "totalCount": 7}),
        ] {
            let expected = Page {
                next_token: "n".to_owned(),
                total: 7,
            };
            let text = json.to_string();
            assert_eq!(Envelope::read(text.as_bytes()).unwrap().page, expected);
        }
    }

    #[test]
    fn objects_in_lists_are_made_plain_and_what_is_nested_deeper_stays_as_it_is() {
        let text =
            br#"{"data": [{"Id": "1", "X": null, "Own": {"Key": null}}, [{"Id": "2"}], "Id"]}"#;
        let data: Value = Envelope::read(text).unwrap().data.read().unwrap();
        let expected = json!([{"id": "1", "own": {"Key": null}}, [{"id": "2"}], "Id"]);
        assert_eq!(data, expected);
    }

    #[test]
    fn a_name_with_escapes_reads_as_what_it_means() {
        let text = br#"{"\u0053uccess": true, "data": {"\u0053tatus": "RUNNING"}}"#;
        let envelope = Envelope::read(text).unwrap();
        assert_eq!(envelope.success, Some(true));
        let data: Value = envelope.data.read().unwrap();
        assert_eq!(data, json!({"status": "RUNNING"}));
    }

    #[test]
    fn data_that_is_missing_is_nothing_or_empty() {
        let envelope = Envelope::read(br#"{"data": null}"#).unwrap();
        assert_eq!(envelope.data.clone().read::<Option<u32>>().unwrap(), None);
        assert_eq!(envelope.data.clone().read::<Vec<u32>>().unwrap(), [0; 0]);
        assert!(envelope.data.read::<u32>().is_err());
    }
}
