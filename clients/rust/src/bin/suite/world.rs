//! What the cases share: clients, contexts and sessions for a while, and the harness.

use std::time::Duration;

use agb::context_service_client::ContextServiceClient;
use agb::session_service_client::SessionServiceClient;
use agb::sync_service_client::SyncServiceClient;
use agb_gateway_clients as agb;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use crate::connect::{Caller, Connected, endpoint, minute};
use crate::service_config::RetryPolicy;
use crate::{Outcome, check};

pub(crate) fn env(name: &str) -> Outcome<String> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}

pub(crate) struct World {
    channel: Channel,
    pub(crate) caller: Caller,
    pub(crate) traceparent: String,
    pub(crate) retries: RetryPolicy,
}

impl World {
    pub(crate) fn new() -> Outcome<Self> {
        let traceparent = format!(
            "00-{:032x}-{:016x}-01",
            fastrand::u128(1..),
            fastrand::u64(1..)
        );
        Ok(Self {
            channel: endpoint(&env("AGB_TARGET")?)?.connect_lazy(),
            caller: Caller::new(Some(&env("AGB_TOKEN")?), &traceparent)?,
            traceparent,
            retries: RetryPolicy::published()?,
        })
    }

    pub(crate) fn with(&self, channel: Channel) -> Connected {
        Connected::new(channel, self.caller.clone())
    }

    pub(crate) fn to(&self, endpoint: &Endpoint) -> Connected {
        self.with(endpoint.connect_lazy())
    }

    pub(crate) fn as_caller(&self, caller: Caller) -> Connected {
        Connected::new(self.channel.clone(), caller)
    }

    pub(crate) fn contexts(&self) -> ContextServiceClient<Connected> {
        ContextServiceClient::new(self.with(self.channel.clone()))
    }

    pub(crate) fn sessions(&self) -> SessionServiceClient<Connected> {
        SessionServiceClient::new(self.with(self.channel.clone()))
    }

    pub(crate) fn syncs(&self) -> SyncServiceClient<Connected> {
        SyncServiceClient::new(self.with(self.channel.clone()))
    }

    pub(crate) async fn create_context(&self) -> Outcome<agb::Context> {
        let context = Some(agb::Context {
            name: format!("rust-{:016x}", fastrand::u64(..)),
            ..agb::Context::default()
        });
        let request = minute(agb::CreateContextRequest {
            context,
            ..agb::CreateContextRequest::default()
        });
        let created = self.contexts().create_context(request).await?;
        Ok(created.into_inner().context.ok_or("no context")?)
    }

    pub(crate) async fn delete_context(&self, context: agb::Context) -> Outcome {
        let request = minute(agb::DeleteContextRequest {
            context_id: context.context_id,
            ..agb::DeleteContextRequest::default()
        });
        self.contexts().delete_context(request).await?;
        Ok(())
    }

    pub(crate) async fn create_session(&self, mounts: Vec<agb::ContextSync>) -> Outcome<String> {
        let request = minute(agb::CreateSessionRequest {
            image_id: "agb-code-space-1".to_owned(),
            context_syncs: mounts,
            ..agb::CreateSessionRequest::default()
        });
        let created = self.sessions().create_session(request).await?;
        Ok(created.into_inner().session.ok_or("no session")?.session_id)
    }

    pub(crate) async fn delete_session(&self, session_id: String) -> Outcome {
        let request = minute(agb::DeleteSessionRequest {
            session_id,
            ..agb::DeleteSessionRequest::default()
        });
        self.sessions().delete_session(request).await?;
        Ok(())
    }
}

/// Asks the harness for what no gRPC call can do.
pub(crate) async fn control(method: &str, path: &str, body: Option<Value>) -> Outcome<Value> {
    let url = env("AGB_CONTROL")?;
    let host = url.trim_start_matches("http://");
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let exchange = async {
        let mut stream = tokio::net::TcpStream::connect(host).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Outcome::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_mins(1), exchange).await??;
    let (head, content) = answer.split_once("\r\n\r\n").ok_or("no HTTP")?;
    check!(head.contains(" 200 "), "{method} {path}: {answer}");
    Ok(serde_json::from_str(content)?)
}

pub(crate) async fn count(operation: &str) -> Outcome<i64> {
    let answer = control("GET", &format!("/count?operation={operation}"), None).await?;
    Ok(answer["count"].as_i64().ok_or("no count")?)
}

/// The error of a call, which must have this code.
pub(crate) fn refused<T>(code: Code, answer: Result<Response<T>, Status>) -> Outcome<Status> {
    match answer {
        Ok(_) => Err(format!("it should have been refused with {code:?}").into()),
        Err(status) if status.code() == code => Ok(status),
        Err(status) => Err(format!("{code:?} expected, got {status:?}").into()),
    }
}
