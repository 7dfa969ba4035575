//! Counts the spans that a collector has taken, and those that it has not: OpenTelemetry's library counts only what finds no room in
//! its queue.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// An exporter whose spans are counted, as OpenTelemetry's semantic conventions for SDKs have it.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    spans: Counter<u64>,
    is_failing: AtomicBool,
}

impl<E> Counted<E> {
    pub(super) fn new(exporter: E, meter: &Meter) -> Self {
        let spans = meter
            .u64_counter("otel.sdk.exporter.span.exported")
            .with_unit("{span}")
            .with_description("How many spans were exported; with an error, how many were lost.");
        Self {
            exporter,
            spans: spans.build(),
            is_failing: AtomicBool::new(false),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        let has_failed = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Ok(()) => {
                self.spans.add(count, &[]);
                if has_failed {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) => {
                let lost = [KeyValue::new("error.type", "_OTHER")];
                self.spans.add(count, &lost);
                if !has_failed {
                    tracing::warn!(%error, "the collector does not take spans; they are lost");
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: std::time::Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
