//! Calls tools in sessions, by the session's own link where there is one, else through AGB's endpoint.
//!
//! What a session tells of its link is kept for a while, so that a tool call is one request. It is no state that counts: when
//! it is lost, AGB is asked again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header};
use moka::sync::Cache;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use uuid::Uuid;

use super::attempt::{Attempt, Nth};
use super::client::{Answer, Client, bounded, not_redirected, transport_error, without_values};
use super::error::Error;
use super::operation::CALL_TOOL_DIRECT;
use super::wire::{self, LinkedSessionData, Page, ToolResult};
use crate::resilience::Deadline;

const TOKEN_HEADER: &str = "x-access-token";
/// How many sessions' links are kept, and for how long: well below the life of a session.
const MAX_ROUTES: u64 = 10_000;
const ROUTE_LIFE: Duration = Duration::from_mins(5);

/// Calls tools in sessions; all clones share what is known of the sessions.
#[derive(Clone, Debug)]
pub struct Tools {
    client: Client,
    routes: Cache<String, Arc<Route>>,
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub struct ToolCall<'a> {
    /// The session.
    pub session_id: &'a str,
    /// The tool.
    pub name: &'a str,
    /// Its arguments: a JSON object.
    pub arguments: Value,
    /// How long the tool itself may take.
    pub duration: Duration,
}

/// How the tools of a session are reached.
#[derive(Debug)]
struct Route {
    /// The session's own link, where it has one that is allowed.
    link: Option<Url>,
    token: SecretString,
    /// The servers by tool.
    servers: BTreeMap<String, String>,
}

impl Tools {
    /// Tools by this client.
    pub fn new(client: Client) -> Self {
        let routes = Cache::builder()
            .max_capacity(MAX_ROUTES)
            .time_to_live(ROUTE_LIFE)
            .build();
        Self { client, routes }
    }

    /// Keeps what AGB has told of a session.
    pub fn remember(&self, session_id: &str, data: &LinkedSessionData) {
        let route = Arc::new(self.route(data));
        self.routes.insert(session_id.to_owned(), route);
    }

    /// Forgets a session.
    pub fn forget(&self, session_id: &str) {
        self.routes.invalidate(session_id);
    }

    /// Calls a tool. Both routes are one request; the second is tried only when the first was certainly not sent, or refused at the
    /// door.
    pub async fn call(
        &self,
        call: &ToolCall<'_>,
        deadline: Deadline,
    ) -> Result<Answer<ToolResult>, Error> {
        let route = self.route_of(call.session_id, deadline).await?;
        if let (Some(link), Some(server)) = (&route.link, route.servers.get(call.name)) {
            match self
                .call_direct(call, link, server, &route.token, deadline)
                .await
            {
                Err(error) if error.is_not_sent() => {
                    tracing::warn!(%error, "the session's own link cannot be reached; calling through the endpoint");
                    // Not tried again for a while: each try costs the time that making a connection may take.
                    let without_link = Arc::new(Route {
                        link: None,
                        token: route.token.clone(),
                        servers: BTreeMap::new(),
                    });
                    self.routes.insert(call.session_id.to_owned(), without_link);
                }
                // Without the key of the account, so this says nothing of that: the session has ended, or has another token by now.
                // The tool has not run; the endpoint tells which it is, and calls it where it can.
                Err(error) if is_token_refused(&error) => {
                    tracing::info!(%error, "the session's own link does not take its token; calling through the endpoint");
                    self.forget(call.session_id);
                }
                result => {
                    if result
                        .as_ref()
                        .is_err_and(|error| error.refusal().is_some())
                    {
                        // The token may have changed; AGB will be asked again next time.
                        self.forget(call.session_id);
                    }
                    return result;
                }
            }
        }
        let request = wire::CallTool {
            auto_gen_session: false,
            session_id: call.session_id,
            name: call.name,
            args: call.arguments.to_string(),
        };
        self.client
            .call_taking(&request, call.duration, deadline)
            .await
    }

    async fn route_of(&self, session_id: &str, deadline: Deadline) -> Result<Arc<Route>, Error> {
        if let Some(route) = self.routes.get(session_id) {
            return Ok(route);
        }
        let answer = self
            .client
            .call(&wire::GetLinkedSession { session_id }, deadline)
            .await?;
        let route = Arc::new(self.route(&answer.data));
        self.routes.insert(session_id.to_owned(), route.clone());
        Ok(route)
    }

    fn route(&self, data: &LinkedSessionData) -> Route {
        let link = Url::parse(data.link_url.expose_secret()).ok();
        let has_token = !data.token.expose_secret().is_empty();
        Route {
            link: link.filter(|link| has_token && self.is_allowed(link)),
            token: data.token.clone(),
            servers: wire::tool_servers(&data.tool_list),
        }
    }

    /// Whether a session's token may be sent there: the endpoint's own host or an allowed domain, and not in plain text unless
    /// the endpoint is so too.
    fn is_allowed(&self, link: &Url) -> bool {
        let config = &self.client.connections.config;
        let Some(host) = link.host_str() else {
            return false;
        };
        let allowed_host = config.endpoint.host() == host
            || config.session_link_domains.iter().any(|domain| {
                host.strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            });
        let allowed_scheme = link.scheme() == "https"
            || (link.scheme() == "http" && config.endpoint.scheme() == "http");
        allowed_host && allowed_scheme
    }

    async fn call_direct(
        &self,
        call: &ToolCall<'_>,
        link: &Url,
        server: &str,
        token: &SecretString,
        deadline: Deadline,
    ) -> Result<Answer<ToolResult>, Error> {
        let operation = &CALL_TOOL_DIRECT;
        let mut url = link.clone();
        let path = link.path().trim_end_matches('/').to_owned() + operation.path;
        url.set_path(&path);
        let request_id = format!("link-{}", Uuid::new_v4().simple());
        let mut header = HeaderValue::from_str(token.expose_secret()).map_err(|_| {
            Error::malformed(operation, "", "the session's token is no header value")
        })?;
        header.set_sensitive(true);
        let request = self
            .client
            .connections
            .http()
            .post(url)
            .header(TOKEN_HEADER, header)
            .header(header::ACCEPT, "application/json")
            .json(&wire::CallToolDirect {
                args: &call.arguments,
                server,
                request_id: &request_id,
                tool: call.name,
                token: token.expose_secret(),
            });
        let timeout = self.client.connections.config.request_timeout + call.duration;
        let exchange = async |attempt: &mut Attempt| {
            let response = request
                .headers(attempt.headers())
                .send()
                .await
                .map_err(|error| transport_error(operation, &error))?;
            attempt.answered(response.status());
            let status = not_redirected(operation, &response)?;
            let headers = response.headers().clone();
            let body = self.client.read(operation, response).await?;
            let mut envelope = Client::envelope(operation, status, &headers, &body)?;
            // Its words go to the caller, who may not have the token.
            for words in [&mut envelope.message, &mut envelope.code] {
                *words = words.replace(token.expose_secret(), "[token]");
            }
            if !status.is_success() || envelope.success == Some(false) {
                return Err(self.client.refusal(operation, status, &headers, envelope));
            }
            let result = envelope.data.read().and_then(wire::direct_tool_result);
            result.map_err(|error| {
                let detail = format!("data: {}", without_values(&error.to_string()));
                Error::malformed(operation, request_id.as_str(), detail)
            })
        };
        let observed = async {
            let connections = &self.client.connections;
            let nth = Nth::default();
            let mut attempt = Attempt::begin(connections, operation, nth, timeout, deadline);
            let result = exchange(&mut attempt).await;
            attempt.end(&result, &request_id);
            result
        };
        let data = bounded(operation, timeout, deadline, observed).await?;
        Ok(Answer {
            data,
            page: Page::default(),
            request_id,
        })
    }
}

fn is_token_refused(error: &Error) -> bool {
    let refusal = error.refusal();
    refusal.is_some_and(|refusal| refusal.http_status == 401)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(endpoint: &str, link: &str) -> bool {
        Tools::new(Client::sample(endpoint)).is_allowed(&Url::parse(link).unwrap())
    }

    #[test]
    fn tokens_go_to_allowed_hosts_only_and_not_in_plain_text() {
        let agb = "https://sdk-api.agb.cloud";
        assert!(allowed(agb, "https://s-1.link.agb.cloud/x"));
        assert!(allowed(agb, "https://sdk-api.agb.cloud:8443"));
        assert!(!allowed(agb, "http://s-1.link.agb.cloud"));
        assert!(!allowed(agb, "https://agb.cloud.example.com"));
        assert!(!allowed(agb, "https://notagb.cloud"));
        assert!(!allowed(agb, "https://127.0.0.1"));
        assert!(allowed(
            "http://127.0.0.1:7070",
            "http://127.0.0.1:9999/link"
        ));
    }
}
