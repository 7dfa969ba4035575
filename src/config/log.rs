//! Section `log`: what is logged, and how.

use tracing_subscriber::EnvFilter;

use super::reader::Reader;

/// What is logged, and how. Logs go to standard error.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Which events: a level, or a filter in the manner of `RUST_LOG`. Default: `info`.
    pub filter: String,
    /// How. Default: `json`.
    pub format: LogFormat,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl LogConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let filter = reader.parsed("log.filter", "info", |text| {
            EnvFilter::try_new(text)
                .map(|_filter| text.to_owned())
                .map_err(|error| format!("must be a log filter such as \"info\": {error}"))
        });
        let format = reader.parsed("log.format", "json", |text| match text {
            "json" => Ok(LogFormat::Json),
            "text" => Ok(LogFormat::Text),
            _ => Err(format!("must be \"json\" or \"text\", got {text:?}")),
        });
        Some(Self {
            filter: filter?,
            format: format?,
        })
    }
}
