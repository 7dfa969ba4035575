//! Logs, on standard error: a line an event, with the id of the trace that it belongs to. No value is longer than [`MAX_VALUE`].
//!
//! A thread of its own writes them. When it cannot keep up, since nobody reads, lines are dropped and counted; no call waits.

use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde::ser::{SerializeMap, Serializer as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt as _, reload};

use super::settings::{LogFormat, LogSettings};
use super::span::Span;

/// The longest value of a field, in bytes.
const MAX_VALUE: usize = 2_048;

/// How many bytes of lines are written at once, when there are many.
const WRITTEN_AT_ONCE: usize = 64 << 10;
/// For how long lines gather after some were written. A line after a while without any is written at once.
const PAUSE: Duration = Duration::from_millis(5);

/// Logs that are being written; the last lines are when this is dropped.
#[derive(Debug)]
pub struct Logs {
    /// Which events are logged.
    pub filter: LogFilter,
    _writing: WorkerGuard,
}

/// A process has one log.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// How many lines were dropped, for want of someone who reads them in time.
#[allow(clippy::cast_precision_loss)] // Beyond 2^53 lines.
pub(super) fn dropped_lines() -> f64 {
    let dropped = DROPPED.get().map(ErrorCounter::dropped_lines);
    dropped.unwrap_or_default() as f64
}

/// Which events are logged; can be changed while the gateway runs.
#[derive(Clone)]
pub struct LogFilter {
    configured: Arc<str>,
    handle: reload::Handle<EnvFilter, Registry>,
}

impl LogFilter {
    /// The filter of the configuration.
    pub fn configured(&self) -> &str {
        &self.configured
    }

    /// The filter as it is now.
    pub fn current(&self) -> String {
        let current = self.handle.with_current(ToString::to_string);
        current.unwrap_or_default()
    }

    /// Changes it. The error says what is wrong with the text.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        tracing::warn!(from = self.current(), to = %filter, "the log filter changes");
        self.handle
            .reload(filter)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
impl LogFilter {
    /// A filter of nothing, which can be changed while the layer is there.
    pub(crate) fn sample(filter: &str) -> (Self, reload::Layer<EnvFilter, Registry>) {
        let (layer, handle) = reload::Layer::new(EnvFilter::new(filter));
        let configured = filter.into();
        (Self { configured, handle }, layer)
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("LogFilter")
            .field(&self.current())
            .finish()
    }
}

/// Begins to log. The error says why it could not: a subscriber is there already, or the filter is wrong.
pub fn start_logs(settings: &LogSettings) -> Result<Logs, String> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| error.to_string())?;
    let (filter, handle) = reload::Layer::new(filter);
    let (writer, writing) = NonBlockingBuilder::default()
        .thread_name("logs")
        .finish(Gathered(BufWriter::with_capacity(
            WRITTEN_AT_ONCE,
            io::stderr(),
        )));
    let dropped = writer.error_counter();
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines(settings.format))
        // Fields of spans would have colours in them.
        .with_ansi(false)
        .with_writer(writer);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| error.to_string())?;
    let _ = DROPPED.set(dropped);
    Ok(Logs {
        filter: LogFilter {
            configured: settings.filter.as_str().into(),
            handle,
        },
        _writing: writing,
    })
}

/// Lets lines gather. Its thread writes out what it has when there is nothing more to take, and would then be woken by each line: at
/// thousands of calls a second, that costs them more than the lines.
struct Gathered<W: Write>(W);

impl<W: Write> Write for Gathered<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(PAUSE);
        flushed
    }
}

/// How an event becomes a line.
struct Lines(LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut scope = String::new();
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>();
            let fields = fields
                .map(|fields| fields.fields.as_str())
                .unwrap_or_default();
            write!(scope, "{}{{{fields}}}", span.name())?;
        }
        let trace_id = Span::current().trace_id();
        match self.0 {
            LogFormat::Json => json(&mut writer, event, &scope, trace_id.as_deref()),
            LogFormat::Text => text(&mut writer, event, &scope, trace_id.as_deref()),
        }
    }
}

fn json(
    writer: &mut Writer<'_>,
    event: &Event<'_>,
    scope: &str,
    trace_id: Option<&str>,
) -> fmt::Result {
    let mut line = Vec::with_capacity(512);
    let mut write = || {
        let mut json = serde_json::Serializer::new(&mut line);
        let mut map = json.serialize_map(None)?;
        map.serialize_entry("timestamp", &format_args!("{}", Timestamp::now()))?;
        map.serialize_entry("level", event.metadata().level().as_str())?;
        let mut fields = JsonFields {
            map,
            result: Ok(()),
        };
        event.record(&mut fields);
        fields.result?;
        let mut map = fields.map;
        map.serialize_entry("target", event.metadata().target())?;
        if !scope.is_empty() {
            map.serialize_entry("scope", scope)?;
        }
        if let Some(trace_id) = trace_id {
            map.serialize_entry("trace_id", trace_id)?;
        }
        map.end()
    };
    write().map_err(|_: serde_json::Error| fmt::Error)?;
    writeln!(
        writer,
        "{}",
        std::str::from_utf8(&line).map_err(|_| fmt::Error)?
    )
}

fn text(
    writer: &mut Writer<'_>,
    event: &Event<'_>,
    scope: &str,
    trace_id: Option<&str>,
) -> fmt::Result {
    let metadata = event.metadata();
    write!(
        writer,
        "{} {:>5} {}: {scope}",
        Timestamp::now(),
        metadata.level().as_str(),
        metadata.target(),
    )?;
    let mut fields = TextFields {
        writer: writer.by_ref(),
        result: Ok(()),
    };
    event.record(&mut fields);
    fields.result?;
    if let Some(trace_id) = trace_id {
        write!(writer, " trace_id={trace_id}")?;
    }
    writeln!(writer)
}

struct JsonFields<M: SerializeMap> {
    map: M,
    result: Result<(), M::Error>,
}

impl<M: SerializeMap> JsonFields<M> {
    fn entry<T: serde::Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        if self.result.is_ok() {
            self.result = self.map.serialize_entry(field.name(), value);
        }
    }
}

impl<M: SerializeMap> Visit for JsonFields<M> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.entry(field, &bounded(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match bound(value) {
            None => self.entry(field, value),
            Some(end) => self.entry(field, &cut(&value[..end])),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.entry(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.entry(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.entry(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.entry(field, &value);
    }
}

struct TextFields<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

impl Visit for TextFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.result.is_ok() {
            // One event is one line, whatever stands in it.
            let value = bounded(value)
                .escape_debug()
                .to_string()
                .replace("\\\"", "\"")
                .replace("\\'", "'");
            self.result = match field.name() {
                "message" => write!(self.writer, " {value}"),
                name => write!(self.writer, " {name}={value}"),
            };
        }
    }
}

/// A value in words, up to the longest that is written.
fn bounded(value: &dyn fmt::Debug) -> String {
    let mut words = Bounded(String::new());
    if write!(words, "{value:?}").is_err() {
        return cut(&words.0);
    }
    words.0
}

fn cut(words: &str) -> String {
    format!("{words}… (cut)")
}

/// Where a text has to be cut; `None` when it is short enough.
fn bound(text: &str) -> Option<usize> {
    (text.len() > MAX_VALUE).then(|| text.floor_char_boundary(MAX_VALUE))
}

/// Takes so much and no more, so that what is long is never written whole.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_VALUE - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::Value;
    use tracing::subscriber::with_default;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn lines(format: LogFormat, log: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Lines(format))
            .with_ansi(false)
            .with_writer(written.clone());
        with_default(tracing_subscriber::registry().with(layer), log);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_event_is_one_object_with_its_fields_and_where_it_happened() {
        let lines = lines(LogFormat::Json, || {
            let span = tracing::info_span!("sync_poller", session_id = "s-1");
            span.in_scope(|| tracing::warn!(look_count = 3, error = %"no\nway", "a look failed"));
        });
        assert_eq!(lines.len(), 1);
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "a look failed");
        assert_eq!(line["look_count"], 3);
        assert_eq!(line["error"], "no\nway");
        assert_eq!(line["scope"], "sync_poller{session_id=\"s-1\"}");
        assert!(
            line["timestamp"]
                .as_str()
                .unwrap()
                .parse::<Timestamp>()
                .is_ok()
        );
        assert!(line.get("trace_id").is_none());
    }

    #[test]
    fn for_people_it_is_one_line_too() {
        let lines = lines(LogFormat::Text, || {
            tracing::info!(session_id = "s-1", error = %"no\nway", "it's so");
        });
        assert_eq!(lines.len(), 1);
        let (_, rest) = lines[0].split_once(' ').unwrap();
        assert!(
            rest.ends_with(" it's so session_id=\"s-1\" error=no\\nway"),
            "{rest}"
        );
    }

    #[test]
    fn no_value_is_longer_than_the_bound_however_it_is_written() {
        let long = "ä".repeat(MAX_VALUE);
        let lines = lines(LogFormat::Json, || {
            tracing::info!(text = long, debug = ?long, display = %long);
        });
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        for field in ["text", "debug", "display"] {
            let value = line[field].as_str().unwrap();
            assert!(value.len() <= MAX_VALUE + 9, "{field}: {}", value.len());
            assert!(value.ends_with("… (cut)"), "{field}");
        }
    }
}
