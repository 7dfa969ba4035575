//! A collector: takes spans and metrics over OTLP, and counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use serde_json::json;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::{answer_questions, listen};
use crate::Failure;

#[derive(Clone, Debug, Default)]
struct Collector(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    spans: AtomicU64,
    metrics: AtomicU64,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        let scopes = resources.iter().flat_map(|resource| &resource.scope_spans);
        let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
        self.0.spans.fetch_add(spans as u64, Ordering::Relaxed);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let resources = request.into_inner().resource_metrics;
        let scopes = resources
            .iter()
            .flat_map(|resource| &resource.scope_metrics);
        let metrics: usize = scopes.map(|scope| scope.metrics.len()).sum();
        self.0.metrics.fetch_add(metrics as u64, Ordering::Relaxed);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

pub(crate) async fn serve() -> Result<(), Failure> {
    let listener = listen().await?;
    let collector = Collector::default();
    let counts = collector.0.clone();
    answer_questions(listener.local_addr()?, move || {
        json!({
            "spans": counts.spans.load(Ordering::Relaxed),
            "metrics": counts.metrics.load(Ordering::Relaxed),
        })
    });
    Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}
