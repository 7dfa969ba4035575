//! The envelope around every answer: `{success, code, message, httpStatusCode, requestId, data}`.
//!
//! Some answers capitalise their keys and some nest all under `body`; here both become the plain form. A field that is null
//! counts as missing. What was asked for stays where it is in the answer until its type reads it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
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
        let mut fields = plain(serde_json::from_slice(json)?);
        if !fields.contains_key("success")
            && let Some(body) = fields.get("body")
            && let Ok(body) = serde_json::from_str(body.get())
        {
            let request_id = fields.remove("requestId");
            fields = plain(body);
            if let Some(request_id) = request_id {
                fields.entry("requestId".into()).or_insert(request_id);
            }
        }
        let page = Page {
            next_token: text(&fields, "nextToken"),
            total: ["totalCount", "count"]
                .iter()
                .find_map(|name| value::<u64>(&fields, name))
                .and_then(|total| u32::try_from(total).ok())
                .unwrap_or_default(),
        };
        Ok(Self {
            success: value(&fields, "success"),
            http_status: value(&fields, "httpStatusCode"),
            code: text(&fields, "code"),
            message: text(&fields, "message"),
            request_id: text(&fields, "requestId"),
            page,
            data: Data(fields.remove("data")),
        })
    }
}

/// The fields of an object, as they stand in the answer.
type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// A name, copied only where it has to be.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn value<T: for<'de> Deserialize<'de>>(fields: &Fields<'_>, name: &str) -> Option<T> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

fn text(fields: &Fields<'_>, name: &str) -> String {
    match value(fields, name) {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// The same fields without nulls and with small initials. It does not reach into nested objects: those may be callers' own.
fn plain<'a>(fields: BTreeMap<Name<'a>, &'a RawValue>) -> Fields<'a> {
    fields
        .into_iter()
        .filter(|(_, value)| value.get() != "null")
        .map(|(Name(name), value)| (with_small_initial(name), value))
        .collect()
}

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

/// What was asked for, in its plain form. It is read by the type that it is meant for, from where it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Data<'a>(Option<&'a RawValue>);

impl<'a> Data<'a> {
    /// Reads it. Null stands for nothing, for an empty list or for an empty object, whichever the type takes.
    pub fn read<T: Deserialize<'a>>(self) -> Result<T, Error> {
        match self.0 {
            Some(data) => T::deserialize(Plain(data)),
            None => T::deserialize(Value::Null)
                .or_else(|_| T::deserialize(Value::Array(Vec::new())))
                .or_else(|_| T::deserialize(Value::Object(Map::new()))),
        }
    }
}

/// Reads JSON with the names of its fields in their plain form: of an object, and of those in a list.
struct Plain<'a>(&'a RawValue);

impl<'de> IntoDeserializer<'de, Error> for Plain<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Plain<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.get().as_bytes().first() {
            Some(b'{') => {
                let fields = plain(serde_json::from_str(self.0.get())?);
                visitor.visit_map(MapDeserializer::new(fields.into_iter()))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(self.0.get())?;
                visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Plain)))
            }
            _ => self.0.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.get() == "null" {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
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
        assert_eq!(envelope.data.read::<Option<u32>>().unwrap(), None);
        assert_eq!(envelope.data.read::<Vec<u32>>().unwrap(), [0; 0]);
        assert!(envelope.data.read::<u32>().is_err());
    }
}
