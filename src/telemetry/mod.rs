//! What the gateway tells about itself while it runs: spans, metrics and logs.
//!
//! The rest of the code says what happens, through [`Telemetry`], [`Span`] and [`Call`]; who hears of it is decided here. Whether a
//! collector answers never matters to a call: what cannot be told is dropped; spans and lines of the log are counted then.

mod call;
mod exported;
mod instruments;
mod logs;
mod observed;
mod otlp;
mod page;
mod sampling;
mod settings;
mod span;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::{HeaderMap, Method};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::BaggagePropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use prometheus::Registry;

pub use call::{Call, Notes};
pub use instruments::{ALL as INSTRUMENTS, Description, Instruments};
pub use logs::{LogFilter, Logs, start_logs};
pub use observed::Observed;
pub use page::MetricsPage;
pub use settings::{
    LogFormat, LogSettings, OtlpProtocol, OtlpSettings, TelemetrySettings, TraceSettings,
};
pub use span::{LOOK_OUTCOME, Span, in_current_span};

use exported::Counted;
use otlp::Otlp;
use sampling::{KeepErrors, RecordAll, by_parent};

/// Who records: `otel.scope.name`.
const SCOPE: &str = "agb-gateway";
/// How often ended spans are exported, unless there are many.
const SPAN_DELAY: Duration = Duration::from_secs(1);
/// How many spans one export holds at most.
const MAX_BATCH: usize = 512;
/// Of a caller's baggage, how many bytes of each value are kept.
const MAX_BAGGAGE_VALUE: usize = 256;

/// What is told, and to whom; all clones are the same.
#[derive(Clone, Debug)]
pub struct Telemetry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tracer: SdkTracer,
    traces: SdkTracerProvider,
    meters: SdkMeterProvider,
    instruments: Instruments,
    registry: Registry,
    baggage_keys: Vec<String>,
    /// `None`: there is nobody to tell.
    flush_timeout: Option<Duration>,
}

impl Telemetry {
    /// Nobody is told anything.
    pub fn off() -> Self {
        static OFF: LazyLock<Telemetry> = LazyLock::new(|| {
            let (traces, meters) = (SdkTracerProvider::builder(), SdkMeterProvider::builder());
            let traces = traces.with_sampler(Sampler::AlwaysOff).build();
            let settings = TelemetrySettings::default();
            Telemetry::of(&settings, traces, meters.build(), Registry::new())
        });
        OFF.clone()
    }

    /// Begins to tell. The error says what is wrong with the settings or their files.
    pub fn start(settings: &TelemetrySettings) -> Result<Self, String> {
        let registry = Registry::new();
        let mut meters = SdkMeterProvider::builder();
        // Nothing is counted where nobody reads.
        if settings.metrics_listen.is_some() {
            let page = opentelemetry_prometheus::exporter().with_registry(registry.clone());
            let page = page.build();
            meters = meters.with_reader(page.map_err(|error| format!("telemetry: {error}"))?);
        }
        let otlp = settings.otlp.as_ref().map(Otlp::new).transpose()?;
        if let Some(otlp) = &otlp
            && let Some(interval) = otlp.metrics_interval()
        {
            let pushing = PeriodicReader::builder(otlp.metrics()?).with_interval(interval);
            meters = meters.with_reader(pushing.build());
        }
        let resource = resource(settings);
        let meters = meters.with_resource(resource.clone()).build();
        let mut traces = SdkTracerProvider::builder().with_resource(resource);
        match &otlp {
            None => traces = traces.with_sampler(Sampler::AlwaysOff),
            Some(otlp) => {
                // OpenTelemetry counts there what its queue of spans has dropped.
                global::set_meter_provider(meters.clone());
                let sampler = by_parent(settings.traces.sample_ratio);
                let queue =
                    BatchSpanProcessor::builder(Counted::new(otlp.spans()?, &meters.meter(SCOPE)))
                        .with_batch_config(
                            BatchConfigBuilder::default()
                                .with_max_queue_size(settings.traces.max_queued_spans)
                                .with_max_export_batch_size(
                                    MAX_BATCH.min(settings.traces.max_queued_spans),
                                )
                                .with_scheduled_delay(SPAN_DELAY)
                                .build(),
                        )
                        .build();
                traces = if settings.traces.keep_errors {
                    traces
                        .with_sampler(RecordAll(sampler))
                        .with_span_processor(KeepErrors::new(queue))
                } else {
                    traces.with_sampler(sampler).with_span_processor(queue)
                };
            }
        }
        Ok(Self::of(settings, traces.build(), meters, registry))
    }

    fn of(
        settings: &TelemetrySettings,
        traces: SdkTracerProvider,
        meters: SdkMeterProvider,
        registry: Registry,
    ) -> Self {
        let instruments = Instruments::new(&meters.meter(SCOPE));
        instruments
            .log_dropped
            .watch([], || Some(logs::dropped_lines()));
        Self(Arc::new(Inner {
            tracer: traces.tracer(SCOPE),
            instruments,
            baggage_keys: settings.traces.baggage_keys.clone(),
            flush_timeout: settings.otlp.as_ref().map(|otlp| otlp.timeout),
            traces,
            meters,
            registry,
        }))
    }

    /// The instruments.
    pub fn instruments(&self) -> &Instruments {
        &self.0.instruments
    }

    /// The page for Prometheus.
    pub fn page(&self) -> MetricsPage {
        MetricsPage::new(self.0.registry.clone())
    }

    /// The span of a call, with its notes: a child of the caller's span where the caller names one.
    pub fn call_span(&self, method: &'static str, headers: &HeaderMap) -> (Span, Call) {
        let builder = self
            .0
            .tracer
            .span_builder(method.trim_start_matches('/'))
            .with_kind(SpanKind::Server);
        let parent = span::extracted(headers);
        let span = self.0.tracer.build_with_context(builder, &parent);
        let span = Span(Context::new().with_span(span));
        if !self.0.baggage_keys.is_empty() && span.is_recording() {
            self.take_baggage(&span, headers);
        }
        let call = Call::default();
        (call.within(&span), call)
    }

    fn take_baggage(&self, span: &Span, headers: &HeaderMap) {
        let context = BaggagePropagator::new().extract(&span::Read(headers));
        for key in &self.0.baggage_keys {
            if let Some(value) = context.baggage().get(key) {
                let value: String = value.as_str().chars().take(MAX_BAGGAGE_VALUE).collect();
                let attribute = KeyValue::new(format!("baggage.{key}"), value);
                span.0.span().set_attribute(attribute);
            }
        }
    }

    /// The span of one HTTP request, within the current one.
    pub fn request_span(&self, method: &Method, template: &'static str) -> Span {
        let name = format!("{method} {template}");
        self.child(name, SpanKind::Client)
    }

    /// The span of what is done for many calls, at first for the current one. It is not part of that call.
    pub fn shared_span(&self, name: &'static str) -> Span {
        let span = self.0.tracer.build(self.0.tracer.span_builder(name));
        Span(Context::new().with_span(span))
    }

    /// The span of something within the gateway, within the current one.
    pub fn span(&self, name: &'static str) -> Span {
        self.child(name, SpanKind::Internal)
    }

    fn child(&self, name: impl Into<std::borrow::Cow<'static, str>>, kind: SpanKind) -> Span {
        let builder = self.0.tracer.span_builder(name).with_kind(kind);
        let span = self.0.tracer.build(builder);
        Span(Context::current_with_span(span))
    }

    /// Tells what has not been told yet, and ends. What cannot be told within the exporter's timeout is lost.
    pub async fn finish(&self) {
        let Some(timeout) = self.0.flush_timeout else {
            return;
        };
        let inner = self.0.clone();
        let finish = tokio::task::spawn_blocking(move || {
            let spans = inner.traces.shutdown_with_timeout(timeout);
            (spans, inner.meters.shutdown_with_timeout(timeout))
        });
        match tokio::time::timeout(timeout, finish).await {
            Ok(Ok((Ok(()), Ok(())))) => {}
            ended => tracing::warn!(?ended, "the last spans or metrics could not be exported"),
        }
    }
}

fn resource(settings: &TelemetrySettings) -> Resource {
    let attributes = settings.resource_attributes.iter();
    let attributes = attributes.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let instance = uuid::Uuid::new_v4().to_string();
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ])
        .with_attributes(attributes)
        .with_service_name(settings.service_name.clone())
        .build()
}
