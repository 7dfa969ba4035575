//! One call: the request sent, the answer read within bounds of length and time, and its envelope opened.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout};

use super::attempt::{Attempt, Nth};
use super::connections::Connections;
use super::error::{Error, Kind, Refusal};
use super::gate::Body;
use super::operation::Operation;
use super::request::{authorization, parameters};
use super::wire::{Call, Envelope, Page};
use crate::resilience::Deadline;
use crate::secret::{Reloaded, Secrets};

/// The longest wait that AGB may ask callers for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// A client of AGB for one account; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) connections: Arc<Connections>,
    account: Reloaded<Secrets>,
    /// Whether the key is the caller's and not the gateway's.
    is_of_caller: bool,
}

#[cfg(test)]
impl Client {
    /// A client for tests that make no call, or one that fails.
    pub(super) fn sample(endpoint: &str) -> Self {
        let account = Secrets::one("hunter2".into());
        let connections = Connections::sample(endpoint);
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
            is_of_caller: false,
        }
    }

    /// A client of a caller's own account, whose key the caller has to answer for.
    pub fn of_caller(connections: Arc<Connections>, account: Reloaded<Secrets>) -> Self {
        Self {
            is_of_caller: true,
            ..Self::new(connections, account)
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
                is_of_caller: self.is_of_caller,
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
        let exchange = |nth| {
            let limits = (request_timeout, deadline);
            // On the heap at once: each bound around it would hold it twice, and move it.
            let exchange = Box::pin(self.exchange_with_key(call, nth, limits));
            bounded(operation, request_timeout, deadline, exchange)
        };
        let attempts = &self.connections.attempts;
        let result = attempts.make(operation, deadline, exchange).await;
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
    async fn exchange_with_key<C: Call>(
        &self,
        call: &C,
        nth: Nth,
        limits: (Duration, Deadline),
    ) -> Result<Answer<C::Data>, Error> {
        let begin = Instant::now();
        let account = self.account.current();
        let result = self.exchange(call, &account, nth, limits).await;
        if !result.as_ref().is_err_and(Error::is_key_rejected) {
            return result;
        }
        let refreshed = self.account.refreshed(begin).await;
        if refreshed.first().expose_secret() == account.first().expose_secret() {
            return result;
        }
        let nth = nth.next("key_changed");
        self.exchange(call, &refreshed, nth, limits).await
    }

    async fn exchange<C: Call>(
        &self,
        call: &C,
        account: &Secrets,
        nth: Nth,
        (timeout, deadline): (Duration, Deadline),
    ) -> Result<Answer<C::Data>, Error> {
        let operation = C::OPERATION;
        let _turn = self.connections.gate.turn(operation).await?;
        let request = self.request(operation, call, account)?;
        let mut attempt = Attempt::begin(&self.connections, operation, nth, timeout, deadline);
        let request = request.headers(attempt.headers());
        let result = self.answer(operation, request, &mut attempt).await;
        let request_id = result.as_ref().map(|answer| answer.request_id.as_str());
        attempt.end(&result, request_id.unwrap_or_default());
        result
    }

    async fn answer<T: serde::de::DeserializeOwned>(
        &self,
        operation: &'static Operation,
        request: RequestBuilder,
        attempt: &mut Attempt,
    ) -> Result<Answer<T>, Error> {
        let response = request
            .send()
            .await
            .map_err(|error| transport_error(operation, &error))?;
        attempt.answered(response.status());
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
            .http()
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
        match envelope.data.read() {
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
    pub(super) fn envelope<'a>(
        operation: &'static Operation,
        status: StatusCode,
        headers: &HeaderMap,
        body: &'a [u8],
    ) -> Result<Envelope<'a>, Error> {
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
        let mut envelope = Envelope::read(body).map_err(|error| {
            if error.is_data() {
                return not_json("it is no object".to_owned());
            }
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
        envelope: Envelope<'_>,
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
                is_of_caller: false,
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
    use super::*;

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
}
