//! The way to the collector: OTLP over gRPC or HTTP. What is wrong with it is told at start; whether the collector answers does not
//! matter to anyone else.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
    WithTonicConfig as _,
};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, ClientTlsConfig};

use super::settings::{OtlpProtocol, OtlpSettings};

/// What both exporters are made of.
pub(super) struct Otlp {
    settings: OtlpSettings,
    headers: HashMap<String, String>,
    ca: Option<Vec<u8>>,
}

macro_rules! built {
    ($otlp:expr, $builder:expr, $path:literal) => {{
        let otlp = $otlp;
        let settings = &otlp.settings;
        match settings.protocol {
            OtlpProtocol::Grpc => {
                let mut builder = $builder
                    .with_tonic()
                    .with_endpoint(settings.endpoint.clone())
                    .with_timeout(settings.timeout)
                    .with_metadata(otlp.metadata());
                if settings.endpoint.starts_with("https:") {
                    builder = builder.with_tls_config(otlp.tls());
                }
                builder.build()
            }
            OtlpProtocol::HttpProtobuf => $builder
                .with_http()
                .with_http_client(otlp.http_client()?)
                .with_endpoint(format!(
                    "{}{}",
                    settings.endpoint.trim_end_matches('/'),
                    $path
                ))
                .with_timeout(settings.timeout)
                .with_headers(otlp.headers.clone())
                .build(),
        }
        .map_err(|error: ExporterBuildError| format!("telemetry.otlp: {error}"))
    }};
}

impl Otlp {
    /// Reads the files that the settings name.
    pub(super) fn new(settings: &OtlpSettings) -> Result<Self, String> {
        let read = |path: &std::path::PathBuf| {
            let content = std::fs::read(path);
            content.map_err(|error| format!("could not read {}: {error}", path.display()))
        };
        let headers = match &settings.headers_file {
            None => HashMap::new(),
            Some(path) => headers(&String::from_utf8_lossy(&read(path)?))
                .map_err(|rule| format!("telemetry.otlp.headers_file: {rule}"))?,
        };
        Ok(Self {
            headers,
            ca: settings.ca_file.as_ref().map(read).transpose()?,
            settings: settings.clone(),
        })
    }

    pub(super) fn metrics_interval(&self) -> Option<Duration> {
        self.settings.metrics_interval
    }

    pub(super) fn spans(&self) -> Result<SpanExporter, String> {
        built!(self, SpanExporter::builder(), "/v1/traces")
    }

    pub(super) fn metrics(&self) -> Result<MetricExporter, String> {
        built!(self, MetricExporter::builder(), "/v1/metrics")
    }

    fn metadata(&self) -> MetadataMap {
        let headers = self.headers.iter().filter_map(|(name, value)| {
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
        });
        MetadataMap::from_headers(headers.collect())
    }

    fn tls(&self) -> ClientTlsConfig {
        match &self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_native_roots(),
        }
    }

    /// Exports happen in a thread of their own, so the client is a blocking one. It must not be made within the runtime.
    fn http_client(&self) -> Result<reqwest::blocking::Client, String> {
        let failed = |error: reqwest::Error| format!("telemetry.otlp: {error}");
        let roots = self
            .ca
            .as_deref()
            .map(reqwest::Certificate::from_pem_bundle);
        let roots = roots.transpose().map_err(failed)?;
        let timeout = self.settings.timeout;
        let client = std::thread::spawn(move || {
            let mut builder = reqwest::blocking::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .timeout(timeout);
            if let Some(roots) = roots {
                builder = builder.tls_certs_only(roots);
            }
            builder.build()
        });
        match client.join() {
            Ok(client) => client.map_err(failed),
            Err(_panicked) => Err("telemetry.otlp: the HTTP client could not be made".to_owned()),
        }
    }
}

/// Reads a header a line. The error never repeats a value.
fn headers(text: &str) -> Result<HashMap<String, String>, String> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty());
    lines
        .map(|(index, line)| {
            let wrong = || {
                format!(
                    "line {} must be a header such as \"name: value\"",
                    index + 1
                )
            };
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let (name, value) = (name.trim(), value.trim());
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            HeaderValue::from_str(value).map_err(|_| wrong())?;
            Ok((name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_a_line_each_and_told_without_their_values() {
        let read = headers("Authorization: Basic hunter2:x\n\n x-tenant : a\n").unwrap();
        assert_eq!(read["authorization"], "Basic hunter2:x");
        assert_eq!(read["x-tenant"], "a");
        for wrong in ["hunter2", "a b: hunter2", "a: hunter2\u{1}"] {
            let rule = headers(wrong).unwrap_err();
            assert!(
                rule.contains("line 1") && !rule.contains("hunter2"),
                "{rule}"
            );
        }
    }
}
