//! Every instrument: its name, unit and meaning. `docs/metrics.md` lists them, and a test holds the two together.
//!
//! The names of OpenTelemetry's semantic conventions where they have one, else `agb_gateway.*`. Every attribute has few values: no
//! ids, no paths, nothing that a caller writes.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};

use super::observed::Observed;

/// One instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// Its kind: `counter`, `up_down_counter`, `gauge`, `histogram`, or
    /// `observed` and `observed_counter`, which are read when somebody looks.
    pub kind: &'static str,
    /// Its unit, in UCUM.
    pub unit: &'static str,
    /// Its attributes.
    pub attributes: &'static [&'static str],
    /// What it measures.
    pub text: &'static str,
}

/// Durations of calls, in seconds: from what is answered at once to what takes as long as a call may.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

macro_rules! instruments {
    ($($(#[doc = $text:literal])* $field:ident: $kind:ident = $name:literal, $unit:literal, $attributes:expr;)*) => {
        /// All instruments. Clones stand for the same ones.
        #[derive(Clone, Debug)]
        pub struct Instruments {
            $($(#[doc = $text])* pub $field: instruments!(@type $kind),)*
        }

        impl Instruments {
            pub(super) fn new(meter: &Meter) -> Self {
                Self {
                    $($field: instruments!(@build $kind meter $name $unit concat!($($text),*).trim_start()),)*
                }
            }
        }

        /// What each instrument is.
        pub const ALL: &[Description] = &[$(Description {
            name: $name,
            kind: stringify!($kind),
            unit: $unit,
            attributes: &$attributes,
            text: concat!($($text),*),
        }),*];
    };
    (@type counter) => { Counter<u64> };
    (@type up_down_counter) => { UpDownCounter<i64> };
    (@type gauge) => { Gauge<f64> };
    (@type histogram) => { Histogram<f64> };
    (@type observed) => { Observed };
    (@type observed_counter) => { Observed };
    (@build counter $meter:ident $name:literal $unit:literal $text:expr) => {
        $meter.u64_counter($name).with_unit($unit).with_description($text).build()
    };
    (@build up_down_counter $meter:ident $name:literal $unit:literal $text:expr) => {
        $meter.i64_up_down_counter($name).with_unit($unit).with_description($text).build()
    };
    (@build gauge $meter:ident $name:literal $unit:literal $text:expr) => {
        $meter.f64_gauge($name).with_unit($unit).with_description($text).build()
    };
    (@build histogram $meter:ident $name:literal $unit:literal $text:expr) => {
        $meter
            .f64_histogram($name)
            .with_boundaries(SECONDS.to_vec())
            .with_unit($unit)
            .with_description($text)
            .build()
    };
    (@build observed_counter $meter:ident $name:literal $unit:literal $text:expr) => {{
        let observed = Observed::default();
        let told = observed.clone();
        $meter
            .f64_observable_counter($name)
            .with_unit($unit)
            .with_description($text)
            .with_callback(move |counter| told.tell(|value, attributes| counter.observe(value, attributes)))
            .build();
        observed
    }};
    (@build observed $meter:ident $name:literal $unit:literal $text:expr) => {{
        let observed = Observed::default();
        let told = observed.clone();
        $meter
            .f64_observable_gauge($name)
            .with_unit($unit)
            .with_description($text)
            .with_callback(move |gauge| told.tell(|value, attributes| gauge.observe(value, attributes)))
            .build();
        observed
    }};
}

instruments! {
    /// How long calls took, from their headers to the end of their answer.
    call_duration: histogram = "rpc.server.call.duration", "s",
        ["rpc.system.name", "rpc.method", "rpc.response.status_code"];
    /// How many calls are running.
    active_calls: up_down_counter = "agb_gateway.call.active", "{call}", [];
    /// How many calls of known callers have ended.
    tenant_calls: counter = "agb_gateway.tenant.calls", "{call}", ["agb_gateway.tenant"];
    /// How many calls were refused for who called, or for what they may do.
    auth_refused: counter = "agb_gateway.auth.refused", "{call}", ["agb_gateway.reason"];
    /// How many calls were beyond a quota.
    quota_refused: counter = "agb_gateway.quota.refused", "{call}",
        ["agb_gateway.rule", "agb_gateway.quota"];

    /// How long HTTP requests to AGB took, each attempt by itself, up to the end of the answer; of files, up to its beginning.
    request_duration: histogram = "http.client.request.duration", "s",
        ["server.address", "server.port", "http.request.method", "url.template",
         "http.response.status_code", "error.type"];
    /// How many repetitions of HTTP requests there were, and why.
    retries: counter = "agb_gateway.agb.retries", "{request}",
        ["agb.operation", "agb_gateway.retry.reason"];
    /// How many requests to AGB are under way.
    active_requests: observed = "agb_gateway.agb.requests.active", "{request}", [];
    /// How many requests to AGB wait for their turn.
    queued_requests: observed = "agb_gateway.agb.requests.queued", "{request}", [];
    /// Whether AGB or its storage is left alone, having left many requests unanswered: 1 or 0.
    breaker_open: observed = "agb_gateway.agb.breaker.open", "1", ["agb_gateway.upstream"];
    /// How many times that has begun.
    breaker_opened: counter = "agb_gateway.agb.breaker.opened", "{time}", ["agb_gateway.upstream"];
    /// How many tokens are left for repetitions; with half of them or fewer nothing is repeated.
    throttle_tokens: observed = "agb_gateway.agb.throttle.tokens", "{token}", ["agb_gateway.upstream"];
    /// How many repetitions were not made for want of tokens.
    throttle_refused: counter = "agb_gateway.agb.throttle.refused", "{request}",
        ["agb_gateway.upstream"];

    /// How many looks at the tasks of sessions there were, of pollers.
    sync_looks: counter = "agb_gateway.sync.looks", "{look}", ["agb_gateway.outcome"];
    /// How many calls wait for syncs, or watch them.
    sync_waiters: up_down_counter = "agb_gateway.sync.waiters", "{call}", [];
    /// How many sessions are looked at for them.
    sync_pollers: up_down_counter = "agb_gateway.sync.pollers", "{session}", [];
    /// How waits for syncs have ended.
    sync_ended: counter = "agb_gateway.sync.ended", "{call}", ["agb_gateway.outcome"];
    /// How long syncs took that were waited for, from their start to their verdict.
    sync_duration: histogram = "agb_gateway.sync.duration", "s", ["agb_gateway.outcome"];
    /// How late a verdict was at most: the time since the look before, which showed none.
    sync_lag: histogram = "agb_gateway.sync.lag", "s", [];

    /// How many calls have got a session: a new one, or that of an earlier call with the same `request_id`; or failed to.
    session_created: counter = "agb_gateway.session.created", "{call}", ["agb_gateway.outcome"];
    /// How many creations were not answered, and whether a session was found for them.
    session_reconciles: counter = "agb_gateway.session.reconciles", "{call}",
        ["agb_gateway.outcome"];
    /// How many sessions that nobody had were released by the sweeper.
    session_swept: counter = "agb_gateway.session.swept", "{session}", ["agb_gateway.tenant"];
    /// How many sessions the last sweep saw by state; `not_handed_over` is what it looks for. How many there are in all, AGB knows.
    session_live: gauge = "agb_gateway.session.live", "{session}",
        ["agb_gateway.tenant", "agb_gateway.state"];

    /// How many times a file with a key, a certificate or tokens was found changed, and whether it could be used; or could not be read.
    secret_reloads: counter = "agb_gateway.secret.reloads", "{time}",
        ["agb_gateway.secret", "agb_gateway.outcome"];
    /// How many times the keys of an issuer of JWTs were asked for at their URL, and whether they came.
    jwks_fetches: counter = "agb_gateway.jwks.fetches", "{time}",
        ["agb_gateway.issuer", "agb_gateway.outcome"];

    /// How many connections of callers there are.
    connections: observed = "agb_gateway.connection.active", "{connection}", [];
    /// How many connections were refused, and the setting that says so.
    connections_refused: counter = "agb_gateway.connection.refused", "{connection}",
        ["agb_gateway.setting"];
    /// How many connections were ended since they flooded.
    floods: counter = "agb_gateway.connection.floods", "{connection}", [];

    /// How many lines of the log were dropped, since nobody read them in time.
    log_dropped: observed_counter = "agb_gateway.log.dropped", "{line}", [];
}
