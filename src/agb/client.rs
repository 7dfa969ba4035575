//! One call: parameters put where the table says, the key in the header, the answer's envelope opened.
//!
//! Connections are pooled and kept alive. Redirects are refused, the answer's length is bounded, and so is the time.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::{RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use super::attempts::{Attempts, RetrySettings};
use super::endpoint::Endpoint;
use super::error::{Error, Kind, Refusal};
use super::gate::{Body, Gate, GateSettings};
use super::operation::Operation;
use super::wire::{Call, Envelope, Page};
use crate::resilience::Deadline;
use crate::secret::{Reloaded, Secrets};

/// The longest wait that AGB may ask callers for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How to reach AGB.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where AGB is.
    pub endpoint: Endpoint,
    /// How long one call may take, unless it names its own timeout.
    pub request_timeout: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a connection is kept without use.
    pub pool_idle_timeout: Duration,
    /// The longest answer that is read, in bytes.
    pub max_response_bytes: usize,
    /// How calls are repeated.
    pub retry: RetrySettings,
    /// How much calls may take at once.
    pub gate: GateSettings,
    /// Domains at which sessions may have their own links, beside the host of the endpoint.
    pub session_link_domains: Vec<String>,
}

#[cfg(test)]
impl ClientConfig {
    /// A configuration for tests that make no call, or one that fails.
    pub(super) fn sample(endpoint: &str) -> Self {
        use crate::resilience::RetryPolicy;
        Self {
            endpoint: Endpoint::try_new(endpoint).unwrap(),
            request_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_millis(50),
            pool_idle_timeout: Duration::from_secs(1),
            max_response_bytes: 1,
            retry: RetrySettings {
                policy: RetryPolicy::new(1, Duration::ZERO, Duration::ZERO),
                throttle_tokens: 1,
                breaker_failures: 1,
                breaker_pause: Duration::ZERO,
                breaker_longest_pause: Duration::ZERO,
            },
            gate: GateSettings {
                max_requests: 1,
                max_queued: 1,
                max_long_answers: 1,
            },
            session_link_domains: vec!["agb.cloud".to_owned()],
        }
    }
}

/// What the clients of all accounts share: connections, bounds, and what is known of AGB's health.
#[derive(Debug)]
pub struct Connections {
    /// For AGB, with an account's key in each request, and without one for sessions' own links and the storage behind presigned
    /// URLs.
    pub(super) http: reqwest::Client,
    pub(super) config: ClientConfig,
    attempts: Attempts,
    gate: Gate,
    /// Those of the storage behind presigned URLs, which can be down while AGB is not.
    pub(super) storage_attempts: Attempts,
}

impl Connections {
    /// No connection yet. The error says what is wrong with the machine's TLS set-up.
    pub fn try_new(config: ClientConfig) -> Result<Arc<Self>, String> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("agb-gateway/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // Proxies of the environment are for people's machines; the key must not go there unasked.
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(config.pool_idle_timeout)
            .build()
            .map_err(|error| causes(&error))?;
        Ok(Arc::new(Self {
            http,
            attempts: Attempts::new(&config.retry),
            gate: Gate::new(&config.gate),
            storage_attempts: Attempts::new(&config.retry),
            config,
        }))
    }
}

/// A client of AGB for one account; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) connections: Arc<Connections>,
    account: Reloaded<Secrets>,
}

#[cfg(test)]
impl Client {
    /// A client for tests that make no call, or one that fails.
    pub(super) fn sample(endpoint: &str) -> Self {
        let account = Secrets::one("hunter2".into());
        let connections = Connections::try_new(ClientConfig::sample(endpoint)).unwrap();
        Self::new(connections, Reloaded::fixed(account))
    }
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
    /// A client of an account, by its key.
    pub fn new(connections: Arc<Connections>, account: Reloaded<Secrets>) -> Self {
        Self {
            connections,
            account,
        }
    }

    /// How long one call may take.
    pub fn request_timeout(&self) -> Duration {
        self.connections.config.request_timeout
    }

    /// A refusal that stands within a success. The key is taken out of AGB's words.
    pub fn refused(&self, operation: &'static Operation, refusal: Refusal) -> Error {
        Error::refused(
            operation,
            Refusal {
                code: self.without_key(&refusal.code),
                message: self.without_key(&refusal.message),
                ..refusal
            },
        )
    }

    /// Makes one call: one HTTP request, or more where the operation may be repeated and that helps.
    pub async fn call<C: Call>(
        &self,
        call: &C,
        deadline: Deadline,
    ) -> Result<Answer<C::Data>, Error> {
        self.call_within(call, self.connections.config.request_timeout, deadline)
            .await
    }

    /// Makes one call of something that may itself take `duration`: so much more time than any other call has it.
    pub async fn call_taking<C: Call>(
        &self,
        call: &C,
        duration: Duration,
        deadline: Deadline,
    ) -> Result<Answer<C::Data>, Error> {
        self.call_within(
            call,
            self.connections.config.request_timeout + duration,
            deadline,
        )
        .await
    }

    async fn call_within<C: Call>(
        &self,
        call: &C,
        request_timeout: Duration,
        deadline: Deadline,
    ) -> Result<Answer<C::Data>, Error> {
        let operation = C::OPERATION;
        let exchange = || {
            bounded(
                operation,
                request_timeout,
                deadline,
                self.exchange_with_key(call),
            )
        };
        // On the heap: every service's future holds some of these.
        let result = Box::pin(
            self.connections
                .attempts
                .make(operation, deadline, exchange),
        )
        .await;
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

    /// With another key when AGB does not know this one, and its file holds another by now. AGB has done nothing then.
    async fn exchange_with_key<C: Call>(&self, call: &C) -> Result<Answer<C::Data>, Error> {
        let begin = Instant::now();
        let account = self.account.current();
        let result = self.exchange(call, &account).await;
        if !result.as_ref().is_err_and(Error::is_key_rejected) {
            return result;
        }
        let refreshed = self.account.refreshed(begin).await;
        if refreshed.first().expose_secret() == account.first().expose_secret() {
            return result;
        }
        self.exchange(call, &refreshed).await
    }

    async fn exchange<C: Call>(
        &self,
        call: &C,
        account: &Secrets,
    ) -> Result<Answer<C::Data>, Error> {
        let operation = C::OPERATION;
        let _turn = self.connections.gate.turn(operation).await?;
        let response = self
            .request(operation, call, account)?
            .send()
            .await
            .map_err(|error| transport_error(operation, &error))?;
        let status = not_redirected(operation, &response)?;
        let headers = response.headers().clone();
        let body = self.read(operation, response).await?;
        self.open(operation, status, &headers, &body)
    }

    fn request<C: Call>(
        &self,
        operation: &'static Operation,
        call: &C,
        account: &Secrets,
    ) -> Result<RequestBuilder, Error> {
        let (query, body) = parameters(operation, call)?;
        let url = self.connections.config.endpoint.url(operation.path, &query);
        let request = self
            .connections
            .http
            .request(operation.method.clone(), url)
            .header(header::AUTHORIZATION, authorization(operation, account)?);
        Ok(if operation.method == Method::POST {
            request.json(&body)
        } else {
            request
        })
    }

    /// Reads an answer of bounded length. Of long ones only so many are held at once.
    pub(super) async fn read(
        &self,
        operation: &'static Operation,
        mut response: Response,
    ) -> Result<Body, Error> {
        let limit = self.connections.config.max_response_bytes;
        let too_large = || Error::new(operation, Kind::TooLarge { limit });
        let announced = response.content_length().unwrap_or_default();
        if usize::try_from(announced).map_or(true, |announced| announced > limit) {
            return Err(too_large());
        }
        let mut body = Body::default();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| Error::new(operation, Kind::Lost(causes(&error))))?
        {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.push(&chunk, &self.connections.gate).await;
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
        let envelope = Self::envelope(operation, status, headers, body)?;
        if status != StatusCode::OK || envelope.success != Some(true) {
            return Err(self.refusal(operation, status, headers, envelope));
        }
        match data_of(envelope.data) {
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

    /// Reads the envelope around an answer, whatever it says.
    pub(super) fn envelope(
        operation: &'static Operation,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Envelope, Error> {
        let not_json = |detail: String| {
            Error::new(
                operation,
                Kind::NotJson {
                    http_status: status.as_u16(),
                    content_type: header_text(headers, "content-type"),
                    detail,
                },
            )
        };
        let json = serde_json::from_slice(body).map_err(|error| {
            if error.is_eof() && !body.is_empty() {
                let (http_status, length) = (status.as_u16(), body.len());
                return Error::new(
                    operation,
                    Kind::Truncated {
                        http_status,
                        length,
                    },
                );
            }
            not_json(error.to_string())
        })?;
        let mut envelope =
            Envelope::read(json).ok_or_else(|| not_json("it is no object".to_owned()))?;
        if envelope.request_id.is_empty() {
            envelope.request_id = header_text(headers, "x-request-id");
        }
        Ok(envelope)
    }

    /// What an envelope says that is no success.
    pub(super) fn refusal(
        &self,
        operation: &'static Operation,
        status: StatusCode,
        headers: &HeaderMap,
        envelope: Envelope,
    ) -> Error {
        let retry_after = header_text(headers, "retry-after").parse().ok();
        let retry_after =
            retry_after.map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
        // Behind a 200 that is no success, the envelope tells the status that was meant.
        let meant = envelope.http_status.filter(|_| status == StatusCode::OK);
        self.refused(
            operation,
            Refusal {
                http_status: meant.unwrap_or(status.as_u16()),
                message: envelope.message,
                code: envelope.code,
                request_id: envelope.request_id,
                retry_after,
            },
        )
    }

    /// AGB's messages go to callers; one that repeats the key must not.
    fn without_key(&self, message: &str) -> String {
        self.account.current().taken_out_of(message)
    }
}

/// Runs one exchange within the timeout of one call and within the caller's deadline.
pub(super) async fn bounded<T>(
    operation: &'static Operation,
    request_timeout: Duration,
    deadline: Deadline,
    exchange: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let within_timeout = async {
        match timeout(request_timeout, exchange).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Error::new(operation, Kind::TimedOut(request_timeout))),
        }
    };
    deadline
        .bound(within_timeout)
        .await
        .unwrap_or_else(|exceeded| Err(Error::from_deadline(operation, exceeded)))
}

/// The status of an answer, unless it is a redirect: that could carry a secret elsewhere.
pub(super) fn not_redirected(
    operation: &'static Operation,
    response: &Response,
) -> Result<StatusCode, Error> {
    let status = response.status();
    if status.is_redirection() {
        let http_status = status.as_u16();
        return Err(Error::new(operation, Kind::Redirected { http_status }));
    }
    Ok(status)
}

pub(super) fn header_text(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// The header with the key in use. It marks itself as a secret.
fn authorization(operation: &'static Operation, account: &Secrets) -> Result<HeaderValue, Error> {
    let bearer = format!("Bearer {}", account.first().expose_secret());
    let mut authorization = HeaderValue::try_from(bearer).map_err(|_| {
        let rule = "the API key holds characters that no header may hold";
        Error::malformed(operation, "", rule.to_owned())
    })?;
    authorization.set_sensitive(true);
    Ok(authorization)
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

/// Reads what was asked for. Null stands for nothing, for an empty list or for an empty object, whichever the operation takes.
fn data_of<T: serde::de::DeserializeOwned>(data: Value) -> Result<T, serde_json::Error> {
    if !data.is_null() {
        return serde_json::from_value(data);
    }
    serde_json::from_value(Value::Null)
        .or_else(|_| serde_json::from_value(Value::Array(Vec::new())))
        .or_else(|_| serde_json::from_value(Value::Object(Map::new())))
}

/// A parser's message without the values that it quotes: any of them could be a token or a link.
pub fn without_values(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) => format!("{}\"…\"{}", &message[..first], &message[last + 1..]),
        _ => message.to_owned(),
    }
}

pub(super) fn transport_error(operation: &'static Operation, error: &reqwest::Error) -> Error {
    let cause = causes(error);
    let kind = if error.is_connect() {
        Kind::NotSent(cause)
    } else {
        Kind::Lost(cause)
    };
    Error::new(operation, kind)
}

/// The whole chain of causes in one line, without URLs: their query may hold what callers wrote.
pub(super) fn causes(error: &reqwest::Error) -> String {
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

    #[tokio::test]
    async fn the_key_is_not_printed_with_the_client_or_its_requests() {
        let client = Client::sample("https://agb");
        let printed = format!("{client:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
        let call = super::super::wire::GetSession { session_id: "s" };
        let operation = <super::super::wire::GetSession<'_> as Call>::OPERATION;
        let request = client.request(operation, &call, &client.account.current());
        let printed = format!("{:?}", request.unwrap());
        assert!(printed.contains("Sensitive"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[tokio::test]
    async fn a_connection_that_does_not_come_about_in_time_was_not_sent() {
        // It takes the connection, and never says a word of TLS.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::sample(&format!("https://{}", silent.local_addr().unwrap()));
        let call = super::super::wire::GetSession { session_id: "s" };
        let deadline = Deadline::after(Duration::from_mins(1));
        let error = client.call(&call, deadline).await.unwrap_err();
        assert!(error.is_not_sent(), "{error}");
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
