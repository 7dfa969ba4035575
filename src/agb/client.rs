//! One call, one HTTP request: parameters put where the table says, the key in the header, the answer's envelope opened.
//!
//! Connections are pooled and kept alive. Redirects are refused, the answer's length is bounded, and so is the time.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::{RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::error::{Error, Kind, Refusal};
use super::operation::Operation;
use super::wire::{Call, Envelope, Page};
use crate::resilience::Deadline;

/// How to reach AGB.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where AGB is.
    pub endpoint: Endpoint,
    /// The key of the AGB account.
    pub api_key: SecretString,
    /// How long one call may take, unless it names its own timeout.
    pub request_timeout: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a connection is kept without use.
    pub pool_idle_timeout: Duration,
    /// The longest answer that is read, in bytes.
    pub max_response_bytes: usize,
}

/// A client of AGB; cheap to clone, all clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    config: ClientConfig,
}

/// What AGB answered.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was asked for.
    pub data: T,
    /// What lists tell beside their items.
    pub page: Page,
    /// AGB's id of the request.
    pub request_id: String,
}

impl Client {
    /// Builds a client. The error says what is wrong with the key or with the machine's TLS set-up.
    pub fn try_new(config: ClientConfig) -> Result<Self, String> {
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", config.api_key.expose_secret()))
                .map_err(|_| "the API key holds characters that no header may hold".to_owned())?;
        authorization.set_sensitive(true);
        let http = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(
                header::AUTHORIZATION,
                authorization,
            )]))
            .user_agent(concat!("agb-gateway/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(config.pool_idle_timeout)
            .build()
            .map_err(|error| causes(&error))?;
        Ok(Self { http, config })
    }

    /// Makes one call.
    pub async fn call<C: Call>(
        &self,
        call: &C,
        deadline: Deadline,
    ) -> Result<Answer<C::Data>, Error> {
        self.call_within(call, self.config.request_timeout, deadline)
            .await
    }

    /// Makes one call of something that may itself take `duration`: so much more time than any other call has it.
    pub async fn call_taking<C: Call>(
        &self,
        call: &C,
        duration: Duration,
        deadline: Deadline,
    ) -> Result<Answer<C::Data>, Error> {
        self.call_within(call, self.config.request_timeout + duration, deadline)
            .await
    }

    async fn call_within<C: Call>(
        &self,
        call: &C,
        request_timeout: Duration,
        deadline: Deadline,
    ) -> Result<Answer<C::Data>, Error> {
        let operation = C::OPERATION;
        let exchange = async {
            match timeout(request_timeout, self.exchange(call)).await {
                Ok(result) => result,
                Err(_elapsed) => Err(Error::new(operation, Kind::TimedOut(request_timeout))),
            }
        };
        let result = deadline
            .bound(exchange)
            .await
            .unwrap_or_else(|exceeded| Err(Error::from_deadline(operation, exceeded)));
        match &result {
            Ok(answer) => {
                tracing::debug!(
                    operation = operation.name,
                    request_id = answer.request_id,
                    "AGB answered"
                );
            }
            Err(error) => tracing::debug!(operation = operation.name, %error, "AGB call failed"),
        }
        result
    }

    async fn exchange<C: Call>(&self, call: &C) -> Result<Answer<C::Data>, Error> {
        let operation = C::OPERATION;
        let response = self
            .request(operation, call)?
            .send()
            .await
            .map_err(|error| transport_error(operation, &error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Error::new(
                operation,
                Kind::Redirected {
                    http_status: status.as_u16(),
                },
            ));
        }
        let headers = response.headers().clone();
        let body = self.read(operation, response).await?;
        self.open(operation, status, &headers, &body)
    }

    fn request<C: Call>(
        &self,
        operation: &'static Operation,
        call: &C,
    ) -> Result<RequestBuilder, Error> {
        let (query, body) = parameters(operation, call)?;
        let url = self.config.endpoint.url(operation.path, &query);
        let request = self.http.request(operation.method.clone(), url);
        Ok(if operation.method == Method::POST {
            request.json(&body)
        } else {
            request
        })
    }

    async fn read(
        &self,
        operation: &'static Operation,
        mut response: Response,
    ) -> Result<Vec<u8>, Error> {
        let limit = self.config.max_response_bytes;
        let too_large = || Error::new(operation, Kind::TooLarge { limit });
        let announced = response.content_length().unwrap_or_default();
        if usize::try_from(announced).map_or(true, |announced| announced > limit) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| Error::new(operation, Kind::Lost(causes(&error))))?
        {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn open<T: serde::de::DeserializeOwned>(
        &self,
        operation: &'static Operation,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Answer<T>, Error> {
        let header_text = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let not_json = |detail: String| {
            Error::new(
                operation,
                Kind::NotJson {
                    http_status: status.as_u16(),
                    content_type: header_text("content-type"),
                    detail,
                },
            )
        };
        let json = serde_json::from_slice(body).map_err(|error| not_json(error.to_string()))?;
        let mut envelope =
            Envelope::read(json).ok_or_else(|| not_json("it is no object".to_owned()))?;
        if envelope.request_id.is_empty() {
            envelope.request_id = header_text("x-request-id");
        }
        if status != StatusCode::OK || envelope.success != Some(true) {
            return Err(Error::refused(
                operation,
                Refusal {
                    http_status: status.as_u16(),
                    message: self.without_key(&envelope.message),
                    code: envelope.code,
                    request_id: envelope.request_id,
                    retry_after: header_text("retry-after")
                        .parse()
                        .ok()
                        .map(Duration::from_secs),
                },
            ));
        }
        match serde_json::from_value(envelope.data) {
            Ok(data) => Ok(Answer {
                data,
                page: envelope.page,
                request_id: envelope.request_id,
            }),
            Err(error) => Err(Error::malformed(
                operation,
                envelope.request_id,
                format!("data: {}", without_values(&error.to_string())),
            )),
        }
    }

    /// AGB's messages go to callers; one that repeats the key must not.
    fn without_key(&self, message: &str) -> String {
        message.replace(self.config.api_key.expose_secret(), "[key]")
    }
}

/// Names and values, as text.
type Query = Vec<(String, String)>;

/// Puts each parameter where the table says: into the query, as text, or into the body.
fn parameters<C: Call>(
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

/// A parser's message without the values that it quotes: any of them could be a token or a link.
fn without_values(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) => format!("{}\"…\"{}", &message[..first], &message[last + 1..]),
        _ => message.to_owned(),
    }
}

fn transport_error(operation: &'static Operation, error: &reqwest::Error) -> Error {
    let cause = causes(error);
    let kind = if error.is_connect() {
        Kind::NotSent(cause)
    } else {
        Kind::Lost(cause)
    };
    Error::new(operation, kind)
}

/// The whole chain of causes in one line, without URLs: their query may hold what callers wrote.
fn causes(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        cause = inner.source();
    }
    if causes.is_empty() {
        "no further cause".to_owned()
    } else {
        causes.join(": ")
    }
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
    fn a_parser_s_message_loses_what_it_quotes() {
        assert_eq!(
            without_values("invalid type: string \"hunter2\", expected struct X, field `a`"),
            "invalid type: string \"…\", expected struct X, field `a`"
        );
        assert_eq!(without_values("missing field `id`"), "missing field `id`");
        assert!(!without_values("string \"a\\\"hunter2\", expected").contains("hunter2"));
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
            image_id: "agb-code-space-1",
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
