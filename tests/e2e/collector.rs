//! A real OTLP receiver, over gRPC and over HTTP: it keeps every span that it is sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::canary;

/// A receiver, and what it has been sent. It ends with the test.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: Received,
    serving: AbortHandle,
}

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Received {
    fn keep(&self, request: ExportTraceServiceRequest) {
        canary::look_at(&format!("{request:?}"));
        self.0.lock().unwrap().push(request);
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// One that is spoken to in gRPC.
    pub(crate) fn grpc() -> Self {
        let received = Received::default();
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        let server = Server::builder().add_service(TraceServiceServer::new(received.clone()));
        let serving = tokio::spawn(async move { server.serve_with_incoming(incoming).await });
        Self {
            address,
            received,
            serving: serving.abort_handle(),
        }
    }

    /// One that is spoken to in HTTP, and takes only those who show this header.
    pub(crate) async fn http(name: &'static str, value: &'static str) -> Self {
        let received = Received::default();
        let keep = received.clone();
        let export = async move |headers: HeaderMap, body: Bytes| {
            if headers.get(name).is_none_or(|shown| shown != value) {
                return Err(StatusCode::UNAUTHORIZED);
            }
            assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
            keep.keep(ExportTraceServiceRequest::decode(body).unwrap());
            Ok(ExportTraceServiceResponse::default().encode_to_vec())
        };
        let router = Router::new().route("/v1/traces", post(export));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            received,
            serving: serving.abort_handle(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was received, as a tree.
    pub(crate) fn trace(&self) -> Trace {
        let requests = self.received.0.lock().unwrap();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let scopes = resources.clone().flat_map(|resource| &resource.scope_spans);
        Trace {
            spans: scopes.flat_map(|scope| scope.spans.clone()).collect(),
            resources: resources
                .filter_map(|resource| Some(attributes(&resource.resource.as_ref()?.attributes)))
                .collect(),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Spans that were received.
pub(crate) struct Trace {
    pub(crate) spans: Vec<Span>,
    /// The attributes of the resources that they came from.
    pub(crate) resources: Vec<BTreeMap<String, String>>,
}

impl Trace {
    pub(crate) fn by_id(&self, id: &[u8]) -> Option<&Span> {
        self.spans.iter().find(|span| span.span_id == id)
    }

    /// The spans of a name.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Span> {
        self.spans.iter().filter(move |span| span.name == name)
    }

    /// The only span of a name.
    pub(crate) fn only<'a>(&'a self, name: &'a str) -> &'a Span {
        let found: Vec<_> = self.named(name).collect();
        assert_eq!(found.len(), 1, "{name} among {:?}", self.names());
        found[0]
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.spans.iter().map(|span| span.name.as_str()).collect()
    }

    /// From a span to the one that has no parent here.
    pub(crate) fn way_up<'a>(&'a self, span: &'a Span) -> Vec<&'a Span> {
        let parent = |span: &&'a Span| self.by_id(&span.parent_span_id);
        std::iter::successors(Some(span), parent).collect()
    }
}

/// The attributes of a span as text.
pub(crate) fn told(span: &Span) -> BTreeMap<String, String> {
    attributes(&span.attributes)
}

pub(crate) fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let pairs = attributes.iter().map(|attribute| {
        let value = attribute.value.clone().and_then(|value| value.value);
        let text = match value {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (attribute.key.clone(), text)
    });
    pairs.collect()
}
