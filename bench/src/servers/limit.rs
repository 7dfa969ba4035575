//! The limit: a bare tonic echo, and the least that could be called a gateway (a handler and one pooled HTTP call, nothing else), by
//! reqwest and by hyper's own client.

use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::{answer_questions, listen};
use crate::Failure;
use crate::proto::session_service_server::{SessionService, SessionServiceServer};
use crate::proto::{GetSessionRequest, GetSessionResponse, Session, SessionState};

const KEY: &str = "Bearer measurement";
const PATH: &str = "/mcp/getSession";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    session_id: &'a str,
}

#[derive(Deserialize)]
struct Envelope {
    success: bool,
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    session_id: String,
    app_instance_id: String,
    resource_id: String,
    resource_url: String,
    status: String,
}

type Answer = Result<Response<GetSessionResponse>, Status>;

fn answer(envelope: Envelope) -> Answer {
    if !envelope.success {
        return Err(Status::unknown("no success"));
    }
    let data = envelope.data;
    let state = if data.status == "RUNNING" {
        SessionState::Running
    } else {
        SessionState::Unspecified
    };
    Ok(Response::new(GetSessionResponse {
        session: Some(Session {
            session_id: data.session_id,
            state: state.into(),
            image_id: String::new(),
            resource_url: data.resource_url,
            app_instance_id: data.app_instance_id,
            resource_id: data.resource_id,
        }),
    }))
}

fn unavailable(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

struct Echo;

#[tonic::async_trait]
impl SessionService for Echo {
    async fn get_session(&self, request: Request<GetSessionRequest>) -> Answer {
        Ok(Response::new(GetSessionResponse {
            session: Some(Session {
                session_id: request.into_inner().session_id,
                ..Session::default()
            }),
        }))
    }
}

struct ByReqwest {
    client: reqwest::Client,
    upstream: String,
}

#[tonic::async_trait]
impl SessionService for ByReqwest {
    async fn get_session(&self, request: Request<GetSessionRequest>) -> Answer {
        let asked = Asked {
            session_id: &request.get_ref().session_id,
        };
        let request = self.client.post(format!("{}{PATH}", self.upstream));
        let request = request.header("authorization", KEY).json(&asked);
        let response = request.send().await.map_err(unavailable)?;
        answer(response.json().await.map_err(unavailable)?)
    }
}

struct ByHyper {
    client: HyperClient<HttpConnector, Full<bytes::Bytes>>,
    upstream: String,
}

#[tonic::async_trait]
impl SessionService for ByHyper {
    async fn get_session(&self, request: Request<GetSessionRequest>) -> Answer {
        let asked = Asked {
            session_id: &request.get_ref().session_id,
        };
        let asked = serde_json::to_vec(&asked).map_err(unavailable)?;
        let request = http::Request::post(format!("{}{PATH}", self.upstream))
            .header("authorization", KEY)
            .header("content-type", "application/json")
            .body(Full::from(asked))
            .map_err(unavailable)?;
        let response = self.client.request(request).await.map_err(unavailable)?;
        let body = response.into_body().collect().await.map_err(unavailable)?;
        answer(serde_json::from_slice(&body.to_bytes()).map_err(unavailable)?)
    }
}

pub(crate) async fn echo() -> Result<(), Failure> {
    serve(Echo, listen().await?).await
}

pub(crate) async fn by_reqwest(upstream: String) -> Result<(), Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    serve(ByReqwest { client, upstream }, listen().await?).await
}

pub(crate) async fn by_hyper(upstream: String) -> Result<(), Failure> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = HyperClient::builder(TokioExecutor::new()).build(connector);
    serve(ByHyper { client, upstream }, listen().await?).await
}

async fn serve<S: SessionService>(service: S, listener: TcpListener) -> Result<(), Failure> {
    answer_questions(listener.local_addr()?, || Value::Null);
    Server::builder()
        .add_service(SessionServiceServer::new(service))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}
