//! The envelope around every answer: `{success, code, message, httpStatusCode, requestId, data}`.
//!
//! Some answers capitalise their keys and some nest all under `body`; here both become the plain form. A field that is null
//! counts as missing.

use serde_json::{Map, Value};

/// An answer's envelope in its plain form.
#[derive(Debug, Default)]
pub struct Envelope {
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
    pub data: Value,
}

/// What lists tell beside their items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// AGB's token of the next page; empty on the last one.
    pub next_token: String,
    /// How many items there are in all.
    pub total: u32,
}

impl Envelope {
    /// Reads an envelope; `None` for JSON that is no object.
    pub fn read(json: Value) -> Option<Self> {
        let Value::Object(outer) = json else {
            return None;
        };
        let mut fields = plain(outer);
        if !fields.contains_key("success")
            && let Some(Value::Object(body)) = fields.remove("body")
        {
            let request_id = fields.remove("requestId");
            fields = plain(body);
            if let Some(request_id) = request_id {
                fields.entry("requestId").or_insert(request_id);
            }
        }
        let page = Page {
            next_token: text(&mut fields, "nextToken"),
            total: ["totalCount", "count"]
                .iter()
                .find_map(|name| fields.get(*name)?.as_u64())
                .and_then(|total| u32::try_from(total).ok())
                .unwrap_or_default(),
        };
        Some(Self {
            success: fields.get("success").and_then(Value::as_bool),
            http_status: fields
                .get("httpStatusCode")
                .and_then(Value::as_u64)
                .and_then(|status| u16::try_from(status).ok()),
            code: text(&mut fields, "code"),
            message: text(&mut fields, "message"),
            request_id: text(&mut fields, "requestId"),
            page,
            data: plain_data(fields.remove("data").unwrap_or_default()),
        })
    }
}

fn text(fields: &mut Map<String, Value>, name: &str) -> String {
    match fields.remove(name) {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn plain_data(data: Value) -> Value {
    match data {
        Value::Object(fields) => Value::Object(plain(fields)),
        Value::Array(items) => Value::Array(items.into_iter().map(plain_data).collect()),
        other => other,
    }
}

/// The same fields without nulls and with small initials. It does not reach into nested objects: those may be callers' own.
fn plain(fields: Map<String, Value>) -> Map<String, Value> {
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (with_small_initial(&name), value))
        .collect()
}

fn with_small_initial(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next() {
        Some(initial) => initial.to_lowercase().chain(chars).collect(),
        None => String::new(),
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
            let envelope = Envelope::read(json.clone()).unwrap();
            assert_eq!(envelope.success, Some(true), "{json}");
            assert_eq!(envelope.code, "ok", "{json}");
            assert_eq!(envelope.request_id, "r-1", "{json}");
            assert_eq!(envelope.data, json!({"status": "RUNNING"}), "{json}");
        }
    }

    #[test]
    fn an_answer_without_a_verdict_is_not_a_success() {
        assert_eq!(Envelope::read(json!({})).unwrap().success, None);
        assert_eq!(
            Envelope::read(json!({"success": "yes"})).unwrap().success,
            None
        );
        assert!(Envelope::read(json!([])).is_none());
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
            assert_eq!(Envelope::read(json).unwrap().page, expected);
        }
    }
}
