//! One call as an HTTP request: parameters put where the table says, the key in the header.

use http::HeaderValue;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};

use super::error::Error;
use super::operation::Operation;
use super::wire::Call;
use crate::secret::Secrets;

/// The header with the key in use. It marks itself as a secret.
pub(super) fn authorization(
    operation: &'static Operation,
    account: &Secrets,
) -> Result<HeaderValue, Error> {
    let bearer = format!("Bearer {}", account.first().expose_secret());
    let mut authorization = HeaderValue::try_from(bearer).map_err(|_| {
        let rule = "the API key holds characters that no header may hold";
        Error::malformed(operation, "", rule.to_owned())
    })?;
    authorization.set_sensitive(true);
    Ok(authorization)
}

/// Names and values, as text.
pub(super) type Query = Vec<(String, String)>;

/// Puts each parameter where the table says: into the query, as text, or into the body.
pub(super) fn parameters<C: Call>(
    operation: &'static Operation,
    call: &C,
) -> Result<(Query, Map<String, Value>), Error> {
    let malformed = |detail: String| Error::malformed(operation, "", detail);
    let fields = match serde_json::to_value(call) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err(malformed("a request must be an object".to_owned())),
        Err(error) => return Err(malformed(error.to_string())),
    };
    let mut query = Vec::new();
    let mut body = Map::new();
    for (name, value) in fields {
        if value.is_null() {
            continue;
        }
        if operation.query.contains(&name.as_str()) {
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            query.push((name, text));
        } else {
            body.insert(name, value);
        }
    }
    Ok((query, body))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::wire::{CallTool, CreateSession, GetContext, SetLabel};
    use super::*;

    fn split<C: Call>(call: &C) -> (Vec<(String, String)>, Value) {
        let (query, body) = parameters(C::OPERATION, call).unwrap();
        (query, Value::Object(body))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn parameters_go_where_the_table_says_and_absent_ones_nowhere() {
        let get = GetContext {
            name: Some("n"),
            ..GetContext::default()
        };
        assert_eq!(
            split(&get),
            (pairs(&[("allowCreate", "false"), ("name", "n")]), json!({}))
        );
        let set = SetLabel {
            session_id: "s",
            labels: "{}".to_owned(),
        };
        assert_eq!(
            split(&set),
            (pairs(&[("Labels", "{}"), ("sessionId", "s")]), json!({}))
        );
        let create = CreateSession {
            image_id: "agb-code-space-1".to_owned(),
            labels: None,
            persistence_data_list: None,
            mcp_policy_id: None,
            timeout: Some(60),
        };
        assert_eq!(
            split(&create),
            (
                pairs(&[("imageId", "agb-code-space-1")]),
                json!({"timeout": 60})
            )
        );
        let tool = CallTool {
            auto_gen_session: false,
            session_id: "s",
            name: "shell",
            args: "{}".to_owned(),
        };
        assert_eq!(
            split(&tool),
            (
                pairs(&[("autoGenSession", "false")]),
                json!({"sessionId": "s", "name": "shell", "args": "{}"})
            )
        );
    }
}
