//! A span, and the way it goes through the code: as OpenTelemetry's current context, which a future or a body bears while it is
//! polled.

use std::borrow::Cow;
use std::future::Future;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{FutureExt as _, Status as SpanStatus, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The attribute of an event that tells what a look has shown.
pub const LOOK_OUTCOME: &str = "agb_gateway.look.outcome";

/// A span within its context. It ends when [`Span::end`] says so, or with its last clone.
#[derive(Clone, Debug)]
pub struct Span(pub(super) Context);

impl Span {
    /// The current one; one that records nothing where there is none.
    pub fn current() -> Self {
        Self(Context::current())
    }

    /// Whether anybody will see what is said of it.
    pub fn is_recording(&self) -> bool {
        self.0.span().is_recording()
    }

    /// The id of its trace, as 32 hexadecimal digits; `None` outside of any.
    pub fn trace_id(&self) -> Option<String> {
        let span = self.0.span();
        let context = span.span_context();
        context.is_valid().then(|| context.trace_id().to_string())
    }

    /// Says something of it.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(name, value));
    }

    /// Says what an attribute says that was made before.
    pub fn set_attribute(&self, attribute: KeyValue) {
        self.0.span().set_attribute(attribute);
    }

    /// Says that something has happened. Attributes are made only where someone will see them.
    pub fn event<const N: usize>(
        &self,
        name: &'static str,
        attributes: impl FnOnce() -> [(&'static str, Value); N],
    ) {
        let span = self.0.span();
        if span.is_recording() {
            let attributes = attributes().map(|(name, value)| KeyValue::new(name, value));
            span.add_event(name, attributes.to_vec());
        }
    }

    /// Says that a look at something that is waited for has shown this.
    pub fn looked(&self, outcome: impl FnOnce() -> &'static str) {
        self.event("look", || [(LOOK_OUTCOME, outcome().into())]);
    }

    /// Points to a span of another trace, or of another branch of this one.
    pub fn link(&self, other: &Self) {
        let other = other.0.span().span_context().clone();
        if other.is_valid() {
            self.0.span().add_link(other, Vec::new());
        }
    }

    /// Says that what it stands for has failed.
    pub fn fail(&self, error_type: impl Into<Value>, description: impl Into<Cow<'static, str>>) {
        self.set("error.type", error_type);
        self.0.span().set_status(SpanStatus::error(description));
    }

    /// Ends it now.
    pub fn end(&self) {
        self.0.span().end();
    }

    /// Makes it the current one for as long as the future is polled.
    pub fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.with_context(self.0.clone())
    }

    /// Makes it the current one for a moment.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.0.clone().attach();
        work()
    }

    /// Writes W3C's headers for whoever is called.
    pub fn inject(&self, headers: &mut HeaderMap) {
        TraceContextPropagator::new().inject_context(&self.0, &mut Headers(headers));
    }
}

/// Work that goes on by itself, within the span that it comes from.
pub fn in_current_span<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    work.with_current_context()
}

/// The context of the caller's span.
pub(super) fn extracted(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Read(headers))
}

pub(super) struct Read<'a>(pub(super) &'a HeaderMap);

impl Extractor for Read<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, name: &str, value: String) {
        // OpenTelemetry writes a tracestate also where there is none.
        if value.is_empty() {
            return;
        }
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            self.0.insert(name, value);
        }
    }
}
