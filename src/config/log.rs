//! Section `log`: what is logged, and how.

use tracing_subscriber::EnvFilter;

use super::reader::Reader;
use crate::telemetry::{LogFormat, LogSettings};

pub(super) fn read(reader: &mut Reader<'_>) -> Option<LogSettings> {
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
    Some(LogSettings {
        filter: filter?,
        format: format?,
    })
}
