//! Section `telemetry`: what the gateway tells about itself, and where to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use crate::telemetry::{OtlpProtocol, OtlpSettings, TelemetrySettings, TraceSettings};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const MAX_NAME: usize = 255;
const MAX_ENTRIES: usize = 32;

pub(super) fn read(reader: &mut Reader<'_>) -> Option<TelemetrySettings> {
    let service_name = reader.parsed("telemetry.service_name", "agb-gateway", |text| {
        if (1..=MAX_NAME).contains(&text.len()) {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "must have 1 to {MAX_NAME} bytes, got {}",
                text.len()
            ))
        }
    });
    let attributes = read_attributes(reader);
    let metrics_listen = read_address(reader, "telemetry.metrics_listen", "0.0.0.0:9464");
    let otlp = read_otlp(reader);
    let traces = read_traces(reader);
    Some(TelemetrySettings {
        service_name: service_name?,
        resource_attributes: attributes?,
        metrics_listen: metrics_listen?,
        otlp: otlp?,
        traces: traces?,
    })
}

/// An address to listen at, if one is named. The outer `None`: something is wrong.
#[allow(clippy::option_option)]
pub(super) fn read_address(
    reader: &mut Reader<'_>,
    setting: &'static str,
    example: &str,
) -> Option<Option<SocketAddr>> {
    reader.parsed(setting, "", |text| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            format!("must be an address and a port such as {example:?}, got {text:?}")
        }),
    })
}

fn read_attributes(reader: &mut Reader<'_>) -> Option<Vec<(String, String)>> {
    const SETTING: &str = "telemetry.resource_attributes";
    let attributes: BTreeMap<String, String> = reader.or_default(SETTING, BTreeMap::new());
    let is_good = |text: &str| (1..=MAX_NAME).contains(&text.len());
    let wrong = attributes.len() > MAX_ENTRIES
        || !attributes
            .iter()
            .all(|(key, value)| is_good(key) && is_good(value));
    if wrong {
        let rule =
            format!("must hold at most {MAX_ENTRIES} names and values of 1 to {MAX_NAME} bytes");
        reader.problem(SETTING, rule);
        return None;
    }
    Some(attributes.into_iter().collect())
}

/// The outer `None`: something is wrong.
#[allow(clippy::option_option)]
fn read_otlp(reader: &mut Reader<'_>) -> Option<Option<OtlpSettings>> {
    let endpoint = reader.parsed("telemetry.otlp.endpoint", "", |text| {
        let host = ["http://", "https://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        match host {
            None if text.is_empty() => Ok(None),
            Some(host) if !host.is_empty() && text.parse::<http::Uri>().is_ok() => {
                Ok(Some(text.to_owned()))
            }
            // It could hold a password.
            _ => Err("must be a URL such as \"http://collector:4317\"".to_owned()),
        }
    });
    let protocol = reader.parsed("telemetry.otlp.protocol", "grpc", |text| match text {
        "grpc" => Ok(OtlpProtocol::Grpc),
        "http/protobuf" => Ok(OtlpProtocol::HttpProtobuf),
        _ => Err(format!(
            "must be \"grpc\" or \"http/protobuf\", got {text:?}"
        )),
    });
    let headers_file: Option<PathBuf> = reader.optional("telemetry.otlp.headers_file");
    let ca_file: Option<PathBuf> = reader.optional("telemetry.otlp.ca_file");
    let timeout = reader.duration(
        "telemetry.otlp.timeout",
        "5s",
        Duration::from_millis(100)..=60 * SECOND,
    );
    let interval = reader.duration(
        "telemetry.otlp.metrics_interval",
        "1m",
        Duration::ZERO..=HOUR,
    );
    if interval.is_some_and(|interval| !interval.is_zero() && interval < SECOND) {
        let rule = "must be 0s, which is not at all, or at least 1s";
        reader.problem("telemetry.otlp.metrics_interval", rule);
    }
    let Some(endpoint) = endpoint? else {
        return Some(None);
    };
    Some(Some(OtlpSettings {
        endpoint,
        protocol: protocol?,
        headers_file,
        ca_file,
        timeout: timeout?,
        metrics_interval: Some(interval?).filter(|interval| !interval.is_zero()),
    }))
}

fn read_traces(reader: &mut Reader<'_>) -> Option<TraceSettings> {
    const RATIO: &str = "telemetry.traces.sample_ratio";
    const BAGGAGE: &str = "telemetry.traces.baggage_keys";
    let sample_ratio: f64 = reader.or_default(RATIO, 0.01);
    if !(0.0..=1.0).contains(&sample_ratio) {
        reader.problem(RATIO, format!("must be 0 to 1, got {sample_ratio}"));
    }
    let keep_errors = reader.or_default("telemetry.traces.keep_errors", false);
    let max_queued_spans = reader.number("telemetry.traces.max_queued_spans", 8_192, 1..=1_000_000);
    let baggage_keys: Vec<String> = reader.or_default(BAGGAGE, Vec::new());
    if baggage_keys.len() > MAX_ENTRIES {
        reader.problem(BAGGAGE, format!("must hold at most {MAX_ENTRIES} names"));
    }
    Some(TraceSettings {
        sample_ratio,
        keep_errors,
        max_queued_spans: max_queued_spans?,
        baggage_keys,
    })
}
