//! Which spans are exported: those of sampled traces, and on demand those of calls that fail.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use opentelemetry::trace::{Link, SpanKind, Status as SpanStatus, TraceFlags, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SamplingResult, ShouldSample, Span, SpanData, SpanProcessor,
};

/// Of how many traces that are not sampled the spans are kept until their call ends, and of each how many.
const MAX_TRACES: u64 = 4_096;
const MAX_SPANS: usize = 128;

/// Callers decide for their traces, the ratio for those that begin here.
pub(super) fn by_parent(ratio: f64) -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)))
}

/// Records also what is not sampled, for [`KeepErrors`] to choose from.
#[derive(Clone, Debug)]
pub(super) struct RecordAll(pub(super) Sampler);

impl ShouldSample for RecordAll {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self
            .0
            .should_sample(parent, trace_id, name, kind, attributes, links);
        if result.decision == SamplingDecision::Drop {
            result.decision = SamplingDecision::RecordOnly;
        }
        result
    }
}

/// Keeps the spans of a trace that is not sampled until the call has ended, and exports them if it has failed.
#[derive(Debug)]
pub(super) struct KeepErrors<P> {
    next: P,
    kept: Cache<TraceId, Arc<Mutex<Vec<SpanData>>>>,
}

impl<P> KeepErrors<P> {
    pub(super) fn new(next: P) -> Self {
        let kept = Cache::builder()
            .max_capacity(MAX_TRACES)
            // Where there is no more room, the oldest trace has had its time.
            .eviction_policy(EvictionPolicy::lru());
        Self {
            next,
            kept: kept.build(),
        }
    }

    fn keep(&self, span: SpanData) {
        let spans = self
            .kept
            .get_with(span.span_context.trace_id(), Arc::default);
        let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() < MAX_SPANS {
            spans.push(span);
        }
    }

    fn take(&self, trace_id: TraceId) -> Vec<SpanData> {
        let Some(spans) = self.kept.remove(&trace_id) else {
            return Vec::new();
        };
        std::mem::take(&mut *spans.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a call's own span is: its parent is not in this process.
fn is_of_call(span: &SpanData) -> bool {
    span.span_kind == SpanKind::Server
}

impl<P: SpanProcessor> SpanProcessor for KeepErrors<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.next.on_end(span);
        } else if !is_of_call(&span) {
            self.keep(span);
        } else {
            let mut spans = self.take(span.span_context.trace_id());
            if matches!(span.status, SpanStatus::Error { .. }) {
                spans.push(span);
                spans
                    .into_iter()
                    .map(sampled)
                    .for_each(|span| self.next.on_end(span));
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

fn sampled(mut span: SpanData) -> SpanData {
    let context = &span.span_context;
    span.span_context = opentelemetry::trace::SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags() | TraceFlags::SAMPLED,
        context.is_remote(),
        context.trace_state().clone(),
    );
    span
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{
        Span as _, SpanContext, SpanId, TraceContextExt as _, TraceState, Tracer as _,
        TracerProvider as _,
    };
    use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Ended(Arc<Mutex<Vec<SpanData>>>);

    impl SpanProcessor for Ended {
        fn on_start(&self, _span: &mut Span, _context: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    impl Ended {
        fn names(&self) -> Vec<String> {
            let spans = self.0.lock().unwrap();
            assert!(spans.iter().all(|span| span.span_context.is_sampled()));
            spans.iter().map(|span| span.name.to_string()).collect()
        }
    }

    /// Nothing that begins here is sampled.
    fn tracer(ended: &Ended) -> SdkTracer {
        let provider = SdkTracerProvider::builder()
            .with_sampler(RecordAll(by_parent(0.0)))
            .with_span_processor(KeepErrors::new(ended.clone()))
            .build();
        provider.tracer("test")
    }

    fn call(tracer: &SdkTracer, parent: &Context, name: &'static str, status: SpanStatus) {
        let builder = tracer.span_builder(name).with_kind(SpanKind::Server);
        let call = Context::new().with_span(tracer.build_with_context(builder, parent));
        let attempt = tracer.span_builder("attempt").with_kind(SpanKind::Client);
        tracer.build_with_context(attempt, &call).end();
        let span = call.span();
        span.set_status(status);
        span.end();
    }

    #[test]
    fn of_what_is_not_sampled_the_calls_that_fail_are_exported_with_all_their_spans() {
        let ended = Ended::default();
        let tracer = tracer(&ended);
        call(&tracer, &Context::new(), "good", SpanStatus::Unset);
        assert_eq!(ended.names(), Vec::<String>::new());
        call(&tracer, &Context::new(), "bad", SpanStatus::error("no"));
        assert_eq!(ended.names(), ["attempt", "bad"]);
    }

    #[test]
    fn what_the_caller_samples_is_exported_once_however_it_ends() {
        let ended = Ended::default();
        let tracer = tracer(&ended);
        let caller = SpanContext::new(
            TraceId::from(7),
            SpanId::from(7),
            TraceFlags::SAMPLED,
            true,
            TraceState::default(),
        );
        let parent = Context::new().with_remote_span_context(caller);
        call(&tracer, &parent, "good", SpanStatus::Unset);
        call(&tracer, &parent, "bad", SpanStatus::error("no"));
        assert_eq!(ended.names(), ["attempt", "good", "attempt", "bad"]);
    }

    #[test]
    fn what_never_ends_is_forgotten_in_its_turn() {
        let ended = Ended::default();
        let keeper = KeepErrors::new(ended.clone());
        let provider = SdkTracerProvider::builder()
            .with_sampler(RecordAll(by_parent(0.0)))
            .with_span_processor(ended.clone())
            .build();
        let tracer = provider.tracer("test");
        for _ in 0..=MAX_TRACES {
            tracer
                .build_with_context(tracer.span_builder("orphan"), &Context::new())
                .end();
        }
        for span in ended.0.lock().unwrap().drain(..) {
            keeper.on_end(span);
        }
        keeper.kept.run_pending_tasks();
        assert_eq!(keeper.kept.entry_count(), MAX_TRACES);
    }
}
