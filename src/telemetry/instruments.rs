//! Every instrument: its name, unit and meaning. `docs/metrics.md` lists them, and a test holds the two together.
//!
//! The names of OpenTelemetry's semantic conventions where they have one, else `agb_gateway.*`. Every attribute has few values: no
//! ids, no paths, nothing that a caller writes.

use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

/// One instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// Its kind: `counter`, `up_down_counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its unit, in UCUM.
    pub unit: &'static str,
    /// What it measures.
    pub text: &'static str,
}

/// Durations of calls, in seconds: from what is answered at once to what takes as long as a call may.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

macro_rules! instruments {
    ($($(#[doc = $text:literal])* $field:ident: $kind:ident = $name:literal, $unit:literal;)*) => {
        /// All instruments. Clones stand for the same ones.
        #[derive(Clone, Debug)]
        pub struct Instruments {
            $($(#[doc = $text])* pub $field: instruments!(@type $kind),)*
        }

        impl Instruments {
            pub(super) fn new(meter: &Meter) -> Self {
                Self {
                    $($field: instruments!(@build $kind meter $name)
                        .with_unit($unit)
                        .with_description(concat!($($text),*).trim_start())
                        .build(),)*
                }
            }
        }

        /// What each instrument is.
        pub const ALL: &[Description] = &[$(Description {
            name: $name,
            kind: stringify!($kind),
            unit: $unit,
            text: concat!($($text),*),
        }),*];
    };
    (@type counter) => { Counter<u64> };
    (@type up_down_counter) => { UpDownCounter<i64> };
    (@type histogram) => { Histogram<f64> };
    (@build counter $meter:ident $name:literal) => { $meter.u64_counter($name) };
    (@build up_down_counter $meter:ident $name:literal) => { $meter.i64_up_down_counter($name) };
    (@build histogram $meter:ident $name:literal) => {
        $meter.f64_histogram($name).with_boundaries(SECONDS.to_vec())
    };
}

instruments! {
    /// How long calls took, from their headers to the end of their answer.
    call_duration: histogram = "rpc.server.call.duration", "s";
    /// How many calls are running.
    active_calls: up_down_counter = "agb_gateway.call.active", "{call}";
    /// How long HTTP requests to AGB took, each attempt by itself, up to the end of the answer; of files, up to its beginning.
    request_duration: histogram = "http.client.request.duration", "s";
    /// How many repetitions of HTTP requests there were, and why.
    retries: counter = "agb_gateway.agb.retries", "{request}";
}
